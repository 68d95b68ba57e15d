//! The task that reads the log: apply, then tell.

use std::sync::Arc;
use std::time::Duration;

use super::{Confirmed, Feed, FeedOptions, Reading};
use crate::cache::Cache;
use crate::clock::BootTime;
use crate::defect::{Defect, seeded};
use crate::metrics::Metrics;
use crate::revocation::Position;
use crate::store::{Store, StoreError};

/// How often the log is read when nobody rings: what a change made on another server waits at most.
const POLL: Duration = Duration::from_millis(100);

/// How often watchers hear of a heartbeat.
const BEAT: Duration = Duration::from_millis(500);

pub(super) struct Tail {
    store: Store,
    cache: Arc<Cache>,
    metrics: Metrics,
    feed: Feed,
    /// What was read up to.
    position: Option<Position>,
    /// When watchers were last told of a heartbeat.
    told: BootTime,
    /// The heartbeat to tell them of next, once everything is told that it confirms.
    next: Option<Confirmed>,
    /// Whether the last reading failed, so that an outage is logged once.
    away: bool,
}

impl Tail {
    pub(super) fn new(options: FeedOptions, feed: Feed) -> Self {
        let FeedOptions { store, cache, metrics } = options;
        let told = BootTime::now();
        Self { store, cache, metrics, feed, position: None, told, next: None, away: false }
    }

    pub(super) async fn run(mut self) {
        loop {
            let read = match self.position {
                Some(position) => Reading::after(&self.store, position).await,
                None => Reading::of_head(&self.store).await,
            };
            match read {
                Ok(reading) => self.take(reading),
                Err(error) => self.note_outage(&error),
            }
            let poll = if seeded(Defect::NotifyOnly) { Duration::MAX } else { POLL };
            let _ = tokio::time::timeout(poll, self.feed.0.bell.notified()).await;
        }
    }

    /// The cache has applied a change before anybody can hear of it.
    fn take(&mut self, mut reading: Reading) {
        if std::mem::take(&mut self.away) {
            tracing::info!("the revision log can be read again");
        }
        if reading.more() {
            self.feed.look();
        }
        let continues = self.position.is_some_and(|position| reading.continues(position));
        let position = if continues { self.apply(&reading) } else { self.follow(&reading) };
        self.position = Some(position);
        self.metrics.log_was_read_to(position.revision.0);
        self.feed.0.applied.send_replace(Some(position));
        reading.confirmed = self.confirmation(position);
        if !continues || !reading.events.is_empty() || reading.confirmed.is_some() {
            // Without a watcher there is nobody to tell.
            let _ = self.feed.0.readings.send(Arc::new(reading));
        }
    }

    fn apply(&self, reading: &Reading) -> Position {
        let head = reading.head.position;
        for event in &reading.events {
            self.cache.apply(head.history, event);
        }
        if let Some(awaited) = reading.events.iter().rev().find(|event| event.awaited) {
            self.feed.0.awaited.send_replace(awaited.revision);
        }
        reading.events.last().map_or(head, |last| Position { revision: last.revision, ..head })
    }

    /// What was known may be wrong: another history, or events that are deleted, lost or missing.
    fn follow(&self, reading: &Reading) -> Position {
        let head = reading.head.position;
        if let Some(before) = self.position {
            tracing::error!(
                history = %head.history.0,
                revision = head.revision.0,
                before = before.revision.0,
                "the revision log does not go on from where it was read to; following it anew"
            );
        }
        self.cache.follow(head);
        head
    }

    /// Twice a second, the latest heartbeat; and if the log had gone on by then, as soon as that much is told.
    fn confirmation(&mut self, position: Position) -> Option<Confirmed> {
        if self.next.is_none() && BootTime::now().since(self.told) >= BEAT {
            let latest = *self.feed.0.confirmed.borrow();
            self.next = latest.filter(|latest| latest.sent > self.told);
        }
        let next = self.next?;
        let reached = position.reaches(next.head);
        if !reached && next.head.history == position.history {
            return None;
        }
        self.next = None;
        self.told = BootTime::now();
        reached.then_some(next)
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
