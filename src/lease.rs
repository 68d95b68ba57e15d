//! Leases: the right to answer from what one has applied, for a time counted from the moment it was asked for.
//!
//! Pure state machines without clock, network or database: the server, the sidecar and the model beside them drive the
//! same code, each with its own time.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use uuid::Uuid;

use crate::clock::BootTime;
use crate::defect::{Defect, seeded};
use crate::revocation::Position;
use crate::token::TokenId;

/// How many offers may wait to be applied: more than are made while a lease lasts.
const WAITING: usize = 16;

/// A time that has surely passed on any other machine's clock once it has passed on ours: rates differ by a hundredth
/// at most (design §6).
#[must_use]
pub fn stretched(time: Duration) -> Duration {
    time + time / 100
}

/// A lease as it was granted. It may be used once `needs` is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// The moment it was asked for, plus its length.
    pub until: BootTime,
    /// What must have been applied.
    pub needs: Position,
}

impl Offer {
    fn is_met(&self, applied: Position) -> bool {
        applied.reaches(self.needs) || seeded(Defect::LeaseNeedsNothing)
    }
}

/// The lease that one holds.
#[derive(Debug, Default)]
pub struct Lease {
    until: BootTime,
    /// In the order in which they came. The oldest are met first, so a follower that is always a little behind still
    /// holds a lease.
    waiting: VecDeque<Offer>,
}

impl Lease {
    /// Takes an offer; it counts as soon as what it needs is applied. One of another history than what is applied never
    /// counts.
    pub fn offer(&mut self, offer: Offer, applied: Position) {
        if offer.needs.history != applied.history {
            return;
        }
        if self.waiting.len() == WAITING {
            self.waiting.pop_back();
        }
        self.waiting.push_back(offer);
        self.applied(applied);
    }

    /// Something more was applied.
    pub fn applied(&mut self, applied: Position) {
        let met = self.waiting.iter().filter(|offer| offer.is_met(applied)).map(|offer| offer.until).max();
        self.until = self.until.max(met.unwrap_or(BootTime::ZERO));
        self.waiting.retain(|offer| !offer.is_met(applied));
    }

    /// Until when it holds; [`BootTime::ZERO`] if it does not.
    #[must_use]
    pub fn until(&self) -> BootTime {
        self.until
    }

    /// Gives up what it holds and what it was offered.
    pub fn lose(&mut self) {
        *self = Self::default();
    }
}

/// Who was granted a lease: a sidecar, by the caller it authenticates as and the id it made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder {
    /// The caller's token.
    pub caller: TokenId,
    /// The id.
    pub sidecar: Uuid,
}

/// Why a grant is not made or not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// There are as many as there may be.
    #[error("as many leases are granted as may be")]
    Full,
    /// There is none of that holder.
    #[error("there is no such lease on record")]
    Unknown,
}

#[derive(Debug, Clone, Copy)]
struct Grant {
    until: BootTime,
    /// What the holder has said to have applied.
    applied: Option<Position>,
}

impl Grant {
    fn is_live(&self, now: BootTime) -> bool {
        self.until > now
    }
}

/// The leases that one has granted to others.
#[derive(Debug)]
pub struct Grants {
    limit: usize,
    grants: HashMap<Holder, Grant>,
}

impl Grants {
    /// None yet, and never more than `limit`.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, grants: HashMap::new() }
    }

    /// Records a grant before it is answered; it lives until `until` on our clock, or as an earlier one if that is
    /// longer. What the holder has acknowledged stays, unless its lease had run out.
    ///
    /// # Errors
    /// [`GrantError::Full`].
    pub fn grant(&mut self, holder: Holder, until: BootTime, now: BootTime) -> Result<(), GrantError> {
        if let Some(grant) = self.live_grant(holder, now) {
            grant.until = grant.until.max(until);
            return Ok(());
        }
        if self.grants.len() >= self.limit {
            self.grants.retain(|_, grant| grant.is_live(now));
        }
        if self.grants.len() >= self.limit {
            return Err(GrantError::Full);
        }
        self.grants.insert(holder, Grant { until, applied: None });
        Ok(())
    }

    /// A holder has applied everything up to a position.
    ///
    /// # Errors
    /// [`GrantError::Unknown`] also if its lease has run out.
    pub fn acknowledge(
        &mut self,
        holder: Holder,
        applied: Position,
        now: BootTime,
    ) -> Result<(), GrantError> {
        let grant = self.live_grant(holder, now).ok_or(GrantError::Unknown)?;
        if grant.applied.is_none_or(|known| applied.reaches(known) || applied.history != known.history) {
            grant.applied = Some(applied);
        }
        Ok(())
    }

    /// A holder has stopped answering by its lease.
    pub fn release(&mut self, holder: Holder) {
        self.grants.remove(&holder);
    }

    /// Up to where every live holder, and whoever granted, has applied the log: `own`, or less. `None` if a live holder
    /// has acknowledged nothing of this history.
    #[must_use]
    pub fn acknowledged(&self, own: Position, now: BootTime) -> Option<Position> {
        self.live_grants(now).try_fold(own, |least, grant| {
            let applied = grant.applied.filter(|applied| applied.history == own.history)?;
            Some(Position { revision: least.revision.min(applied.revision), ..least })
        })
    }

    /// When the next live grant ends.
    #[must_use]
    pub fn next_end(&self, now: BootTime) -> Option<BootTime> {
        self.live_grants(now).map(|grant| grant.until).min()
    }

    /// How many live.
    #[must_use]
    pub fn live(&self, now: BootTime) -> usize {
        self.live_grants(now).count()
    }

    fn live_grants(&self, now: BootTime) -> impl Iterator<Item = &Grant> {
        self.grants.values().filter(move |grant| grant.is_live(now))
    }

    fn live_grant(&mut self, holder: Holder, now: BootTime) -> Option<&mut Grant> {
        self.grants.get_mut(&holder).filter(|grant| grant.is_live(now))
    }
}

#[cfg(test)]
mod tests;
