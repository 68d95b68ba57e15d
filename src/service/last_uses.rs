//! When each token was last used: gathered in memory, written now and then, so that use costs no write.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use crate::metrics::{FlushResult, Metrics};
use crate::store::{Store, StoreError, last_uses};
use crate::token::TokenId;

/// The most tokens remembered between two writes. Beyond it a use of a further token is not recorded before the next
/// write, which bounds the memory at about 6 MiB.
const CAPACITY: usize = 100_000;

/// How many rows go into one statement.
const BATCH: usize = 1_000;

/// The uses that are not written yet.
#[derive(Debug)]
pub struct LastUses {
    store: Store,
    metrics: Metrics,
    pending: Mutex<BTreeMap<TokenId, SystemTime>>,
}

impl LastUses {
    pub(super) const fn new(store: Store, metrics: Metrics) -> Self {
        Self { store, metrics, pending: Mutex::new(BTreeMap::new()) }
    }

    /// Notes that a token was found active, at a time by the database's clock.
    pub(super) fn note(&self, token: TokenId, time: SystemTime) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = pending.get_mut(&token) {
            *known = time.max(*known);
        } else if pending.len() < CAPACITY {
            pending.insert(token, time);
        }
    }

    /// Writes what was noted. What cannot be written is kept for the next time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn flush(&self) -> Result<(), StoreError> {
        let noted = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        let noted: Vec<(TokenId, SystemTime)> = noted.into_iter().collect();
        let mut batches = noted.chunks(BATCH);
        while let Some(batch) = batches.next() {
            let written = self.write(batch).await;
            let result = if written.is_ok() { FlushResult::Written } else { FlushResult::Failed };
            self.metrics.last_use_flushed(result);
            if let Err(error) = written {
                batch.iter().chain(batches.flatten()).for_each(|(token, time)| self.note(*token, *time));
                return Err(error);
            }
        }
        Ok(())
    }

    async fn write(&self, batch: &[(TokenId, SystemTime)]) -> Result<(), StoreError> {
        let mut connection = self.store.connection().await?;
        last_uses::record(&mut connection, batch).await
    }
}
