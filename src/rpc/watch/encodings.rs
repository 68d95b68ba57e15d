//! The frames of all streams, each put into bytes once for everybody who watches.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use prost::Message as _;
use prost::bytes::Bytes;

use crate::revocation::Position;
use crate::rpc::answers;
use crate::service::{Error, Frame, Told};
use crate::token::Kid;

/// How many frames are kept, of at most about a kilobyte, or 40 if one names a thousand tokens. Whoever is further behind than that has its own made.
const KEPT: usize = 1024;

/// What makes one frame the same as another: its place, what kind it is, and the key that made its cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Which {
    position: Position,
    kid: Kid,
    /// Progress, and whether it is confirmed; or an event.
    progress: Option<bool>,
}

impl Which {
    const fn of(frame: &Frame) -> Self {
        let progress = match frame.told {
            Told::Event(_) => None,
            Told::Progress { confirmed } => Some(confirmed),
        };
        Self { position: frame.position, kid: frame.kid, progress }
    }
}

#[derive(Debug, Default)]
struct Kept {
    bytes: HashMap<Which, Bytes>,
    /// From the oldest on.
    order: VecDeque<Which>,
}

/// The latest frames in bytes.
#[derive(Debug, Default)]
pub(super) struct Encodings(Mutex<Kept>);

impl Encodings {
    /// A frame in bytes. `cursor` makes the text that resumes after it, if that is not known yet; whoever wants the same
    /// frame waits meanwhile.
    ///
    /// # Errors
    /// Those of `cursor`.
    pub(super) fn encode(
        &self,
        frame: &Frame,
        cursor: impl FnOnce(&Frame) -> Result<String, Error>,
    ) -> Result<Bytes, Error> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let which = Which::of(frame);
        if let Some(bytes) = kept.bytes.get(&which) {
            return Ok(bytes.clone());
        }
        let bytes = Bytes::from(answers::frame(frame, cursor(frame)?).encode_to_vec());
        if kept.order.len() == KEPT
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.bytes.remove(&oldest);
        }
        kept.order.push_back(which);
        kept.bytes.insert(which, bytes.clone());
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use uuid::Uuid;

    use super::*;
    use crate::proof::Prover;
    use crate::proto::v1;
    use crate::revocation::{Change, Event, HistoryId, NewEvent, TokenChange};
    use crate::text::{Initiator, Reason};
    use crate::token::{Generation, PresentedText, Revision, TokenId};
    use crate::workspace::WorkspaceId;

    fn progress(revision: i64, confirmed: bool) -> Frame {
        let position = Position { history: HistoryId(Uuid::from_u128(1)), revision: Revision(revision) };
        Frame { told: Told::Progress { confirmed }, position, kid: Kid::FIRST }
    }

    #[test]
    fn one_encoding_serves_every_watcher() {
        let (encodings, mut made) = (Encodings::default(), 0);
        for _ in 0..200 {
            let bytes = encodings.encode(&progress(7, true), |frame| {
                made += 1;
                Ok(format!("cursor of {}", frame.position.revision))
            });
            let message = v1::WatchRevocationsResponse::decode(bytes.unwrap()).unwrap();
            assert_eq!((message.revision, message.cursor.as_str()), (7, "cursor of 7"));
        }
        assert_eq!(made, 1);
    }

    fn revocation(revision: i64) -> Frame {
        let change = Change::Token {
            what: TokenChange::Revoked { reason: Reason::parse("left the company".into()).unwrap() },
            workspace: WorkspaceId::parse("acme".into()).unwrap(),
            token: TokenId::generate(),
            generation: Generation::FIRST,
        };
        let initiator = Initiator::parse("alice@acme.example".into()).unwrap();
        let event = NewEvent { change, initiator };
        let time = std::time::SystemTime::now();
        let event = Event { revision: Revision(revision), time, event, awaited: false };
        Frame { told: Told::Event(Arc::new(event)), ..progress(revision, true) }
    }

    /// `cargo test --release --lib encodings -- --ignored --nocapture`
    #[test]
    #[ignore = "a measurement"]
    fn two_hundred_watchers_cost_less_than_two_hundred_encodings() {
        // What a cursor costs, about: one HMAC and a text.
        let (prover, secret) = (Prover::new().unwrap(), PresentedText::new("as long as one"));
        let cursor = |frame: &Frame| {
            let _ = std::hint::black_box(prover.proof(secret));
            Ok(format!("{:048}", frame.position.revision.0))
        };
        for _ in 0..5 {
            let (mut alone, mut together) = (Duration::ZERO, Duration::ZERO);
            let encodings = Encodings::default();
            for revision in 0..500 {
                let frame = revocation(revision);
                let begun = Instant::now();
                for _ in 0..200 {
                    std::hint::black_box(answers::frame(&frame, cursor(&frame).unwrap()).encode_to_vec());
                }
                alone += begun.elapsed();
                let begun = Instant::now();
                for _ in 0..200 {
                    std::hint::black_box(encodings.encode(&frame, cursor).unwrap());
                }
                together += begun.elapsed();
            }
            let ratio = alone.div_duration_f64(together);
            println!("100,000 frames each for itself {alone:?}, shared {together:?}: {ratio:.1} x");
        }
    }

    #[test]
    fn frames_that_differ_in_anything_are_told_apart() {
        let encodings = Encodings::default();
        let other_history = |mut frame: Frame| {
            frame.position.history = HistoryId(Uuid::from_u128(2));
            frame
        };
        let other_key = |frame| Frame { kid: Kid::parse("02").unwrap(), ..frame };
        let frames = [
            progress(7, true),
            progress(7, false),
            progress(8, true),
            other_history(progress(7, true)),
            other_key(progress(7, true)),
        ];
        for (number, frame) in frames.iter().enumerate() {
            let bytes = encodings.encode(frame, |_| Ok(number.to_string())).unwrap();
            assert_eq!(v1::WatchRevocationsResponse::decode(bytes).unwrap().cursor, number.to_string());
        }
    }

    #[test]
    fn only_the_latest_frames_are_kept() {
        let encodings = Encodings::default();
        for revision in 0..5000 {
            encodings.encode(&progress(revision, true), |_| Ok(String::new())).unwrap();
        }
        let kept = encodings.0.lock().unwrap();
        assert_eq!((kept.bytes.len(), kept.order.len()), (KEPT, KEPT));
    }
}
