//! A look at the source that is under way, and the fence that it must pass.

use std::sync::Arc;

use super::shard::Shard;
use super::slot::{Entry, Epoch};
use super::{Cache, Learned};
use crate::defect::{Defect, seeded};
use crate::revocation::{HistoryId, Position};
use crate::token::TokenId;

/// A look at the source that is under way. What is applied meanwhile counts against what it finds.
#[derive(Debug)]
#[must_use = "dropping it forgets what was found"]
pub struct Flight {
    cache: Arc<Cache>,
    id: TokenId,
    epoch: Epoch,
    applied: Option<Position>,
}

impl Flight {
    /// Registers before it reads what was applied, both under the shard's lock: so each change either finds it aloft or
    /// is something that the source is asked to know.
    pub(super) fn begin(cache: Arc<Cache>, id: TokenId) -> Self {
        let mut shard = cache.shard(id);
        shard.take_off(id);
        let (epoch, applied) = (shard.epoch(), cache.applied_in(&shard));
        drop(shard);
        Self { cache, id, epoch, applied }
    }

    /// Up to where everything was applied when it began: the source must know as much.
    #[must_use]
    pub const fn applied(&self) -> Option<Position> {
        self.applied
    }

    /// Remembers what was found, unless something was applied meanwhile that it may not know of. `source` is the history
    /// that it was found in. Gives whether it is remembered. Of a token of which two secrets work both may land.
    #[expect(clippy::must_use_candidate, reason = "whoever found it has it, remembered or not")]
    pub fn land(&self, learned: Learned, source: HistoryId) -> bool {
        let learned = Learned { record: self.cache.common.share(learned.record), ..learned };
        let mut shard = self.cache.shard(self.id);
        match self.applied {
            Some(applied) if self.is_clear(&shard, &learned, source) => {
                let above = self.cache.floors.above(&learned.record);
                let Learned { record, proof, deadline } = learned;
                let deadline = deadline.into();
                let known = self.cache.applied_in(&shard).filter(|_| seeded(Defect::FloorsPassedInFlight));
                let (as_of, epoch) = (known.unwrap_or(applied).revision, self.epoch);
                shard.insert(Entry { record, proof, deadline, as_of, epoch, above, used: false })
            }
            Some(_) | None => false,
        }
    }

    /// Whether what was found holds for what is applied by now.
    fn is_clear(&self, shard: &Shard, learned: &Learned, source: HistoryId) -> bool {
        learned.record.id == self.id
            && shard.epoch() == self.epoch
            && shard.history() == Some(source)
            && (shard.changed(self.id) <= learned.record.revision || seeded(Defect::NoFillFence))
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.cache.shard(self.id).come_down(self.id);
    }
}
