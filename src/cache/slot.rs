//! What is known of one token, in 64 bytes beside its record.

use std::sync::Arc;
use std::time::Duration;

use super::floors::Above;
use super::nanoseconds;
use crate::clock::BootTime;
use crate::introspection::Record;
use crate::proof::Proof;
use crate::token::{Revision, TokenId};

/// Counts the times that a cache began to follow the log. What was learned in one epoch is unverified in the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Epoch(u64);

impl Epoch {
    pub(super) const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// When a secret ends, in nanoseconds of the boot clock; their last, which the clock does not reach, is never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deadline(u64);

impl Deadline {
    const NEVER: Self = Self(u64::MAX);

    pub(super) fn has_passed(self, now: BootTime) -> bool {
        self != Self::NEVER && self.0 <= nanoseconds(now)
    }

    pub(super) fn time(self) -> Option<BootTime> {
        (self != Self::NEVER).then(|| BootTime::from_start(Duration::from_nanos(self.0)))
    }
}

impl From<Option<BootTime>> for Deadline {
    fn from(time: Option<BootTime>) -> Self {
        time.map_or(Self::NEVER, |time| Self(nanoseconds(time)))
    }
}

/// A secret of a token that is known.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) record: Arc<Record>,
    pub(super) proof: Proof,
    pub(super) deadline: Deadline,
    /// What the source surely knew when it was asked.
    pub(super) as_of: Revision,
    pub(super) epoch: Epoch,
    pub(super) above: Above,
    /// Whether it was answered from since the hand passed.
    pub(super) used: bool,
}

impl Entry {
    /// Whether it is newer than what was learned of the same token.
    fn outdoes(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.record.revision, other.record.revision);
        let later = self.record.generation == other.record.generation && self.as_of > other.as_of;
        self.epoch == other.epoch && (ours > theirs || (ours == theirs && later))
    }

    /// Whether it may be known beside what was learned of the same token: another secret, of the same moment of the
    /// token, unless it is unverified and so of no moment that is known.
    fn stands_beside(&self, other: &Self) -> bool {
        let same_moment = self.epoch != other.epoch || self.record.revision == other.record.revision;
        self.record.generation != other.record.generation && same_moment
    }
}

/// What is known of one token: one secret, or two as long as one takes the place of the other.
#[derive(Debug)]
pub(super) struct Slot {
    one: Entry,
    other: Option<Box<Entry>>,
}

impl Slot {
    pub(super) const fn new(entry: Entry) -> Self {
        Self { one: entry, other: None }
    }

    pub(super) fn id(&self) -> TokenId {
        self.one.record.id
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        std::iter::once(&self.one).chain(self.other.as_deref())
    }

    pub(super) fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        std::iter::once(&mut self.one).chain(self.other.as_deref_mut())
    }

    /// Whether something of it is verified.
    pub(super) fn is_of(&self, epoch: Epoch) -> bool {
        self.entries().any(|entry| entry.epoch == epoch)
    }

    /// Whether it was answered from since this was asked last.
    pub(super) fn take_used(&mut self) -> bool {
        let mut any = false;
        for entry in self.entries_mut() {
            any |= std::mem::take(&mut entry.used);
        }
        any
    }

    /// Forgets what is not to be kept; gives whether something is left. If not, what is there is to be removed.
    pub(super) fn retain(&mut self, keeps: impl Fn(&Entry) -> bool) -> bool {
        self.other = self.other.take().filter(|other| keeps(other));
        if keeps(&self.one) {
            return true;
        }
        self.other.take().map(|other| self.one = *other).is_some()
    }

    pub(super) fn add(&mut self, entry: Entry) -> bool {
        if self.entries().any(|known| known.outdoes(&entry)) {
            return false;
        }
        if self.retain(|known| known.stands_beside(&entry)) {
            self.other = Some(Box::new(entry));
        } else {
            self.one = entry;
        }
        true
    }
}
