//! Uses of secrets on their way to where they are kept: counted as they happen, and handed over now and then in reports.
//!
//! A report stays as it is until it has arrived, so that whoever is told of it twice can tell by its number alone. What is
//! counted is bounded; what finds no room is lost, and how much that is is counted too.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::clock::BootTime;
use crate::token::{Generation, TokenId};

/// The parts that uses are counted in, by the random end of the id, each with a lock of its own, so that threads seldom meet.
const PARTS: usize = 64;

/// The most secrets counted in one part between two reports: 262,144 in all, which take about 25 MB.
const PART: usize = 4_096;

/// The most uses in one report.
pub const MOST_USES: usize = 1_000;

/// The most that one use counts: what a token gets in a fortnight at a million requests a second.
pub const MOST_COUNTED: i64 = 1_000_000_000_000;

/// A secret of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Used {
    /// One that works, of this generation.
    Live(Generation),
    /// One that was replaced and is dead. Nobody knows which.
    Superseded,
}

/// How often a secret was used, and when last: a moment of this machine's clock, of the database's, or how long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use<Time> {
    /// The token.
    pub token: TokenId,
    /// Which secret of it.
    pub secret: Used,
    /// How often, from 1 to [`MOST_COUNTED`].
    pub count: i64,
    /// When last.
    pub last: Time,
}

impl<Time> Use<Time> {
    /// The same with its moment told in another way.
    pub fn timed<Other>(self, tell: impl FnOnce(Time) -> Other) -> Use<Other> {
        let Self { token, secret, count, last } = self;
        Use { token, secret, count, last: tell(last) }
    }
}

/// What one process has seen between its last report and this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report<Time> {
    /// Who reports: a UUID that a process makes up at its start.
    pub reporter: Uuid,
    /// Counts the reports, from 1.
    pub sequence: i64,
    /// The uses, at most [`MOST_USES`].
    pub uses: Vec<Use<Time>>,
}

impl<Time: Copy> Report<Time> {
    /// The same with its moments told in another way.
    pub fn timed<Other>(&self, tell: impl Fn(Time) -> Other) -> Report<Other> {
        let uses = self.uses.iter().map(|used| used.timed(&tell)).collect();
        Report { reporter: self.reporter, sequence: self.sequence, uses }
    }
}

type Counts = HashMap<(TokenId, Used), (i64, BootTime), OfRandomIds>;

type OfRandomIds = BuildHasherDefault<RandomIds>;

/// Hashes what begins with an id of ours. These are random and nobody else can choose them, since only what was proved is
/// counted: they need only be spread over all bits.
#[derive(Debug, Default)]
struct RandomIds(u64);

impl RandomIds {
    /// Two to the power of 64, divided by the golden ratio: an odd number without a pattern.
    const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

    const fn add(&mut self, bits: u64) {
        self.0 = (self.0 ^ bits).wrapping_mul(Self::SPREAD);
    }
}

impl Hasher for RandomIds {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        for word in words {
            self.add(u64::from_ne_bytes(*word));
        }
        for byte in rest {
            self.add(u64::from(*byte));
        }
    }

    fn write_usize(&mut self, number: usize) {
        self.write(&number.to_ne_bytes());
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

/// A part, alone on its cache line.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Part(Mutex<Counts>);

/// Counts uses until they are reported.
#[derive(Debug)]
pub struct Outbox {
    parts: [Part; PARTS],
    /// The report that has not arrived yet; without uses if there is none.
    sealed: tokio::sync::Mutex<Report<BootTime>>,
    crowded_out: AtomicU64,
    refused: AtomicU64,
}

impl Outbox {
    /// An empty one, of a process that is known by this id from now on.
    #[must_use]
    pub fn new(reporter: Uuid) -> Self {
        let sealed = tokio::sync::Mutex::const_new(Report { reporter, sequence: 0, uses: Vec::new() });
        let parts = std::array::from_fn(|_| Part::default());
        Self { parts, sealed, crowded_out: AtomicU64::new(0), refused: AtomicU64::new(0) }
    }

    /// Counts one use.
    pub fn note(&self, token: TokenId, secret: Used, time: BootTime) {
        self.add(Use { token, secret, count: 1, last: time });
    }

    fn add(&self, used: Use<BootTime>) {
        let Some(mut counts) = self.counts_of(used.token) else { return };
        let room = counts.len() < PART;
        match counts.entry((used.token, used.secret)) {
            Entry::Occupied(mut known) => {
                let (count, last) = known.get_mut();
                *count = count.saturating_add(used.count).min(MOST_COUNTED);
                *last = used.last.max(*last);
            }
            Entry::Vacant(vacant) if room => drop(vacant.insert((used.count, used.last))),
            Entry::Vacant(_) => {
                self.crowded_out.fetch_add(used.count.unsigned_abs(), Ordering::Relaxed);
            }
        }
    }

    fn counts_of(&self, token: TokenId) -> Option<MutexGuard<'_, Counts>> {
        let [.., end] = token.as_uuid().into_bytes();
        self.parts.get(usize::from(end) % PARTS).map(lock)
    }

    /// Begins to hand over all that is counted by now. Waits for whoever does so already.
    pub async fn open(&self) -> Handing<'_> {
        let sealed = self.sealed.lock().await;
        let taken = self.parts.iter().flat_map(|part| std::mem::take(&mut *lock(part)));
        let counted = |((token, secret), (count, last))| Use { token, secret, count, last };
        let mut rest: Vec<_> = taken.map(counted).collect();
        // The secrets of one token go together, and neighbours are written together.
        rest.sort_unstable_by_key(|used| std::cmp::Reverse((used.token, used.secret)));
        Handing { outbox: self, sealed, rest }
    }

    /// How many uses were lost since the start, by why: for want of room, or because nobody would ever take them.
    #[must_use]
    pub fn lost(&self) -> Vec<(&'static str, u64)> {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        vec![("no_room", read(&self.crowded_out)), ("refused", read(&self.refused))]
    }
}

/// Uses that are being handed over. What has not been when this is dropped is kept for the next time.
#[derive(Debug)]
pub struct Handing<'outbox> {
    outbox: &'outbox Outbox,
    sealed: MutexGuardOf<'outbox>,
    rest: Vec<Use<BootTime>>,
}

type MutexGuardOf<'outbox> = tokio::sync::MutexGuard<'outbox, Report<BootTime>>;

impl Handing<'_> {
    /// The report to hand over: the same until it has arrived; `None` if there is nothing left.
    pub fn report(&mut self) -> Option<&Report<BootTime>> {
        if self.sealed.uses.is_empty() {
            let begin = self.rest.len().saturating_sub(MOST_USES);
            self.sealed.uses = self.rest.split_off(begin);
            if self.sealed.uses.is_empty() {
                return None;
            }
            self.sealed.sequence += 1;
        }
        Some(&*self.sealed)
    }

    /// The report has arrived for certain, and is forgotten here.
    pub fn arrived(&mut self) {
        self.sealed.uses.clear();
    }

    /// The report is refused for good, so that repeating it would only keep the next ones waiting.
    pub fn refused(&mut self) {
        let lost: i64 = self.sealed.uses.iter().map(|used| used.count).sum();
        self.outbox.refused.fetch_add(lost.unsigned_abs(), Ordering::Relaxed);
        self.sealed.uses.clear();
    }
}

impl Drop for Handing<'_> {
    fn drop(&mut self) {
        self.rest.drain(..).for_each(|used| self.outbox.add(used));
    }
}

/// No code of ours panics while it holds one of these locks.
fn lock(Part(part): &Part) -> MutexGuard<'_, Counts> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
