//! What the server says of its health: it serves while the database answers and it is not going away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::metrics::Metrics;
use crate::operations;
use crate::proto::envoy::service::auth::v3::authorization_server;
use crate::proto::v1::{
    audit_service_server, principal_service_server, sidecar_service_server, token_service_server,
    workspace_service_server,
};
use crate::service::Service;
use crate::store::Store;

/// How often the database is asked.
const INTERVAL: Duration = Duration::from_secs(1);

/// The names a client may ask about; "" is the server as a whole.
const NAMES: [&str; 7] = [
    "",
    token_service_server::SERVICE_NAME,
    workspace_service_server::SERVICE_NAME,
    principal_service_server::SERVICE_NAME,
    audit_service_server::SERVICE_NAME,
    sidecar_service_server::SERVICE_NAME,
    authorization_server::SERVICE_NAME,
];

const UP: u8 = 0;
const DOWN: u8 = 1;
const LEAVING: u8 = 2;

/// The server's health, as gRPC clients and `/healthz` see it.
#[derive(Clone)]
pub(super) struct Health {
    reporter: HealthReporter,
    state: Arc<AtomicU8>,
}

impl Health {
    /// Asks the database once, and then again and again in a task that never ends.
    pub(super) async fn start(
        service: Arc<Service>,
        store: Store,
        metrics: Metrics,
    ) -> (Self, JoinHandle<()>) {
        let health = Self { reporter: HealthReporter::new(), state: Arc::new(AtomicU8::new(DOWN)) };
        health.check(&service, &store, &metrics).await;
        let prober = health.clone();
        let task = tokio::spawn(async move {
            loop {
                tokio::time::sleep(INTERVAL).await;
                prober.check(&service, &store, &metrics).await;
            }
        });
        (health, task)
    }

    pub(super) fn reporter(&self) -> HealthReporter {
        self.reporter.clone()
    }

    /// Tells `/healthz` which part is not well, if any.
    pub(super) fn probe(&self) -> impl Fn() -> operations::Health + Send + Sync + 'static {
        let state = Arc::clone(&self.state);
        let well = operations::Health::well;
        move || match state.load(Ordering::Relaxed) {
            UP => well(),
            LEAVING => well().and_failing("server", "it is draining"),
            _ => well().and_failing("database", "it does not answer"),
        }
    }

    async fn check(&self, service: &Service, store: &Store, metrics: &Metrics) {
        let asked = service.check_database(store).await;
        metrics.database_is_up(asked.is_ok());
        let (state, status) =
            if asked.is_ok() { (UP, ServingStatus::Serving) } else { (DOWN, ServingStatus::NotServing) };
        let before = self.state.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |before| {
            (before != LEAVING).then_some(state)
        });
        // The first check finds DOWN from the start, and must be told all the same.
        if before.is_ok() {
            self.tell(status).await;
        }
        // Whoever left meanwhile has the last word.
        if self.state.load(Ordering::Relaxed) == LEAVING {
            self.tell(ServingStatus::NotServing).await;
        }
        match (before, asked) {
            (Ok(UP), Err(error)) => {
                tracing::warn!(
                    error = crate::telemetry::chain(&error),
                    "the database does not answer; not serving"
                );
            }
            (Ok(DOWN), Ok(())) => tracing::info!("the database answers; serving"),
            _ => {}
        }
    }

    /// Says for good that the server is going away.
    pub(super) async fn leave(&self) {
        self.state.store(LEAVING, Ordering::Relaxed);
        self.tell(ServingStatus::NotServing).await;
    }

    async fn tell(&self, status: ServingStatus) {
        for name in NAMES {
            self.reporter.set_service_status(name, status).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::NAMES;
    use crate::proto::method_paths;

    #[test]
    fn a_client_may_ask_about_each_service() {
        for path in method_paths().unwrap() {
            let service = path.split('/').nth(1).unwrap();
            // Of health and of reflection nobody asks whether they serve: they answer, or not.
            assert!(service.starts_with("grpc.") || NAMES.contains(&service), "{service}");
        }
    }
}
