//! Following the revision log on behalf of a caller: in order, without a gap, only what the caller may see, and only as
//! long as it may.

mod place;
mod progress;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use self::place::{Continuation, Place};
use self::progress::Progress;
use super::{Caller, Error, Permission, Reach, Service};
use crate::clock::BootTime;
use crate::defect::{Defect, seeded};
use crate::feed::Reading;
use crate::revocation::{Event, Position};
use crate::store::workspaces;
use crate::token::Kid;
use crate::workspace::WorkspaceId;

/// The shortest wait before an expiring caller is looked at again, should our clock and the database's run apart.
const EXPIRY_GRAIN: Duration = Duration::from_millis(20);

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
    /// What it tells.
    pub told: Told,
    /// Where in the order.
    pub position: Position,
    /// The key that its cursor is made with.
    pub kid: Kid,
}

/// What a frame tells.
#[derive(Debug)]
pub enum Told {
    /// A change.
    Event(Arc<Event>),
    /// Everything up to the frame's revision has been told.
    Progress {
        /// Whether the database also confirmed, by a committed write, that nothing beyond was there at some moment after
        /// the confirmed progress before.
        confirmed: bool,
    },
}

/// A caller's way through the log.
pub struct Subscription {
    service: Arc<Service>,
    caller: Caller,
    scope: Reach,
    /// When to look again whether the caller's token is expired; `None` for never.
    expiry: Option<Instant>,
    readings: Receiver<Arc<Reading>>,
    /// Up to where everything is told.
    place: Place,
    /// What is being told now, and how many of its events are.
    reading: Arc<Reading>,
    told: usize,
    /// The log holds more than is heard, so it must be read.
    behind: bool,
    progress: Progress,
}

impl Service {
    /// Begins to follow the log.
    ///
    /// # Errors
    /// [`Error::WorkspaceDenied`], [`Error::WorkspaceNotFound`], [`Error::InvalidCursor`], [`Error::CursorForeign`],
    /// [`Error::CursorAhead`], [`Error::RevisionCompacted`], that the caller has lost its rights, or that it cannot be done now.
    pub async fn watch(
        self: &Arc<Self>,
        caller: Caller,
        request: WatchRequest,
    ) -> Result<Subscription, Error> {
        let mut scope = self.watch_scope(&caller, request.workspace).await?;
        if request.cursor.is_some() && seeded(Defect::ResumeUnfiltered) {
            scope = Reach::Every;
        }
        // Heard from before the head is read, so that nothing falls between.
        let readings = self.feed.subscribe();
        let reading = Reading::of_head(&self.store).await?;
        let cursor = request.cursor.map(|cursor| self.keyring.read_cursor(&cursor));
        let unreadable = |error| self.unreadable(error, Error::InvalidCursor);
        let begin = cursor.transpose().map_err(unreadable)?.unwrap_or(reading.head.position);
        let foreign = begin.history != reading.head.position.history;
        let compacted = begin.revision < reading.head.compacted;
        let at_head = (foreign && seeded(Defect::ResumeAtHeadOnForeign))
            || (compacted && seeded(Defect::ResumeAtHeadOnCompacted));
        let begin = if at_head { reading.head.position } else { begin };
        let mut subscription = Subscription {
            service: Arc::clone(self),
            caller,
            scope,
            expiry: None,
            readings,
            place: Place::begin(begin, &reading)?,
            behind: begin != reading.head.position,
            reading: Arc::new(reading),
            told: 0,
            progress: Progress::default(),
        };
        // A change of the caller's token that comes after the head will be heard; one before it is seen here.
        subscription.renew().await?;
        Ok(subscription)
    }

    /// The text that resumes right after a frame; the same for everybody who is told it.
    ///
    /// # Errors
    /// [`Error::KeyUnavailable`].
    pub fn cursor(&self, frame: &Frame) -> Result<String, Error> {
        let told = frame.position;
        let applied = self.cache.applied().filter(|_| seeded(Defect::CursorBeforeEvents));
        self.keyring.cursor(frame.kid, applied.unwrap_or(told)).ok_or(Error::KeyUnavailable(frame.kid))
    }

