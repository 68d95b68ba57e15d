//! The tail of the revision log: one task per server reads it, and every watcher hears what it read.
//!
//! A poll is what guarantees that nothing is missed; the bell, rung by changes made on this server, only shortens the
//! wait. A watcher that hears too slowly is told so by its channel and reads the log itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, broadcast};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::metrics::Metrics;
use crate::revocation::{Event, Position};
use crate::store::{Store, StoreError, log};

/// How often the log is read when nobody rings: what a change made on another server waits at most.
const POLL: Duration = Duration::from_millis(100);

/// How often watchers hear that there is nothing new.
const BEAT: Duration = Duration::from_millis(500);

/// The most events in one reading.
const BATCH: usize = 250;

/// How many readings a watcher may be behind before it must read the log itself. With [`BATCH`] this bounds what watchers
/// that stall keep in memory, all of them together, to 32,000 events of at most a kilobyte.
const BACKLOG: usize = 128;

/// What one reading of the log found.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The database was asked after this.
    pub begun: Instant,
    /// The database had answered before this.
    pub ended: Instant,
    /// Where the log ended.
    pub head: Position,
    /// What comes right after the position read from, possibly not all of it.
    pub events: Vec<Event>,
    /// Whether a watcher to whom nothing in it is new should be told just that.
    pub beat: bool,
}

impl Reading {
    /// Reads only where the log ends.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] and its like.
    pub async fn of_head(store: &Store) -> Result<Self, StoreError> {
        Self::new(store, None).await
    }

    /// Reads what comes right after a position, unless the log ends before it or is of another history.
    ///
    /// # Errors
    /// As [`Reading::of_head`], or [`StoreError::Corrupt`].
    pub async fn after(store: &Store, position: Position) -> Result<Self, StoreError> {
        Self::new(store, Some(position)).await
    }

    async fn new(store: &Store, after: Option<Position>) -> Result<Self, StoreError> {
        let begun = Instant::now();
        let mut connection = store.connection().await?;
        let (head, events) = match after {
            Some(after) => {
                let segment = log::read_after(&mut connection, after, BATCH).await?;
                (segment.head, segment.events)
            }
            None => (log::head(&mut connection).await?, Vec::new()),
        };
        let head = head.position;
        Ok(Self { begun, ended: Instant::now(), head, events, beat: true })
    }

    /// Whether the log holds more than it tells.
    #[must_use]
    pub fn more(&self) -> bool {
        self.end() != self.head
    }

    /// Up to where it tells everything, given that everything before its events is known.
    fn end(&self) -> Position {
        match self.events.last() {
            Some(last) => Position { revision: last.revision, ..self.head },
            None => self.head,
        }
    }
}

/// A handle on the tail.
#[derive(Debug, Clone)]
pub struct Feed {
    bell: Arc<Notify>,
    readings: broadcast::Sender<Arc<Reading>>,
}

impl Feed {
    /// Starts the tail. Its task ends only by a defect, and a server without it must not go on serving.
    #[must_use]
    pub fn start(store: Store, metrics: Metrics) -> (Self, JoinHandle<()>) {
        let feed = Self { bell: Arc::new(Notify::new()), readings: broadcast::Sender::new(BACKLOG) };
        let tail =
            Tail { store, metrics, feed: feed.clone(), read: None, last_beat: Instant::now(), away: false };
        (feed, tokio::spawn(tail.run()))
    }

    /// Says that there is something new to read.
    pub fn ring(&self) {
        self.bell.notify_one();
    }

    /// Hears every reading from now on that has something to say.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Reading>> {
        self.readings.subscribe()
    }
}

struct Tail {
    store: Store,
    metrics: Metrics,
    feed: Feed,
    /// What was read up to.
    read: Option<Position>,
    last_beat: Instant,
    /// Whether the last reading failed, so that an outage is logged once.
    away: bool,
}

impl Tail {
    async fn run(mut self) {
        loop {
            match Reading::new(&self.store, self.read).await {
                Ok(reading) => self.tell(reading),
                Err(error) => self.note_outage(&error),
            }
            let _ = tokio::time::timeout(POLL, self.feed.bell.notified()).await;
        }
    }

    fn tell(&mut self, mut reading: Reading) {
        if std::mem::take(&mut self.away) {
            tracing::info!("the revision log can be read again");
        }
        let end = reading.end();
        if reading.more() {
            self.feed.ring();
        }
        let before = self.read.replace(end);
        if before.is_some_and(|before| before.history != end.history || before.revision > end.revision) {
            tracing::error!("the revision log is not the one that was read before");
        }
        self.metrics.log_was_read_to(end.revision.0);
        reading.beat = self.last_beat.elapsed() >= BEAT;
        if reading.beat {
            self.last_beat = Instant::now();
        } else if before == Some(end) {
            return;
        }
        // Without a watcher there is nobody to tell.
        let _ = self.feed.readings.send(Arc::new(reading));
    }

    fn note_outage(&mut self, error: &StoreError) {
        if !std::mem::replace(&mut self.away, true) {
            tracing::warn!(
                error = crate::telemetry::chain(error),
                "the revision log cannot be read; trying on"
            );
        }
    }
}
