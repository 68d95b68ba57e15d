//! A shard: a part of the entries, and of the flights that may become entries, under one lock.

use std::collections::{HashMap, hash_map};
use std::sync::Arc;

use super::floors::Above;
use crate::clock::BootTime;
use crate::introspection::Record;
use crate::proof::Proof;
use crate::revocation::HistoryId;
use crate::token::{Revision, TokenId};

/// Counts the times that a cache began to follow the log. What was learned in one epoch is unverified in the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Epoch(u64);

impl Epoch {
    pub(super) const fn next(self) -> Self {
        Self(self.0.wrapping_add(1))
    }
}

/// A token that is known.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) record: Arc<Record>,
    pub(super) proof: Proof,
    pub(super) deadline: Option<BootTime>,
    /// What the source surely knew when it was asked.
    pub(super) as_of: Revision,
    pub(super) epoch: Epoch,
    pub(super) above: Above,
    /// Whether it was answered from since the hand passed.
    pub(super) used: bool,
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
    entries: Vec<Entry>,
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
            entries: Vec::new(),
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

    pub(super) const fn len(&self) -> usize {
        self.entries.len()
    }

    /// A token that is known, and verified.
    pub(super) fn find(&mut self, id: TokenId) -> Option<&mut Entry> {
        let epoch = self.epoch;
        self.find_any(id).filter(|entry| entry.epoch == epoch)
    }

    /// The unverified ones.
    pub(super) fn unverified(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.epoch != self.epoch)
    }

    /// Begins another epoch: what is known is unverified, and what is aloft will not land.
    pub(super) fn restart(&mut self, epoch: Epoch, history: Option<HistoryId>) {
        (self.epoch, self.history) = (epoch, history);
        self.aloft.values_mut().for_each(|aloft| aloft.changed = Revision::ZERO);
    }

    pub(super) fn clear(&mut self) {
        (self.entries, self.places, self.hand) = (Vec::new(), HashMap::new(), 0);
    }

    /// A token has changed: what is known from before is forgotten, and what is found from before will be refused.
    pub(super) fn change(&mut self, id: TokenId, revision: Revision) {
        let epoch = self.epoch;
        if self.find_any(id).is_some_and(|entry| entry.epoch != epoch || entry.record.revision < revision) {
            self.remove(id);
        }
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

    /// Remembers a token, unless something newer is known of it.
    pub(super) fn insert(&mut self, entry: Entry) -> bool {
        let id = entry.record.id;
        if let Some(known) = self.find_any(id) {
            let newer = (known.record.revision, known.as_of) > (entry.record.revision, entry.as_of);
            let keep = newer && known.epoch == entry.epoch;
            if !keep {
                *known = entry;
            }
            return !keep;
        }
        if self.entries.len() >= self.capacity {
            return self.replace(entry);
        }
        self.reserve();
        self.places.insert(id, self.entries.len());
        self.entries.push(entry);
        true
    }

    pub(super) fn remove(&mut self, id: TokenId) {
        let Some(place) = self.places.remove(&id) else { return };
        self.entries.swap_remove(place);
        if let Some(moved) = self.entries.get(place) {
            self.places.insert(moved.record.id, place);
        }
    }

    fn find_any(&mut self, id: TokenId) -> Option<&mut Entry> {
        let place = *self.places.get(&id)?;
        self.entries.get_mut(place)
    }

    /// Puts a token in the place of the next that was not used since the hand passed it.
    fn replace(&mut self, entry: Entry) -> bool {
        let Some(place) = self.pass() else { return false };
        let id = entry.record.id;
        let Some(gone) = self.entries.get_mut(place).map(|old| std::mem::replace(old, entry)) else {
            return false;
        };
        self.places.remove(&gone.record.id);
        self.places.insert(id, place);
        true
    }

    /// Moves the hand past all that were used, at most once around, and gives the place where it stops.
    fn pass(&mut self) -> Option<usize> {
        for _ in 0..=self.entries.len() {
            let place = if self.hand < self.entries.len() { self.hand } else { 0 };
            self.hand = place + 1;
            let entry = self.entries.get_mut(place)?;
            if entry.epoch != self.epoch || !std::mem::take(&mut entry.used) {
                return Some(place);
            }
        }
        None
    }

    /// Doubles, but never past the capacity.
    fn reserve(&mut self) {
        if self.entries.len() == self.entries.capacity() {
            let double = self.entries.len().max(8);
            self.entries.reserve_exact(double.min(self.capacity - self.entries.len()));
        }
    }
}
