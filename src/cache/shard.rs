//! A shard: a part of the tokens that are known, and of the flights that may bring more, under one lock.

use std::collections::{HashMap, hash_map};
use std::sync::Arc;

use super::floors::Above;
use crate::clock::BootTime;
use crate::introspection::Record;
use crate::proof::Proof;
use crate::revocation::HistoryId;
use crate::token::{Generation, Revision, TokenId};

/// Counts the times that a cache began to follow the log. What was learned in one epoch is unverified in the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Epoch(u64);

impl Epoch {
    pub(super) const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// A secret of a token that is known.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) record: Arc<Record>,
    pub(super) proof: Proof,
    pub(super) deadline: Option<BootTime>,
    /// What the source surely knew when it was asked.
    pub(super) as_of: Revision,
    pub(super) epoch: Epoch,
    pub(super) above: Above,
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
    /// Whether it was answered from since the hand passed.
    used: bool,
}

impl Slot {
    fn id(&self) -> TokenId {
        self.one.record.id
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        std::iter::once(&self.one).chain(self.other.as_deref())
    }

    /// Whether something of it is verified.
    fn is_of(&self, epoch: Epoch) -> bool {
        self.entries().any(|entry| entry.epoch == epoch)
    }

    /// Forgets what is not to be kept; gives whether something is left. If not, what is there is to be removed.
    fn retain(&mut self, keeps: impl Fn(&Entry) -> bool) -> bool {
        self.other = self.other.take().filter(|other| keeps(other));
        if keeps(&self.one) {
            return true;
        }
        self.other.take().map(|other| self.one = *other).is_some()
    }

    fn add(&mut self, entry: Entry) -> bool {
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

/// The flights of one token.
#[derive(Debug, Default)]
struct Aloft {
    flights: usize,
    /// The last change of the token that came meanwhile.
    changed: Revision,
}

#[derive(Debug)]
pub(super) struct Shard {
    epoch: Epoch,
    history: Option<HistoryId>,
    capacity: usize,
    slots: Vec<Slot>,
    places: HashMap<TokenId, usize>,
    /// Where the next search for room begins.
    hand: usize,
    aloft: HashMap<TokenId, Aloft>,
}

impl Shard {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            epoch: Epoch::default(),
            history: None,
            capacity,
            slots: Vec::new(),
            places: HashMap::new(),
            hand: 0,
            aloft: HashMap::new(),
        }
    }

    pub(super) const fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(super) const fn history(&self) -> Option<HistoryId> {
        self.history
    }

    /// How many tokens are known.
    pub(super) const fn len(&self) -> usize {
        self.slots.len()
    }

    /// The secret of a token that is meant, if it is known, and verified.
    pub(super) fn find(&mut self, id: TokenId, is_meant: impl Fn(&Entry) -> bool) -> Option<&Entry> {
        let epoch = self.epoch;
        let Slot { one, other, used } = self.slot(id)?;
        let mut entries = std::iter::once(&*one).chain(other.as_deref());
        let found = entries.find(|entry| entry.epoch == epoch && is_meant(entry))?;
        *used = true;
        Some(found)
    }

    /// The unverified ones.
    pub(super) fn unverified(&self) -> impl Iterator<Item = &Entry> {
        self.slots.iter().flat_map(Slot::entries).filter(|entry| entry.epoch != self.epoch)
    }

    /// Begins another epoch: what is known is unverified, and what is aloft will not land.
    pub(super) fn restart(&mut self, epoch: Epoch, history: Option<HistoryId>) {
        (self.epoch, self.history) = (epoch, history);
        self.aloft.values_mut().for_each(|aloft| aloft.changed = Revision::ZERO);
    }

    pub(super) fn clear(&mut self) {
        (self.slots, self.places, self.hand) = (Vec::new(), HashMap::new(), 0);
    }

    /// A token has changed: what is known from before is forgotten, and what is found from before will be refused.
    pub(super) fn change(&mut self, id: TokenId, revision: Revision) {
        let epoch = self.epoch;
        self.retain(id, |entry| entry.epoch == epoch && entry.record.revision >= revision);
        if let Some(aloft) = self.aloft.get_mut(&id) {
            aloft.changed = aloft.changed.max(revision);
        }
    }

    pub(super) fn take_off(&mut self, id: TokenId) {
        self.aloft.entry(id).or_default().flights += 1;
    }

    pub(super) fn come_down(&mut self, id: TokenId) {
        if let hash_map::Entry::Occupied(mut aloft) = self.aloft.entry(id) {
            aloft.get_mut().flights -= 1;
            if aloft.get().flights == 0 {
                aloft.remove();
            }
        }
    }

    /// The last change of a token that came while a flight of it was aloft.
    pub(super) fn changed(&self, id: TokenId) -> Revision {
        self.aloft.get(&id).map_or(Revision::ZERO, |aloft| aloft.changed)
    }

    /// Remembers a secret of a token, unless something newer is known.
    pub(super) fn insert(&mut self, entry: Entry) -> bool {
        let id = entry.record.id;
        if let Some(slot) = self.slot(id) {
            return slot.add(entry);
        }
        let slot = Slot { one: entry, other: None, used: false };
        if self.slots.len() >= self.capacity {
            return self.replace(slot);
        }
        self.reserve();
        self.places.insert(id, self.slots.len());
        self.slots.push(slot);
        true
    }

    /// Forgets one secret of a token.
    pub(super) fn forget(&mut self, id: TokenId, generation: Generation) {
        self.retain(id, |entry| entry.record.generation != generation);
    }

    /// Forgets what is not to be kept of a token.
    fn retain(&mut self, id: TokenId, keeps: impl Fn(&Entry) -> bool) {
        if self.slot(id).is_some_and(|slot| !slot.retain(keeps)) {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: TokenId) {
        let Some(place) = self.places.remove(&id) else { return };
        self.slots.swap_remove(place);
        if let Some(moved) = self.slots.get(place) {
            self.places.insert(moved.id(), place);
        }
    }

    fn slot(&mut self, id: TokenId) -> Option<&mut Slot> {
        let place = *self.places.get(&id)?;
        self.slots.get_mut(place)
    }

    /// Puts a token in the place of the next that was not used since the hand passed it.
    fn replace(&mut self, slot: Slot) -> bool {
        let Some(place) = self.pass() else { return false };
        let id = slot.id();
        let Some(gone) = self.slots.get_mut(place).map(|old| std::mem::replace(old, slot)) else {
            return false;
        };
        self.places.remove(&gone.id());
        self.places.insert(id, place);
        true
    }

    /// Moves the hand past all that were used, at most once around, and gives the place where it stops.
    fn pass(&mut self) -> Option<usize> {
        for _ in 0..=self.slots.len() {
            let place = if self.hand < self.slots.len() { self.hand } else { 0 };
            self.hand = place + 1;
            let slot = self.slots.get_mut(place)?;
            if !slot.is_of(self.epoch) || !std::mem::take(&mut slot.used) {
                return Some(place);
            }
        }
        None
    }

    /// Doubles, but never past the capacity.
    fn reserve(&mut self) {
        if self.slots.len() == self.slots.capacity() {
            let double = self.slots.len().max(8);
            self.slots.reserve_exact(double.min(self.capacity - self.slots.len()));
        }
    }
}
