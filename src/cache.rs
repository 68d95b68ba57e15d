//! The cache of records: what may be answered without asking, by whoever follows the log and holds a lease.
//!
//! Servers and sidecars have the same one. It knows no clock: whoever asks says what time it is.
//!
//! Locks are taken in one order, the course and then shards. What a change does to its token and that it is applied are
//! one step under the shard's lock, so whoever holds that lock sees both or neither.

mod common;
mod course;
mod flight;
mod floors;
mod index;
mod shard;
mod slot;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use self::common::Common;
pub use self::course::AsOf;
use self::course::Course;
pub use self::flight::Flight;
use self::floors::Floors;
pub use self::floors::Subject;
use self::shard::Shard;
use self::slot::{Entry, Slot};
use crate::clock::BootTime;
use crate::defect::{Defect, seeded};
use crate::introspection::Record;
use crate::proof::{Proof, Prover};
use crate::revocation::Position;
use crate::token::{Generation, Kid, PresentedText, Revision, TokenId};

/// The most shards. More than threads that ask at once, so that they seldom meet.
const SHARDS: usize = 256;

/// The fewest tokens for which another shard is worth while.
const SHARD: usize = 64;

/// What is learned about a live token and one secret of it, to be remembered.
#[derive(Debug, Clone)]
pub struct Learned {
    /// The record, as it is told of this secret.
    pub record: Arc<Record>,
    /// What the string that holds the secret is recognised by.
    pub proof: Proof,
    /// When the secret ends, alone or with the token; `None` for never.
    pub deadline: Option<BootTime>,
}

/// What is known of a live token, and up to where.
#[derive(Debug, Clone)]
pub struct Known {
    /// The record, as it is told of the secret that was asked about.
    pub record: Arc<Record>,
    /// When that secret ends.
    pub deadline: Option<BootTime>,
    /// Everything up to here is taken into account.
    pub applied: Position,
}

/// The cache. Shared by every thread.
pub struct Cache {
    prover: Prover,
    shards: Box<[Mutex<Shard>]>,
    floors: Floors,
    common: Common,
    course: Mutex<Course>,
    /// The revision of the course.
    applied: AtomicI64,
    /// Until when a lease is held, in nanoseconds of the boot clock.
    until: AtomicU64,
}

impl Cache {
    /// What a known token takes in its shard, in bytes. Beside that are its record and a place in the index.
    pub const ENTRY: usize = size_of::<Slot>();

    /// An empty cache of at most about `capacity` tokens, each of less than 300 bytes if it has few scopes and no metadata
    /// (docs/performance/memory.md), which knows secrets by the proofs that `prover` makes.
    #[must_use]
    pub fn new(capacity: usize, prover: Prover) -> Self {
        let shards = (capacity / SHARD).clamp(1, SHARDS).next_power_of_two();
        let shard = || Mutex::new(Shard::new(capacity.div_ceil(shards)));
        Self {
            prover,
            shards: std::iter::repeat_with(shard).take(shards).collect(),
            floors: Floors::new(capacity),
            common: Common::default(),
            course: Mutex::default(),
            applied: AtomicI64::new(0),
            until: AtomicU64::new(0),
        }
    }

    /// Makes the proofs that it knows secrets by.
    #[must_use]
    pub const fn prover(&self) -> &Prover {
        &self.prover
    }

    /// What is known of a presented string, which may be anything: nothing if this very string is not known to be that of a
    /// live token, if it has expired, or if no lease is held at `now`, which must be after the request has arrived.
    #[must_use]
    pub fn look_up(&self, text: PresentedText<'_>, now: BootTime) -> Option<Known> {
        let (key, id) = text.names()?;
        let proof = self.prover.proof(text);
        self.find(id, Some(key), now, |entry| entry.proof == proof)
    }

    /// The same by id and generation, of which a secret was proved before.
    #[must_use]
    pub fn look_up_by_id(&self, id: TokenId, generation: Generation, now: BootTime) -> Option<Known> {
        self.find(id, None, now, |entry| entry.record.generation == generation)
    }

