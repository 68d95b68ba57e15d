//! How fresh an answer is: what must be known before one is given, and by what right it is given.

use std::time::Duration;

use tokio::time::Instant;

use super::{Error, Service};
use crate::clock::BootTime;
use crate::fleet::Unconfirmed;
use crate::introspection::{Freshness, InactiveReason};
use crate::revocation::{HistoryId, Position};
use crate::store::StoreError;
use crate::token::Revision;

/// How long a request waits for this server to apply what was committed elsewhere.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is proved for one request since it arrived. A heartbeat is asked for once, and serves all that the request asks.
pub(super) struct Arrival<'service> {
    service: &'service Service,
    /// Until when to wait for what is to be applied.
    until: Instant,
    /// Where the log ended after the request had arrived, if that was needed.
    head: Option<Result<Position, Unconfirmed>>,
}

impl<'service> Arrival<'service> {
    /// Of a request that has arrived by now.
    pub(super) fn now(service: &'service Service) -> Self {
        Self { service, until: Instant::now() + PATIENCE, head: None }
    }

    /// Waits until what is applied here is as fresh as demanded, and gives the revision that it has reached at least.
    ///
    /// # Errors
    /// [`Error::RevisionNotReached`], [`Error::DatabaseUnavailable`].
    pub(super) async fn reach(&mut self, freshness: Freshness) -> Result<Revision, Error> {
        let reached = match freshness {
            Freshness::Leased => return Ok(Revision::ZERO),
            Freshness::AtLeast(revision) => {
                self.service.feed.reach_revision(revision, self.left()).await.map(|()| revision)
            }
            Freshness::Strong => {
                let head = self.head().await?;
                self.service.feed.reach(head, self.left()).await.map(|()| head.revision)
            }
        };
        reached.map_err(|_| Error::RevisionNotReached)
    }

    /// Whether it is worth while to look into the database: without a lease nothing that is found there may be told.
    ///
    /// # Errors
    /// [`Error::LeaseLost`].
    pub(super) async fn may_look(&mut self) -> Result<(), Error> {
        self.stand().await.map(drop)
    }

    /// Whether a token may be accepted that was found live in the database, in this history.
    ///
    /// # Errors
    /// [`Error::LeaseLost`].
    pub(super) async fn may_accept(&mut self, source: HistoryId) -> Result<(), Error> {
        let standing = self.stand().await?;
        self.require_same(standing, source)
    }

    /// A connection that shows another history than is followed may lead to a deposed primary; it is not used again.
    fn require_same(&self, known: Position, source: HistoryId) -> Result<(), Error> {
        if known.history == source {
            return Ok(());
        }
        self.service.store.renew();
        Err(Error::LeaseLost)
    }

    /// Whether a token may be called dead for a reason that was found in the database, where the last change that concerns
    /// it is at this place. What the database may only not know yet, since it was deposed, it must have proved to know.
    ///
    /// # Errors
    /// [`Error::LeaseLost`].
    pub(super) async fn may_deny(&mut self, reason: InactiveReason, found: Position) -> Result<(), Error> {
        let proved = match reason {
            InactiveReason::Malformed | InactiveReason::Forged => return Ok(()),
            InactiveReason::OtherWorkspace | InactiveReason::OtherAudience | InactiveReason::OtherAddress => {
                return self.may_accept(found.history).await;
            }
            // A revocation may be seen that a deposed primary keeps for itself, since its wait for the standby was broken
            // off. One that is confirmed is for ever, so that any heartbeat will do.
            InactiveReason::Revoked => self.head_reaching(found).await,
            InactiveReason::Unknown
            | InactiveReason::Expired
            | InactiveReason::Superseded
            | InactiveReason::Invalidated
            | InactiveReason::PrincipalDisabled
            | InactiveReason::Suspended => self.late_head_reaching(found).await,
        };
        self.require_same(proved.map_err(|_| Error::LeaseLost)?, found.history)?;
        self.may_accept(found.history).await
    }

    /// Up to where everything is applied, by the lease that is held; one that was lost may be had again at once, by a
    /// heartbeat of one's own.
    async fn stand(&mut self) -> Result<Position, Error> {
        if let Some(standing) = self.standing() {
            return Ok(standing);
        }
        let head = self.head().await.map_err(|_| Error::LeaseLost)?;
        self.service.feed.reach(head, self.left()).await.map_err(|_| Error::LeaseLost)?;
        if let Some(standing) = self.standing() {
            return Ok(standing);
        }
        // The heartbeat that finds a new history gives no lease in it, since it was not followed yet. The next one does.
        self.service.fleet.confirm().await.map_err(|_| Error::LeaseLost)?;
        self.standing().ok_or(Error::LeaseLost)
    }

    fn standing(&self) -> Option<Position> {
        self.service.cache.standing(BootTime::now())
    }

    /// A head that proves what was found at a place: one that was proved before the look may not have come as far.
    async fn head_reaching(&self, place: Position) -> Result<Position, Unconfirmed> {
        match self.head {
            Some(Ok(head)) if head.reaches(place) => Ok(head),
            Some(Err(unconfirmed)) => Err(unconfirmed),
            Some(Ok(_)) | None => self.service.fleet.confirm_place(place).await.map(|beat| beat.head),
        }
    }

    /// The same of a change that another may have undone: besides, the head is of after the request had arrived.
    async fn late_head_reaching(&mut self, place: Position) -> Result<Position, Unconfirmed> {
        self.head().await?;
        self.head_reaching(place).await
    }

    async fn head(&mut self) -> Result<Position, Unconfirmed> {
        let head = match self.head {
            Some(head) => head,
            None => self.service.fleet.confirm().await.map(|beat| beat.head),
        };
        *self.head.insert(head)
    }

    fn left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now())
    }
}

impl From<Unconfirmed> for Error {
    fn from(error: Unconfirmed) -> Self {
        Self::DatabaseUnavailable(StoreError::unavailable(error))
    }
}
