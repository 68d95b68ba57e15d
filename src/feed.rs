//! The tail of the revision log: one task per server reads it, applies it to the cache, and then tells every watcher.
//!
//! A poll is what guarantees that nothing is missed; bells only shorten the wait: the local one, rung by changes made on
//! this server, and the doorbell, rung by other servers. A watcher that hears too slowly is told so by its channel and
//! reads the log itself.

mod doorbell;
mod tail;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, broadcast, watch};
use tokio::task::JoinHandle;

use crate::cache::Cache;
use crate::clock::BootTime;
use crate::metrics::Metrics;
use crate::revocation::{Event, Head, Position, Segment};
use crate::store::doorbell::Doorbell;
use crate::store::{Store, StoreError, log};
use crate::token::Revision;

/// The most events in one reading.
const BATCH: usize = 250;

/// How many readings a watcher may be behind before it must read the log itself. With [`BATCH`] this bounds what watchers
/// that stall keep in memory, all of them together, to 32,000 events of at most a kilobyte, and 16 more for one that names a
/// thousand tokens.
const BACKLOG: usize = 128;

/// The longest that one reading may take. A database that hangs longer is asked again over another connection.
const PATIENCE: Duration = Duration::from_secs(1);

/// What one reading of the log found.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The database was asked after this.
    pub begun: BootTime,
    /// The database had answered before this.
    pub ended: BootTime,
    /// The log as it stood.
    pub head: Head,
    /// What comes right after the position read from, possibly not all of it.
    pub events: Vec<Arc<Event>>,
    /// That the log held nothing more, by a heartbeat that watchers were not told of yet.
    pub confirmed: Option<Confirmed>,
}

/// What a committed heartbeat says of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmed {
    /// The heartbeat began after this.
    pub sent: BootTime,
    /// Where the log ended then.
    pub head: Position,
}

impl Reading {
    /// Reads only where the log ends, for at most a second.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] and its like.
    pub async fn of_head(store: &Store) -> Result<Self, StoreError> {
        Self::bounded(store, None).await
    }

    /// Reads what comes right after a position, unless the log ends before it, does not reach back to it or is of another
    /// history; for at most a second.
    ///
    /// # Errors
    /// As [`Reading::of_head`], or [`StoreError::Corrupt`].
    pub async fn after(store: &Store, position: Position) -> Result<Self, StoreError> {
        Self::bounded(store, Some(position)).await
    }

    /// A reading that is dropped midway takes its connection with it.
    async fn bounded(store: &Store, after: Option<Position>) -> Result<Self, StoreError> {
        let begun = BootTime::now();
        let read = tokio::time::timeout(PATIENCE, read(store, after)).await;
        let Segment { head, events } = read.map_err(StoreError::unavailable)??;
        let events = events.into_iter().map(Arc::new).collect();
        Ok(Self { begun, ended: BootTime::now(), head, events, confirmed: None })
    }

    /// Whether the log holds more than it tells, given that everything before its events is known.
    #[must_use]
    pub fn more(&self) -> bool {
        self.events.last().is_some_and(|last| last.revision != self.head.position.revision)
    }

    /// Whether it tells everything that follows a position, or at least the next of it.
    #[must_use]
    pub fn continues(&self, position: Position) -> bool {
        let Revision(revision) = position.revision;
        let next = self.events.first().map_or(self.head.position.revision.0 + 1, |first| first.revision.0);
        self.head.reaches_back_to(position) && next == revision + 1
    }
}

async fn read(store: &Store, after: Option<Position>) -> Result<Segment, StoreError> {
    let mut connection = store.connection().await?;
    match after {
        Some(after) => log::read_after(&mut connection, after, BATCH).await,
        None => Ok(Segment { head: log::head(&mut connection).await?, events: Vec::new() }),
    }
}

/// What the tail needs.
pub struct FeedOptions {
    /// The database, over connections that requests cannot use up.
    pub store: Store,
    /// Where changes are applied before watchers hear of them.
    pub cache: Arc<Cache>,
    /// Counts.
    pub metrics: Metrics,
}