    /// The lease is read before the floors: a lease that needs a floor counts only after it was raised.
    fn find(
        &self,
        id: TokenId,
        key: Option<Kid>,
        now: BootTime,
        is_meant: impl Fn(&Entry) -> bool,
    ) -> Option<Known> {
        let mut shard = self.shard(id);
        if self.until.load(Ordering::Acquire) <= nanoseconds(now) && !seeded(Defect::LeaseNotChecked) {
            return None;
        }
        let applied = self.applied_in(&shard)?;
        let lives = |entry: &Entry| !entry.deadline.has_passed(now) || seeded(Defect::ExpiryIgnored);
        let entry = shard.find(id, |entry| {
            is_meant(entry) && lives(entry) && !self.floors.hide(entry.above, key, entry.as_of)
        })?;
        Some(Known { record: Arc::clone(&entry.record), deadline: entry.deadline.time(), applied })
    }

    /// Begins to look a token up at the source. To be called before the source is asked.
    pub fn begin(self: &Arc<Self>, id: TokenId) -> Flight {
        Flight::begin(Arc::clone(self), id)
    }

    /// Forgets a secret of a token that was found not to live.
    pub fn forget(&self, id: TokenId, generation: Generation) {
        self.shard(id).forget(id, generation);
    }

    /// Secrets that are unverified, after this one, at most `limit`, by the ids and generations of their tokens; and their
    /// proofs. Their order is the cache's own; each is given once until the end is reached.
    #[must_use]
    pub fn unverified(
        &self,
        after: Option<(TokenId, Generation)>,
        limit: usize,
    ) -> Vec<(TokenId, Generation, Proof)> {
        let first = after.map_or(0, |(after, _)| self.place(after));
        let mut found = Vec::new();
        for (place, shard) in self.shards.iter().enumerate().skip(first) {
            let after = after.filter(|_| place == first);
            let shard = lock(shard);
            let entries =
                shard.unverified().map(|entry| (entry.record.id, entry.record.generation, entry.proof));
            let mut entries: Vec<_> = entries
                .filter(|(id, generation, _)| after.is_none_or(|after| (*id, *generation) > after))
                .collect();
            drop(shard);
            entries.sort_unstable_by_key(|(id, generation, _)| (*id, *generation));
            found.extend(entries);
            if found.len() >= limit {
                break;
            }
        }
        found.truncate(limit);
        found
    }

    /// How many tokens it knows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// Whether it knows none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Up to where everything is applied that concerns a shard which is locked.
    fn applied_in(&self, shard: &Shard) -> Option<Position> {
        let revision = Revision(self.applied.load(Ordering::Acquire));
        shard.history().map(|history| Position { history, revision })
    }

    #[expect(clippy::indexing_slicing, reason = "places are below the number of shards, a power of two")]
    fn shard(&self, id: TokenId) -> MutexGuard<'_, Shard> {
        lock(&self.shards[self.place(id)])
    }

    /// The shards of some tokens, each once and locked in their order, with their places.
    #[expect(clippy::indexing_slicing, reason = "places are below the number of shards")]
    fn shards_of(&self, tokens: &[TokenId]) -> Vec<(usize, MutexGuard<'_, Shard>)> {
        let places: BTreeSet<usize> = tokens.iter().map(|token| self.place(*token)).collect();
        places.into_iter().map(|place| (place, lock(&self.shards[place]))).collect()
    }

    /// The shard of a token, by the random end of its id.
    fn place(&self, id: TokenId) -> usize {
        let [.., end] = id.as_uuid().into_bytes();
        usize::from(end) & (self.shards.len() - 1)
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Cache").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

/// The clock does not reach the end of 64 bits of nanoseconds for 584 years.
fn nanoseconds(time: BootTime) -> u64 {
    u64::try_from(time.since_start().as_nanos()).unwrap_or(u64::MAX)
}

/// No code of ours panics while it holds one of these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The moment of the boot clock at which something expires that expires at `time` by a clock that showed `read` at a
/// moment not before `before`.
#[must_use]
pub fn deadline(time: SystemTime, read: SystemTime, before: BootTime) -> BootTime {
    before.after(time.duration_since(read).unwrap_or_default())
}

#[cfg(test)]
mod tests;
