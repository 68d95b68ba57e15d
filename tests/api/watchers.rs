//! A watcher that checks, frame by frame, what every stream promises.

use std::time::{Duration, Instant};

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::watch_revocations_response::Frame;
use tonic::{Status, Streaming};
use tonic_types::StatusExt as _;

use crate::clients::{Client, Refusal, refusal};
use crate::harness::Database;

/// How long a test waits for a frame that should come at once.
const PATIENCE: Duration = Duration::from_secs(15);

/// An event with its revision.
pub type Told = (i64, v1::RevocationEvent);

/// A stream that is read, and where it stands.
pub struct Watcher {
    stream: Streaming<v1::WatchRevocationsResponse>,
    pub cursor: String,
    /// That of the last frame; `None` before the first.
    pub revision: Option<i64>,
    /// Whether it sees every workspace, so that no revision may be left out.
    whole: bool,
}

impl Watcher {
    /// Watches everything, from a cursor or, without one, from the head.
    pub async fn open(client: &Client, cursor: &str) -> Self {
        Self::try_open(client, "", cursor).await.unwrap()
    }

    pub async fn try_open(client: &Client, workspace: &str, cursor: &str) -> Result<Self, Status> {
        let stream = client.clone().watch(workspace, cursor).await?;
        let whole = workspace.is_empty();
        Ok(Self { stream, cursor: cursor.to_owned(), revision: None, whole })
    }

    /// Watches from the head, and has read the first frame.
    pub async fn at_head(client: &Client) -> Self {
        let mut watcher = Self::open(client, "").await;
        assert_eq!(watcher.frame().await.unwrap(), None, "the first frame is progress");
        watcher
    }

    /// The same, by a client that comes back when it is told to.
    pub async fn at_head_in_the_end(client: &Client) -> Self {
        let begun = Instant::now();
        let mut watcher = loop {
            match Self::try_open(client, "", "").await {
                Ok(watcher) => break watcher,
                Err(status) => {
                    assert!(begun.elapsed() < PATIENCE, "{status:?}");
                    let advice = status.get_error_details().retry_info().and_then(|info| info.retry_delay);
                    tokio::time::sleep(advice.expect("advice to come back")).await;
                }
            }
        };
        assert_eq!(watcher.frame().await.unwrap(), None, "the first frame is progress");
        watcher
    }

    /// The next frame: an event, or `None` for progress.
    pub async fn frame(&mut self) -> Result<Option<Told>, Status> {
        let message =
            tokio::time::timeout(PATIENCE, self.stream.message()).await.expect("a frame in time")?;
        let message = message.expect("a stream never ends OK");
        let (before, now) = (self.revision.replace(message.revision), message.revision);
        self.cursor = message.cursor;
        match message.frame.unwrap() {
            Frame::Event(event) => {
                let follows = |before| if self.whole { now == before + 1 } else { now > before };
                assert!(before.is_none_or(follows), "an event at {now} after {before:?}");
                Ok(Some((now, event)))
            }
            Frame::Progress(_) => {
                let follows = |before| if self.whole { now == before } else { now >= before };
                assert!(before.is_none_or(follows), "progress at {now} after {before:?}");
                Ok(None)
            }
        }
    }

    /// The next event, whatever progress comes before.
    pub async fn event(&mut self) -> Told {
        loop {
            if let Some(told) = self.frame().await.unwrap() {
                return told;
            }
        }
    }

    /// Every event up to a revision.
    pub async fn until(&mut self, revision: i64) -> Vec<Told> {
        let mut events = Vec::new();
        while self.revision < Some(revision) {
            events.extend(self.frame().await.unwrap());
        }
        events
    }

    /// Every event up to the end of the stream, and why it ended.
    pub async fn end(&mut self) -> (Vec<Told>, Refusal) {
        let (begun, mut events) = (Instant::now(), Vec::new());
        loop {
            assert!(begun.elapsed() < PATIENCE, "the stream does not end");
            match self.frame().await {
                Ok(told) => events.extend(told),
                Err(status) => return (events, refusal(&status)),
            }
        }
    }

    /// Reads frames for a while: how many, and the longest wait for one.
    pub async fn quiet_for(&mut self, time: Duration) -> (usize, Duration) {
        let (begun, mut last, mut frames, mut longest) = (Instant::now(), Instant::now(), 0, Duration::ZERO);
        while begun.elapsed() < time {
            assert_eq!(self.frame().await.unwrap(), None, "an event in a quiet log");
            longest = longest.max(last.elapsed());
            (last, frames) = (Instant::now(), frames + 1);
        }
        (frames, longest)
    }
}

pub fn revisions(events: &[Told]) -> Vec<i64> {
    events.iter().map(|(revision, _)| *revision).collect()
}

/// Appends to the log, in one transaction, so many revocations of tokens that nobody has.
pub async fn fill_log(database: &Database, workspace: &str, count: i32, reason_length: i32) {
    let statement = "INSERT INTO revisions (revision, kind, workspace, token, generation, reason, initiator) \
         SELECT head + number, 'revoked', $1, gen_random_uuid(), 1, repeat('x', $3), 'bulk' \
         FROM generate_series(1, $2) number, (SELECT coalesce(max(revision), 0) AS head FROM revisions) heads";
    database.connect().await.execute(statement, &[&workspace, &count, &reason_length]).await.unwrap();
}
