//! Where in its shard a token is: by a hash of its id, which is kept with the token alone.

use hashbrown::HashTable;

use super::slot::Slot;
use crate::token::TokenId;

/// The places of the slots of a shard, each in 5 bytes and what a hash table leaves empty.
#[derive(Debug, Default)]
pub(super) struct Index(HashTable<u32>);

impl Index {
    /// Where a token is.
    pub(super) fn find(&self, id: TokenId, slots: &[Slot]) -> Option<usize> {
        self.0.find(hash(id), |place| id_at(*place, slots) == Some(id)).map(|place| *place as usize)
    }

    /// Takes note of where a token is that stands in no other place.
    pub(super) fn add(&mut self, place: usize, slots: &[Slot]) {
        let hash_at = |place: &u32| id_at(*place, slots).map_or(0, hash);
        if let Ok(place) = u32::try_from(place) {
            self.0.insert_unique(hash_at(&place), place, hash_at);
        }
    }

    /// Forgets where a token is, and gives it.
    pub(super) fn remove(&mut self, id: TokenId, slots: &[Slot]) -> Option<usize> {
        let found = self.0.find_entry(hash(id), |place| id_at(*place, slots) == Some(id));
        found.ok().map(|found| found.remove().0 as usize)
    }

    /// Takes note that a token goes from one place to another.
    pub(super) fn relocate(&mut self, id: TokenId, from: usize, to: usize) {
        let place = self.0.find_mut(hash(id), |place| *place as usize == from);
        if let (Some(place), Ok(to)) = (place, u32::try_from(to)) {
            *place = to;
        }
    }
}

fn id_at(place: u32, slots: &[Slot]) -> Option<TokenId> {
    slots.get(place as usize).map(Slot::id)
}

/// From the random end of the id. Only servers make ids that are found, so that nobody chooses whom they meet with. One
/// multiplication carries each bit upwards, whereas the lowest tell all shards apart and none of their tokens.
fn hash(id: TokenId) -> u64 {
    let (_, end) = id.as_uuid().as_u64_pair();
    let product = end.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    product ^ (product >> 32)
}
