//! When each token was last used: gathered in memory, written now and then, so that use costs no write.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use tokio::sync::Notify;

use crate::metrics::{FlushResult, Metrics};
use crate::store::{Store, StoreError, last_uses};
use crate::token::TokenId;

/// The most tokens remembered between two writes, about 6 MiB. A use of a further one is lost; it takes an outage to get
/// there, since at half of it the writer is called.
const CAPACITY: usize = 200_000;

/// How many rows go into one statement.
const BATCH: usize = 1_000;

/// The uses that are not written yet.
#[derive(Debug)]
pub struct LastUses {
    store: Store,
    metrics: Metrics,
    pending: Mutex<BTreeMap<TokenId, SystemTime>>,
    /// Held by whoever writes, so that a drain waits for a write that is under way.
    writing: tokio::sync::Mutex<()>,
    /// Rung when there is much to write.
    many: Notify,
}

impl LastUses {
    pub(super) fn new(store: Store, metrics: Metrics) -> Self {
        let (pending, writing) = (Mutex::new(BTreeMap::new()), tokio::sync::Mutex::const_new(()));
        Self { store, metrics, pending, writing, many: Notify::const_new() }
    }

    /// Notes that a token was found active, at a time by the database's clock.
    pub(super) fn note(&self, token: TokenId, time: SystemTime) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = pending.get_mut(&token) {
            *known = time.max(*known);
        } else if pending.len() < CAPACITY {
            pending.insert(token, time);
            if pending.len() == CAPACITY / 2 {
                self.many.notify_one();
            }
        }
    }

    /// Comes back when there is so much to write that it should not wait.
    pub async fn many(&self) {
        self.many.notified().await;
    }

    /// Writes what was noted. What cannot be written is kept for the next time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn flush(&self) -> Result<(), StoreError> {
        let _turn = self.writing.lock().await;
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
        last_uses::record(&mut connection, batch, None).await
    }
}
