//! The doorbell: rung once for many changes, heard from every server, and hung anew whenever it falls. Its death costs
//! time and nothing else.

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::Feed;
use crate::metrics::Metrics;
use crate::store::StoreError;
use crate::store::doorbell::{Doorbell, Listener, Ringer};

/// The shortest time between two rings. NOTIFY takes a lock of the whole cluster, so many changes share one; the first
/// of them rings at once.
const PAUSE: Duration = Duration::from_millis(5);

/// How long to wait before connecting again: first, and at most.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

pub(super) async fn attend(doorbell: Doorbell, feed: Feed, metrics: Metrics) {
    let (mut backoff, mut known) = (BACKOFF.0, false);
    loop {
        let ended = match doorbell.connect().await {
            Ok((ringer, listener)) => {
                metrics.doorbell_is_connected(true);
                (backoff, known) = (BACKOFF.0, false);
                // What was rung before has not been heard.
                feed.look();
                let ended = tokio::select! {
                    ended = ring(&ringer, &feed) => ended,
                    ended = listen(listener, &feed) => ended,
                };
                metrics.doorbell_is_connected(false);
                ended
            }
            Err(error) => error,
        };
        if !std::mem::replace(&mut known, true) {
            let error = crate::telemetry::chain(&ended);
            tracing::warn!(error, "the doorbell is down; changes travel by polling until it is up again");
        }
        sleep(backoff).await;
        backoff = BACKOFF.1.min(backoff * 2);
    }
}

async fn ring(ringer: &Ringer, feed: &Feed) -> StoreError {
    loop {
        feed.0.doorbell.notified().await;
        let begun = Instant::now();
        if let Err(error) = ringer.ring().await {
            return error;
        }
        sleep_until(begun + PAUSE).await;
    }
}

async fn listen(mut listener: Listener, feed: &Feed) -> StoreError {
    loop {
        match listener.heard().await {
            Ok(()) => feed.look(),
            Err(error) => return error,
        }
    }
}
