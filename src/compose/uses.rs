//! Writing uses of tokens, and forgetting who reported some.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::metrics::{Metrics, Sampled};
use crate::service::Service;
use crate::store::{Store, StoreError, last_uses};
use crate::uses::Outbox;

/// For how long it is known which report of a server or sidecar was the last: far longer than one is repeated.
const REMEMBERED: Duration = Duration::from_hours(24);

/// How often it is looked for reporters that are gone.
const FORGETTING: Duration = Duration::from_mins(10);

/// Tells how many uses were lost.
pub(super) fn add_lost(metrics: &Metrics, outbox: &Arc<Outbox>) {
    let outbox = Arc::clone(outbox);
    metrics.sample(Sampled::uses_lost(move || outbox.lost()));
}

/// Writes uses at intervals, in a future that never ends.
pub(super) async fn write(service: Arc<Service>, every: Duration) {
    let (mut ticks, mut away) = (interval(every), false);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // The first one comes at once.
    ticks.tick().await;
    loop {
        ticks.tick().await;
        match service.last_uses().flush().await {
            Ok(()) => away = false,
            Err(error) if !std::mem::replace(&mut away, true) => {
                let error = crate::telemetry::chain(&error);
                tracing::warn!(error, "uses cannot be written; keeping them");
            }
            Err(_) => {}
        }
    }
}

/// Forgets, in a future that never ends, who has not reported for long. Any number of servers may do it at the same time.
pub(super) async fn forget_reports(store: Store) {
    loop {
        if let Err(error) = forget(&store).await {
            tracing::debug!(
                error = crate::telemetry::chain(&error),
                "old reports cannot be forgotten; trying on"
            );
        }
        sleep(FORGETTING).await;
    }
}

async fn forget(store: &Store) -> Result<(), StoreError> {
    last_uses::forget(&mut store.connection().await?, REMEMBERED).await
}
