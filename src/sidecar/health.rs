//! What the sidecar says of its health: it serves while it may answer by itself or reaches a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::sleep;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::Sidecar;
use crate::operations;
use crate::proto::envoy::service::auth::v3::authorization_server;
use crate::proto::v1::token_service_server;

/// How often it looks.
const INTERVAL: Duration = Duration::from_millis(100);

/// The names a client may ask about; "" is the sidecar as a whole.
const NAMES: [&str; 3] = ["", token_service_server::SERVICE_NAME, authorization_server::SERVICE_NAME];

/// The sidecar's health, as gRPC clients and `/healthz` see it.
#[derive(Clone)]
pub struct Health {
    sidecar: Arc<Sidecar>,
    reporter: HealthReporter,
    leaving: Arc<AtomicBool>,
}

impl Health {
    /// That of a sidecar.
    #[must_use]
    pub fn of(sidecar: Arc<Sidecar>) -> Self {
        Self { sidecar, reporter: HealthReporter::new(), leaving: Arc::default() }
    }

    /// Tells gRPC clients.
    #[must_use]
    pub fn reporter(&self) -> HealthReporter {
        self.reporter.clone()
    }

    /// Tells `/healthz` what is not well, if anything.
    pub fn probe(&self) -> impl Fn() -> operations::Health + Send + Sync + 'static {
        let health = self.clone();
        move || {
            let well = operations::Health::well();
            if health.leaving.load(Ordering::Relaxed) {
                well.and_failing("sidecar", "it is draining")
            } else if health.serves() {
                well
            } else {
                well.and_failing("servers", "none can be reached, and no lease is held")
            }
        }
    }

    fn serves(&self) -> bool {
        self.sidecar.holds_lease() || self.sidecar.links.is_up()
    }

    /// Looks again and again, and logs each change.
    pub async fn watch(self) {
        let (mut told, mut held) = (None, false);
        while !self.leaving.load(Ordering::Relaxed) {
            let (serves, leased) = (self.serves(), self.sidecar.holds_lease());
            if told.replace(serves) != Some(serves) {
                let status = if serves { ServingStatus::Serving } else { ServingStatus::NotServing };
                self.tell(status).await;
            }
            if std::mem::replace(&mut held, leased) != leased {
                if leased {
                    tracing::info!("a lease is held; answering from what is known here");
                } else {
                    tracing::warn!("no lease is held; every request is asked upstream");
                }
            }
            sleep(INTERVAL).await;
        }
        std::future::pending::<()>().await;
    }

    /// Says for good that the sidecar is going away.
    pub async fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
        self.tell(ServingStatus::NotServing).await;
    }

    async fn tell(&self, status: ServingStatus) {
        for name in NAMES {
            self.reporter.set_service_status(name, status).await;
        }
    }
}
