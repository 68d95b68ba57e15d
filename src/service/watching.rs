//! Following the revision log on behalf of a caller: in order, without a gap, only what the caller may see, and only as
//! long as it may.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use super::{Caller, Error, Permission, Reach, Service};
use crate::feed::{BEAT, News};
use crate::revocation::{Event, Position};
use crate::store::{log, workspaces};
use crate::token::Revision;
use crate::workspace::WorkspaceId;

/// The most events read at once while catching up.
const BATCH: usize = 500;

/// Where a watcher begins and what it wants to see.
#[derive(Debug)]
pub struct WatchRequest {
    /// One workspace, or all that the caller acts on.
    pub workspace: Option<WorkspaceId>,
    /// The cursor of the last frame seen.
    pub cursor: Option<String>,
}

/// One thing a watcher is told.
#[derive(Debug)]
pub struct Frame {
    /// A change; or nothing, when everything up to `revision` has been told.
    pub event: Option<Event>,
    /// Where in the order.
    pub revision: Revision,
    /// Resumes right after this.
    pub cursor: String,
}

/// A caller's place in the log.
pub struct Subscription {
    service: Arc<Service>,
    caller: Caller,
    scope: Reach,
    news: Receiver<Arc<News>>,
    /// Everything up to here is told or in `ready`.
    position: Position,
    ready: VecDeque<Frame>,
    caught_up: bool,
    last_frame: Instant,
    /// When the caller's token expires, by our clock; `None` for never.
    expiry: Option<Instant>,
}

impl Service {
    /// Begins to follow the log.
    ///
    /// # Errors
    /// [`Error::WorkspaceDenied`], [`Error::WorkspaceNotFound`], [`Error::InvalidCursor`], [`Error::CursorForeign`],
    /// [`Error::CursorAhead`], or that it cannot be done now.
    pub async fn watch(
        self: &Arc<Self>,
        caller: Caller,
        request: WatchRequest,
    ) -> Result<Subscription, Error> {
        // Heard from before the head is read, so that nothing falls between.
        let news = self.feed.subscribe();
        let scope = self.watch_scope(&caller, request.workspace).await?;
        let head = self.head().await?;
        let begun = request.cursor.as_deref().map(|cursor| self.begin_at(cursor, head)).transpose()?;
        let mut subscription = Subscription {
            service: Arc::clone(self),
            expiry: expiry(&caller),
            caller,
            scope,
            news,
            position: begun.unwrap_or(head),
            ready: VecDeque::new(),
            caught_up: begun.is_none(),
            last_frame: Instant::now(),
        };
        if begun.is_none() {
            subscription.push(None, head)?;
        }
        Ok(subscription)
    }

    async fn watch_scope(&self, caller: &Caller, workspace: Option<WorkspaceId>) -> Result<Reach, Error> {
        let Some(workspace) = workspace else { return Ok(caller.reach().clone()) };
        caller.require_workspace(&workspace)?;
        let mut connection = self.store.connection().await?;
        let found = workspaces::find(&mut connection, &workspace).await?;
        found.map(|found| Reach::One(found.id)).ok_or(Error::WorkspaceNotFound(workspace))
    }

    async fn head(&self) -> Result<Position, Error> {
        let mut connection = self.store.connection().await?;
        Ok(log::head(&mut connection).await?)
    }

    fn begin_at(&self, cursor: &str, head: Position) -> Result<Position, Error> {
        let position =
            self.keyring.read_cursor(cursor).map_err(|error| self.unreadable(error, Error::InvalidCursor))?;
        if position.history != head.history {
            return Err(Error::CursorForeign);
        }
        if position.revision > head.revision {
            return Err(Error::CursorAhead);
        }
        Ok(position)
    }
}

impl Subscription {
    /// Waits for the next frame.
    ///
    /// # Errors
    /// Whatever ends the stream; it never ends well. Every frame given before holds.
    pub async fn next(&mut self) -> Result<Frame, Error> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Ok(frame);
            }
            if self.caught_up { self.listen().await? } else { self.catch_up().await? }
        }
    }

    /// Reads the log itself, from where it stands.
    async fn catch_up(&mut self) -> Result<(), Error> {
        let mut connection = self.service.store.connection().await?;
        let events = log::read_after(&mut connection, self.position.revision, BATCH).await?;
        drop(connection);
        self.caught_up = events.len() < BATCH;
        self.take(&events).await
    }

    /// Waits for the tail to tell something.
    async fn listen(&mut self) -> Result<(), Error> {
        let heard = tokio::select! {
            heard = self.news.recv() => heard,
            () = sleep_until(self.expiry) => return self.renew().await,
        };
        match heard {
            Ok(news) => self.hear(&news).await,
            Err(RecvError::Lagged(_)) => {
                self.caught_up = false;
                Ok(())
            }
            Err(RecvError::Closed) => Err(Error::Draining),
        }
    }

    async fn hear(&mut self, news: &News) -> Result<(), Error> {
        let News::Read { events, head } = news else { return Err(Error::CursorForeign) };
        if head.history != self.position.history {
            return Err(Error::CursorForeign);
        }
        let fresh = events.partition_point(|event| event.revision <= self.position.revision);
        let fresh = events.get(fresh..).unwrap_or_default();
        let behind = head.revision.0 - self.position.revision.0;
        if behind > 0 && usize::try_from(behind).ok() != Some(fresh.len()) {
            // Not all that is missing was told here, so it is in the log.
            self.caught_up = false;
            return Ok(());
        }
        self.take(fresh).await?;
        if self.last_frame.elapsed() >= BEAT {
            self.push(None, self.position)?;
        }
        Ok(())
    }

    async fn take(&mut self, events: &[Event]) -> Result<(), Error> {
        for event in events {
            if event.revision.0 != self.position.revision.0 + 1 {
                return Err(Error::Internal("the revision log has a gap".into()));
            }
            self.position.revision = event.revision;
            if self.scope.covers(&event.event.workspace) {
                self.push(Some(event.clone()), self.position)?;
            }
            if event.event.token == self.caller.token() {
                self.renew().await?;
            }
        }
        Ok(())
    }

    fn push(&mut self, event: Option<Event>, position: Position) -> Result<(), Error> {
        let kid = self.service.keys.minting();
        let cursor = self.service.keyring.cursor(kid, position).ok_or(Error::KeyUnavailable(kid))?;
        self.ready.push_back(Frame { event, revision: position.revision, cursor });
        self.last_frame = Instant::now();
        Ok(())
    }

    /// The caller's own token was changed, or its time has come: does it still have the right?
    async fn renew(&mut self) -> Result<(), Error> {
        self.caller = self.service.authenticate_again(&self.caller, Permission::WatchRevocations).await?;
        self.expiry = expiry(&self.caller);
        Ok(())
    }
}

/// When to look at the caller's token again. The database's clock decides whether it is expired, so if ours runs ahead
/// we only ask once a second until then.
fn expiry(caller: &Caller) -> Option<Instant> {
    let left = caller.expire_time()?.duration_since(SystemTime::now()).unwrap_or_default();
    Instant::now().checked_add(left.max(Duration::from_secs(1)))
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
