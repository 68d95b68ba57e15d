//! Leases: the right to answer from what one has applied, for a time counted from the moment it was asked for.
//!
//! Pure state machines without clock, network or database: the server, the sidecar and the model beside them drive the
//! same code, each with its own time.

use std::time::Duration;

use uuid::Uuid;

use crate::clock::BootTime;
use crate::revocation::Position;
use crate::token::TokenId;

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

/// The lease that one holds.
#[derive(Debug, Default)]
pub struct Lease {/* the body */}

impl Lease {
    /// Takes an offer; it counts as soon as what it needs is applied.
    pub fn offer(&mut self, _offer: Offer, _applied: Position) {}

    /// Something more was applied.
    pub fn applied(&mut self, _applied: Position) {}

    /// Until when it holds; [`BootTime::ZERO`] if it does not.
    #[must_use]
    pub fn until(&self) -> BootTime {
        BootTime::ZERO
    }

    /// Gives up what it holds and what it was offered.
    pub fn lose(&mut self) {}
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

/// The leases that one has granted to others.
#[derive(Debug)]
pub struct Grants {/* the body */}

impl Grants {
    /// None yet, and never more than `limit`.
    #[must_use]
    pub fn new(_limit: usize) -> Self {
        Self {}
    }

    /// Records a grant before it is answered; it lives until `until` on our clock, or as an earlier one if that is
    /// longer. What the holder has acknowledged stays.
    ///
    /// # Errors
    /// [`GrantError::Full`].
    pub fn grant(&mut self, _holder: Holder, _until: BootTime, _now: BootTime) -> Result<(), GrantError> {
        Ok(())
    }

    /// A holder has applied everything up to a position.
    ///
    /// # Errors
    /// [`GrantError::Unknown`] also if its lease has run out.
    pub fn acknowledge(
        &mut self,
        _holder: Holder,
        _applied: Position,
        _now: BootTime,
    ) -> Result<(), GrantError> {
        Ok(())
    }

    /// A holder has stopped answering by its lease.
    pub fn release(&mut self, _holder: Holder) {}

    /// Up to where every live holder, and whoever granted, has applied the log: `own`, or less. `None` if a live holder
    /// has acknowledged nothing of this history.
    #[must_use]
    pub fn acknowledged(&self, own: Position, _now: BootTime) -> Option<Position> {
        Some(own)
    }

    /// When the next live grant ends.
    #[must_use]
    pub fn next_end(&self, _now: BootTime) -> Option<BootTime> {
        None
    }

    /// How many live.
    #[must_use]
    pub fn live(&self, _now: BootTime) -> usize {
        0
    }
}