/// A handle on the tail. Clones share it.
#[derive(Debug, Clone)]
pub struct Feed(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The log should be read now.
    bell: Notify,
    /// The other servers should read the log now.
    doorbell: Notify,
    readings: broadcast::Sender<Arc<Reading>>,
    /// Up to where the log is applied to the cache.
    applied: watch::Sender<Option<Position>>,
    /// The last applied revision for which somebody waits.
    awaited: watch::Sender<Revision>,
    /// The latest heartbeat.
    confirmed: watch::Sender<Option<Confirmed>>,
}

/// The log was not applied up to there in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the revision log was not applied up to there in time")]
pub struct NotReached;

impl Feed {
    /// Starts the tail. Its task ends only by a defect, and a server without it must not go on serving.
    #[must_use]
    pub fn start(options: FeedOptions) -> (Self, JoinHandle<()>) {
        let feed = Self(Arc::new(Shared {
            bell: Notify::new(),
            doorbell: Notify::new(),
            readings: broadcast::Sender::new(BACKLOG),
            applied: watch::Sender::new(None),
            awaited: watch::Sender::new(Revision::ZERO),
            confirmed: watch::Sender::new(None),
        }));
        let tail = tail::Tail::new(options, feed.clone());
        (feed, tokio::spawn(tail.run()))
    }

    /// Rings at other servers, and hears when they ring, over a connection of its own. Its task ends only by a defect.
    #[must_use]
    pub fn answer(&self, doorbell: Doorbell, metrics: Metrics) -> JoinHandle<()> {
        tokio::spawn(doorbell::attend(doorbell, self.clone(), metrics))
    }

    /// Says that something was committed here that there is now to read, here and at other servers.
    pub fn ring(&self) {
        self.0.bell.notify_one();
        self.0.doorbell.notify_one();
    }

    /// Hears every reading from now on that has something to say.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Reading>> {
        self.0.readings.subscribe()
    }

    /// Hears how far the log is applied to the cache; `None` before the first reading.
    #[must_use]
    pub fn applied(&self) -> watch::Receiver<Option<Position>> {
        self.0.applied.subscribe()
    }

    /// Hears of the last revision that is applied and for which somebody waits.
    #[must_use]
    pub fn awaited(&self) -> watch::Receiver<Revision> {
        self.0.awaited.subscribe()
    }

    /// Takes note of a committed heartbeat.
    pub fn confirm(&self, confirmed: Confirmed) {
        self.0.confirmed.send_replace(Some(confirmed));
    }

    /// Has the log read now: there may be something to read.
    pub fn look(&self) {
        self.0.bell.notify_one();
    }

    /// Waits until everything up to a position is applied to the cache.
    ///
    /// # Errors
    /// [`NotReached`] if it takes longer than `patience`, for instance since another history is followed.
    pub async fn reach(&self, position: Position, patience: Duration) -> Result<(), NotReached> {
        self.reach_where(|applied| applied.reaches(position), patience).await
    }

    /// Waits until everything up to a revision of the history that is followed is applied to the cache.
    ///
    /// # Errors
    /// [`NotReached`] if it takes longer than `patience`.
    pub async fn reach_revision(&self, revision: Revision, patience: Duration) -> Result<(), NotReached> {
        self.reach_where(|applied| applied.revision >= revision, patience).await
    }

    async fn reach_where(
        &self,
        is_there: impl Fn(Position) -> bool,
        patience: Duration,
    ) -> Result<(), NotReached> {
        let reached = |applied: &Option<Position>| applied.is_some_and(&is_there);
        let mut applied = self.0.applied.subscribe();
        if reached(&applied.borrow_and_update()) {
            return Ok(());
        }
        self.look();
        let waited = tokio::time::timeout(patience, applied.wait_for(reached)).await;
        if matches!(waited, Ok(Ok(_))) { Ok(()) } else { Err(NotReached) }
    }
}
