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
pub const BEAT: Duration = Duration::from_millis(500);

/// The most events read at once.
const BATCH: usize = 1_000;

/// How many readings a watcher may be behind before it must read the log itself.
const BACKLOG: usize = 256;

/// What one reading of the log found.
#[derive(Debug)]
pub enum News {
    /// Everything after the reading before, up to `head`; possibly nothing.
    Read {
        /// The events, by revision.
        events: Vec<Event>,
        /// What was read up to.
        head: Position,
    },
    /// The log is not the one that was read before: restored, or replaced.
    OtherHistory,
}

/// A handle on the tail.
#[derive(Debug, Clone)]
pub struct Feed {
    bell: Arc<Notify>,
    news: broadcast::Sender<Arc<News>>,
}

impl Feed {
    /// Starts the tail. Its task ends only by a defect, and a server without it must not go on serving.
    #[must_use]
    pub fn start(store: Store, metrics: Metrics) -> (Self, JoinHandle<()>) {
        let feed = Self { bell: Arc::new(Notify::new()), news: broadcast::Sender::new(BACKLOG) };
        let tail =
            Tail { store, metrics, feed: feed.clone(), read: None, last_beat: Instant::now(), away: false };
        (feed, tokio::spawn(tail.run()))
    }

    /// Says that there is something new to read.
    pub fn ring(&self) {
        self.bell.notify_one();
    }

    /// Hears every reading from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<News>> {
        self.news.subscribe()
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
            match self.read().await {
                Ok(news) => self.tell(news),
                Err(error) => self.note_outage(&error),
            }
            let _ = tokio::time::timeout(POLL, self.feed.bell.notified()).await;
        }
    }

    async fn read(&mut self) -> Result<News, StoreError> {
        let mut connection = self.store.connection().await?;
        let head = log::head(&mut connection).await?;
        let Some(read) = self.read.replace(head) else { return Ok(News::Read { events: Vec::new(), head }) };
        if read.history != head.history || head.revision < read.revision {
            return Ok(News::OtherHistory);
        }
        if head.revision == read.revision {
            return Ok(News::Read { events: Vec::new(), head });
        }
        // Until the events are here, nothing counts as read.
        self.read = Some(read);
        let events = log::read_after(&mut connection, read.revision, BATCH).await?;
        let revision = events.last().map_or(read.revision, |last| last.revision);
        let head = Position { revision, ..head };
        self.read = Some(head);
        Ok(News::Read { events, head })
    }

    fn tell(&mut self, news: News) {
        if std::mem::take(&mut self.away) {
            tracing::info!("the revision log can be read again");
        }
        match &news {
            News::Read { events, head } => {
                self.metrics.log_was_read_to(head.revision.0);
                if events.is_empty() && self.last_beat.elapsed() < BEAT {
                    return;
                }
                if events.len() == BATCH {
                    self.feed.ring();
                }
            }
            News::OtherHistory => tracing::error!("the revision log is not the one that was read before"),
        }
        self.last_beat = Instant::now();
        // Without a watcher there is nobody to tell.
        let _ = self.feed.news.send(Arc::new(news));
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
