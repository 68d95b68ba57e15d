//! A shard: a part of the tokens that are known, and of the flights that may bring more, under one lock.

use std::collections::{HashMap, hash_map};

use super::index::Index;
use super::slot::{Entry, Epoch, Slot};
use crate::revocation::HistoryId;
use crate::token::{Generation, Revision, TokenId};

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
    index: Index,
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
            index: Index::default(),
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
        let mut entries = self.slot(id)?.entries_mut();
        let found = entries.find(|entry| entry.epoch == epoch && is_meant(entry))?;
        found.used = true;
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
        (self.slots, self.index, self.hand) = (Vec::new(), Index::default(), 0);
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
        let slot = Slot::new(entry);
        if self.slots.len() >= self.capacity {
            return self.replace(slot);
        }
        self.reserve();
        self.slots.push(slot);
        self.index.add(self.slots.len() - 1, &self.slots);
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
        let Some(place) = self.index.remove(id, &self.slots) else { return };
        self.slots.swap_remove(place);
        if let Some(moved) = self.slots.get(place) {
            self.index.relocate(moved.id(), self.slots.len(), place);
        }
    }

    fn slot(&mut self, id: TokenId) -> Option<&mut Slot> {
        let place = self.index.find(id, &self.slots)?;
        self.slots.get_mut(place)
    }

    /// Puts a token in the place of the next that was not used since the hand passed it.
    fn replace(&mut self, slot: Slot) -> bool {
        let Some(gone) = self.pass().and_then(|place| self.slots.get(place)).map(Slot::id) else {
            return false;
        };
        let Some(place) = self.index.remove(gone, &self.slots) else { return false };
        if let Some(old) = self.slots.get_mut(place) {
            *old = slot;
        }
        self.index.add(place, &self.slots);
        true
    }

    /// Moves the hand past all that were used, at most once around, and gives the place where it stops.
    fn pass(&mut self) -> Option<usize> {
        for _ in 0..=self.slots.len() {
            let place = if self.hand < self.slots.len() { self.hand } else { 0 };
            self.hand = place + 1;
            let slot = self.slots.get_mut(place)?;
            if !slot.is_of(self.epoch) || !slot.take_used() {
                return Some(place);
            }
        }
        None
    }

    /// Grows by a quarter, but never past the capacity.
    fn reserve(&mut self) {
        if self.slots.len() == self.slots.capacity() {
            let more = (self.slots.len() / 4).max(8);
            self.slots.reserve_exact(more.min(self.capacity - self.slots.len()));
        }
    }
}
