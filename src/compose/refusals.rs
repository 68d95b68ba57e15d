//! Writing to the audit which callers were refused.

use std::sync::Arc;
use std::time::Duration;

use crate::service::Service;
use crate::store::Store;

/// How often what waits is written; how much at once is told where it waits.
const INTERVAL: Duration = Duration::from_secs(1);

/// Writes again and again, and never ends.
pub(super) async fn keep_writing(service: Arc<Service>, store: Store) {
    let mut failed = false;
    loop {
        tokio::time::sleep(INTERVAL).await;
        match service.refusals().write(&store).await {
            Ok(()) => failed = false,
            Err(error) if !std::mem::replace(&mut failed, true) => {
                let error = crate::telemetry::chain(&error);
                tracing::warn!(error, "refusals cannot be written to the audit; counting them");
            }
            Err(_) => {}
        }
    }
}
