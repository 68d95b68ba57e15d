//! The cache of records: what may be answered without asking, by whoever follows the log and holds a lease.
//!
//! Servers and sidecars have the same one. It knows no clock: whoever asks says what time it is.

use std::sync::Arc;
use std::time::SystemTime;

use crate::clock::BootTime;
use crate::introspection::Record;
use crate::lease::Offer;
use crate::proof::{Proof, Prover};
use crate::revocation::{Event, Position};
use crate::token::{Generation, Presented, TokenId};

/// What is learned about a live token, to be remembered.
#[derive(Debug, Clone)]
pub struct Learned {
    /// The record.
    pub record: Arc<Record>,
    /// What its live secret is recognised by.
    pub proof: Proof,
    /// When it expires; `None` for never.
    pub deadline: Option<BootTime>,
}

/// What is known of a live token, and up to where.
#[derive(Debug, Clone)]
pub struct Known {
    /// The record.
    pub record: Arc<Record>,
    /// When it expires.
    pub deadline: Option<BootTime>,
    /// Everything up to here is taken into account.
    pub applied: Position,
}

/// The cache. Shared by every thread.
#[derive(Debug)]
pub struct Cache {
    prover: Prover,
}

/// A look at the source that is under way. What is applied meanwhile counts against what it finds.
#[derive(Debug)]
#[must_use = "dropping it forgets what was found"]
pub struct Flight {
    cache: Arc<Cache>,
    #[expect(dead_code, reason = "the body")]
    id: TokenId,
}

impl Cache {
    /// An empty cache of at most `capacity` tokens, which knows secrets by the proofs that `prover` makes.
    #[must_use]
    pub fn new(_capacity: usize, prover: Prover) -> Self {
        Self { prover }
    }

    /// Makes the proofs that it knows secrets by.
    #[must_use]
    pub const fn prover(&self) -> &Prover {
        &self.prover
    }

    /// What is known of a presented token whose tag was found to be ours: nothing if this very secret is not known to be
    /// live, if it has expired, or if no lease is held at `now`, which must be after the request has arrived.
    #[must_use]
    pub fn look_up(&self, _presented: &Presented<'_>, _now: BootTime) -> Option<Known> {
        None
    }

    /// The same by id and generation, of which a secret was proved before.
    #[must_use]
    pub fn look_up_by_id(&self, _id: TokenId, _generation: Generation, _now: BootTime) -> Option<Known> {
        None
    }

    /// Begins to look a token up at the source. To be called before the source is asked.
    pub fn begin(self: &Arc<Self>, id: TokenId) -> Flight {
        Flight { cache: Arc::clone(self), id }
    }

    /// Up to where everything is applied, if a lease is held at `now`: the right to give an answer of one's own.
    #[must_use]
    pub fn standing(&self, _now: BootTime) -> Option<Position> {
        None
    }

    /// Up to where everything is applied; `None` before [`Cache::follow`].
    #[must_use]
    pub fn applied(&self) -> Option<Position> {
        None
    }

    /// Begins to follow the log from here, be it for the first time, in a new history, or after a part was missed: what
    /// was known is unverified, the lease is lost.
    pub fn follow(&self, _from: Position) {}

    /// Takes the next change into account. Changes come in order, from one follower.
    pub fn apply(&self, _event: &Event) {}

    /// Nothing that concerns this cache happened up to a revision of the history that is followed.
    pub fn advance(&self, _to: Position) {}

    /// Takes a change into account that was committed here and is not applied in order yet.
    pub fn overtake(&self, _event: &Event) {}

    /// Takes a lease.
    pub fn offer(&self, _offer: Offer) {}

    /// Gives the lease up.
    pub fn lose_lease(&self) {}

    /// Forgets everything, the lease included.
    pub fn empty(&self) {}

    /// Tokens whose records are unverified, after the one with this id, at most `limit`; and the proofs of their secrets.
    #[must_use]
    pub fn unverified(&self, _after: Option<TokenId>, _limit: usize) -> Vec<(TokenId, Generation, Proof)> {
        Vec::new()
    }

    /// How many tokens it knows.
    #[must_use]
    pub fn len(&self) -> usize {
        0
    }

    /// Whether it knows none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Flight {
    /// Up to where everything was applied when it began: the source must know as much.
    #[must_use]
    pub fn applied(&self) -> Option<Position> {
        self.cache.applied()
    }

    /// Remembers what was found, unless something was applied meanwhile that it may not know of. `source` is the history
    /// that it was found in.
    pub fn land(self, _learned: Learned, _source: crate::revocation::HistoryId) -> bool {
        false
    }
}

/// The moment of the boot clock at which something expires that expires at `time` by a clock that showed `read` at a
/// moment not before `before`.
#[must_use]
pub fn deadline(time: SystemTime, read: SystemTime, before: BootTime) -> BootTime {
    before.after(time.duration_since(read).unwrap_or_default())
}