    async fn watch_scope(&self, caller: &Caller, workspace: Option<WorkspaceId>) -> Result<Reach, Error> {
        let Some(workspace) = workspace else { return Ok(caller.reach()) };
        caller.require_workspace(&workspace)?;
        let mut connection = self.store.connection().await?;
        let found = workspaces::find(&mut connection, &workspace).await?;
        found.map(|found| Reach::One(found.id)).ok_or(Error::WorkspaceNotFound(workspace))
    }
}

impl Subscription {
    /// Waits for the next frame, which is to be sent at once: it is judged now whether the caller may still have it.
    ///
    /// # Errors
    /// Whatever ends the stream; it never ends well. Every frame given before holds.
    pub async fn next(&mut self) -> Result<Frame, Error> {
        let told = loop {
            if self.expiry.is_some_and(|expiry| expiry <= Instant::now()) {
                self.renew().await?;
            }
            if let Some(event) = self.next_event().await? {
                self.progress.told_event();
                break Told::Event(event);
            }
            let now = BootTime::now();
            if let Some(confirmed) = self.progress.take(self.place.position(), self.behind, now) {
                break Told::Progress { confirmed };
            }
            if self.behind { self.read().await? } else { self.listen().await? }
        };
        Ok(Frame { told, position: self.place.position(), kid: self.service.keys.minting() })
    }

    /// The next event of what is being told that the watcher may see. At a change that concerns the caller's own token it
    /// stops, unless the caller may still watch: so a caller that loses its rights gets everything before, and nothing from
    /// then on.
    async fn next_event(&mut self) -> Result<Option<Arc<Event>>, Error> {
        let reading = Arc::clone(&self.reading);
        while let Some(event) = reading.events.get(self.told) {
            self.place.advance(event)?;
            self.told += 1;
            let change = &event.event.change;
            if self.caller.is_concerned_by(change) {
                self.renew().await?;
            }
            if change.workspace().is_none_or(|workspace| self.scope.covers(workspace)) {
                return Ok(Some(Arc::clone(event)));
            }
            self.progress.leave_out();
        }
        Ok(None)
    }

    /// Reads the log itself, from where it stands.
    async fn read(&mut self) -> Result<(), Error> {
        let reading = Box::pin(Reading::after(&self.service.store, self.place.position())).await?;
        // A gap found here is one of the log itself, and found again when its events are told.
        self.place.compare(&reading)?;
        self.behind = reading.more();
        (self.reading, self.told) = (Arc::new(reading), 0);
        Ok(())
    }

    /// Waits for the tail to tell something, or for the caller's time to come.
    async fn listen(&mut self) -> Result<(), Error> {
        let heard = tokio::select! {
            heard = self.readings.recv() => heard,
            () = sleep_until(self.expiry) => return Ok(()),
            () = sleep(self.progress.wake()) => return Ok(()),
        };
        match heard {
            Ok(reading) => self.hear(reading),
            Err(RecvError::Lagged(_)) => {
                self.behind = !seeded(Defect::LaggedIgnored);
                Ok(())
            }
            Err(RecvError::Closed) => Err(Error::Draining),
        }
    }

    fn hear(&mut self, reading: Arc<Reading>) -> Result<(), Error> {
        if let Some(confirmed) = reading.confirmed {
            self.progress.hear(confirmed);
        }
        match self.place.compare(&reading)? {
            Continuation::Gap => self.behind = true,
            Continuation::After(told) => (self.reading, self.told) = (reading, told),
        }
        Ok(())
    }

    /// Does the caller still have the right?
    async fn renew(&mut self) -> Result<(), Error> {
        // In a box of its own, as is what reads the log: every watcher would hold the room for it while it only listens.
        let renewing = self.service.authenticate_again(&self.caller, Permission::WatchRevocations);
        let renewed = Box::pin(renewing).await?;
        let (caller, left) = renewed;
        self.caller = caller;
        self.expiry = left.and_then(|left| Instant::now().checked_add(left.max(EXPIRY_GRAIN)));
        Ok(())
    }
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

async fn sleep(until: Option<BootTime>) {
    match until {
        Some(until) => tokio::time::sleep(until.since(BootTime::now())).await,
        None => std::future::pending().await,
    }
}
