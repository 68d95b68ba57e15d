//! Forgetting the beginning of the revision log once it is older than anybody may come back for, and replaced secrets once
//! they have ended.

use std::time::Duration;

use crate::store::{Store, StoreError, log, previous_secrets};

/// How often it is looked for what is too old.
const INTERVAL: Duration = Duration::from_mins(1);

/// How many events go at once.
const BATCH: usize = 10_000;

/// How many secrets go at once.
const SECRETS: usize = 1_000;

/// Keeps events for so long, in a future that never ends. Any number of servers may do it at the same time.
pub(super) async fn keep_for(retention: Duration, store: Store) {
    let mut away = false;
    loop {
        match compact(&store, retention).await {
            Ok(deleted) => {
                away = false;
                if deleted > 0 {
                    tracing::info!(deleted, "old events were deleted from the revision log");
                }
            }
            Err(error) if !std::mem::replace(&mut away, true) => {
                let error = crate::telemetry::chain(&error);
                tracing::warn!(error, "the revision log cannot be compacted; trying on");
            }
            Err(_) => {}
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn compact(store: &Store, retention: Duration) -> Result<usize, StoreError> {
    while previous_secrets::forget_ended(&mut store.connection().await?, SECRETS).await? == SECRETS {}
    let mut total = 0;
    loop {
        let mut transaction = store.begin().await?;
        let deleted = log::compact(&mut transaction, retention, BATCH).await;
        let deleted = transaction.finish(deleted).await?;
        total += deleted;
        if deleted < BATCH {
            return Ok(total);
        }
    }
}
