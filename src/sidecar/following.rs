//! Following the stream: every frame is applied in order, and one that does not fit ends the session.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tonic::{Status, Streaming};

use super::failure::Failure;
use super::words::{self, Frame};
use super::{Place, Sidecar};
use crate::defect::{Defect, seeded};
use crate::proto::v1;
use crate::revocation::{Change, Position};
use crate::token::Revision;

/// The longest silence: a server sends progress about every 500 ms.
const SILENCE: Duration = Duration::from_millis(1_500);

/// Applies what comes, until nothing does.
pub(super) async fn follow(
    sidecar: Arc<Sidecar>,
    mut stream: Streaming<v1::WatchRevocationsResponse>,
) -> Failure {
    loop {
        let taken = match timeout(SILENCE, stream.message()).await {
            Ok(Ok(Some(frame))) => sidecar.take(frame),
            Ok(Ok(None)) => Err(Failure::Away(Status::unavailable("the stream has ended"))),
            Ok(Err(status)) => Err(Failure::from(status)),
            Err(_) => Err(Failure::silent()),
        };
        if let Err(failure) = taken {
            return failure;
        }
    }
}

impl Sidecar {
    /// Applies one frame.
    fn take(&self, frame: v1::WatchRevocationsResponse) -> Result<(), Failure> {
        let astray = |reason: &str| Failure::Astray(reason.to_owned());
        let before = self.position().ok_or_else(|| astray("nothing is followed"))?;
        let position = Position { revision: Revision(frame.revision), ..before };
        let cursor = frame.cursor.clone();
        match words::frame(frame).ok_or_else(|| astray("a frame cannot be read"))? {
            Frame::Event(event) if seeded(Defect::AcknowledgeBeforeApply) => {
                let (cache, history) = (Arc::clone(&self.cache), position.history);
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    cache.apply(history, &event);
                });
            }
            Frame::Event(event) if before.revision < event.revision => {
                if matches!(event.event.change, Change::ProfileUpdated { .. }) {
                    self.profiles.outdate();
                }
                self.cache.apply(position.history, &event);
            }
            Frame::Progress if before.revision <= position.revision => self.cache.advance(position),
            Frame::Event(_) | Frame::Progress => return Err(astray("a frame came out of order")),
        }
        self.place.send_replace(Some(Place { position, cursor }));
        Ok(())
    }
}
