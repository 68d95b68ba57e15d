//! Puts a server together, keeps watch over its parts, and takes it down: the one place that knows every layer.

mod beside;
mod following;
mod forgetting;
mod health;
mod process;
mod refusals;
mod retention;
mod routes;
mod sampling;
pub mod sidecar;
mod uses;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use beside::Beside;
pub use beside::{BesideError, EdgeOptions};
use following::Following;
pub use forgetting::ReplayKeyError;
use forgetting::{Forgetting, agree};
use process::Parts;

pub use process::ProcessError;
pub use routes::bounded;

use crate::cache::Cache;
use crate::crossing::Crossing;
use crate::feed::Feed;
use crate::fleet::Fleet;
use crate::hash::Hasher;
use crate::keyring::{Keyring, ReplayKeys};
use crate::metrics::Metrics;
use crate::profile::Profile;
use crate::proof::{ProofCache, Prover};
use crate::revocation::Event;
use crate::rpc::Desk;
use crate::server::listen::ListenAddress;
use crate::server::serving::{Serving, ServingOptions};
use crate::service::{self, Committing, EntryError, KeysError, Service};
use crate::store::{DatabaseOptions, Store, StoreError, UrlError};

/// Everything a server needs to know.
pub struct ServerOptions {
    /// The database.
    pub database: DatabaseOptions,
    /// The database by the way on which LISTEN and NOTIFY pass; `None` to do without these.
    pub doorbell: Option<DatabaseOptions>,
    /// How long a lease lasts, from 1 to 60 s; the same at every server over the database.
    pub lease: Duration,
    /// How long events are kept.
    pub revision_retention: Duration,
    /// How long it is kept who did what.
    pub audit_retention: Duration,
    /// For how long a request is recognised by its id; the same at every server over the database.
    pub request_window: Duration,
    /// By what it is recognised, and what it has made is shown again.
    pub replay: ReplayKeys,
    /// The server keys.
    pub keyring: Keyring,
    /// The profiles that this server has.
    pub profiles: Vec<Profile>,
    /// The argon2 pool.
    pub hasher: Hasher,
    /// Where and how the API is served.
    pub serving: ServingOptions,
    /// Where `/metrics` and `/healthz` are served, if anywhere.
    pub operations: Option<SocketAddr>,
    /// Where the edge is served over HTTP, if anywhere.
    pub edge: Option<EdgeOptions>,
    /// Whether server reflection is served.
    pub reflection: bool,
    /// How often last uses are written.
    pub last_use_interval: Duration,
    /// How long a drain may take.
    pub drain_timeout: Duration,
}

/// Why a server did not start or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The database cannot be used.
    #[error("cannot use the database")]
    Store(#[from] StoreError),
    /// The database URL cannot be understood, or names a file that cannot be used.
    #[error("cannot use the database URL")]
    DatabaseUrl(#[from] UrlError),
    /// The keyring does not fit the database.
    #[error("cannot use the keyring")]
    Keys(#[from] KeysError),
    /// Another server seals with another replay key.
    #[error("cannot use the replay key")]
    Replay(#[from] ReplayKeyError),
    /// The profiles do not fit those in the database.
    #[error("cannot use the profiles")]
    Profiles(#[from] EntryError),
    /// What any process of ours may fail by.
    #[error(transparent)]
    Process(#[from] ProcessError),
}

/// The tokens remembered: less than 300 bytes each (docs/performance/memory.md).
const CACHED: usize = 1_000_000;

/// The proofs remembered: about 75 bytes each.
const PROOFS: usize = 100_000;

/// How long a drain waits for work that outlived its client: a statement and a COMMIT may take as long, and no longer.
const LAST_WORK: Duration = Duration::from_secs(15);

/// How long a drain takes for writing last uses, and for leaving the fleet.
const LAST_WRITE: Duration = Duration::from_secs(5);

/// A server at work.
pub struct Server {
    service: Arc<Service>,
    fleet: Fleet,
    crossing: Crossing,
    serving: Serving,
    beside: Beside,
    health: health::Health,
    parts: Parts,
    draining: CancellationToken,
    drain_timeout: Duration,
}

impl Server {
    /// Migrates the database, checks the keys, and serves.
    ///
    /// # Errors
    /// [`ServerError`]; nothing is left running then.
    pub async fn start(options: ServerOptions) -> Result<Self, ServerError> {
        let metrics = process::begin()?;
        let store = Store::new(&options.database)?;
        store.migrate().await?;
        let prover = Prover::new().map_err(ProcessError::from)?;
        let mut following = Following::begin(&options, &store, prover, &metrics).await?;
        let (fleet, mut parts) = (following.fleet.clone(), std::mem::take(&mut following.parts));
        match Box::pin(Self::serve(options, store, metrics, following, &mut parts)).await {
            Ok(server) => Ok(Self { parts, ..server }),
            Err(error) => {
                leave(&fleet).await;
                Err(error)
            }
        }
    }

    /// Builds and serves the API over what is followed. What must never end is added to `parts`, the heart among them, so
    /// that the fleet can still be left if this fails.
    async fn serve(
        options: ServerOptions,
        store: Store,
        metrics: Metrics,
        following: Following,
        parts: &mut Parts,
    ) -> Result<Self, ServerError> {
        let Following { cache, feed, fleet, watching, .. } = following;
        let (committing, writer) = Committing::start(store.clone(), taking_effect(&cache, &feed));
        parts.add("the writer of changes", writer);
        let replay = Arc::new(options.replay);
        agree(&store, &replay, options.request_window).await?;
        let service = Service::new(service::Parts {
            store: store.clone(),
            committing,
            keyring: Arc::new(options.keyring),
            hasher: options.hasher,
            proofs: ProofCache::new(PROOFS),
            cache: Arc::clone(&cache),
            feed,
            fleet: fleet.clone(),
            metrics: metrics.clone(),
            replay: Arc::clone(&replay),
            request_window: options.request_window,
        });
        let service = Arc::new(service.await?);
        service.enter_profiles(&options.profiles).await?;
        let crossing = Crossing::new(Handle::current(), options.serving.limits.requests_in_flight);
        let (health, checking) = health::Health::start(Arc::clone(&service), watching, metrics.clone()).await;
        parts.add("the health probe", checking);
        uses::add_lost(&metrics, service.last_uses().outbox());
        let flusher = uses::write(Arc::clone(&service), options.last_use_interval);
        parts.add("the last-use writer", tokio::spawn(flusher));
        parts.add("the forgetting of reports", tokio::spawn(uses::forget_reports(store.clone())));
        let retention = retention::keep_for(options.revision_retention, store.clone());
        parts.add("the compaction of the log", tokio::spawn(retention));
        let forgetting = Forgetting { store: store.clone(), replay, request_window: options.request_window };
        parts
            .add("the end of replay keys", tokio::spawn(forgetting.keep_forgetting(options.audit_retention)));
        let refusals = refusals::keep_writing(Arc::clone(&service), store.clone());
        parts.add("the writer of refusals", tokio::spawn(refusals));
        sampling::add(&metrics, store, Arc::clone(&options.serving.counters));
        sampling::add_leases(&metrics, cache, fleet.clone());
        let draining = options.serving.draining.clone();
        let desk = Desk::new(Arc::clone(&service), crossing.clone(), draining.clone());
        let beside = Beside::start(parts)
            .with_operations(options.operations, metrics.clone(), health.probe())?
            .with_edge(options.edge, &options.serving, desk.clone())?
            .started();
        let routes = routes::build(&desk, &metrics, &health, options.reflection, &options.serving)?;
        let serving = Serving::start(options.serving, routes).map_err(ProcessError::from)?;
        let drain_timeout = options.drain_timeout;
        let parts = Parts::default();
        Ok(Self { service, fleet, crossing, serving, beside, health, parts, draining, drain_timeout })
    }

    /// The addresses that are listened on.
    #[must_use]
    pub fn addresses(&self) -> &[ListenAddress] {
        self.serving.local_addresses()
    }

    /// The address of the operations listener, if there is one.
    #[must_use]
    pub const fn operations(&self) -> Option<SocketAddr> {
        self.beside.operations
    }

    /// Where the edge is served over HTTP, if it is.
    #[must_use]
    pub const fn edge(&self) -> Option<&ListenAddress> {
        self.beside.edge.as_ref()
    }

    /// What the server does.
    #[must_use]
    pub const fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// Serves until `shutdown` comes back, then drains: says that it is going, ends every stream, finishes what is under
    /// way, and always ends.
    ///
    /// # Errors
    /// [`ProcessError::PartEnded`]; it has drained then too.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
        let ended = self.parts.run(&self.serving, shutdown).await;
        self.drain().await;
        Ok(ended?)
    }

    async fn drain(self) {
        tracing::info!(timeout_seconds = self.drain_timeout.as_secs_f64(), "draining");
        self.health.leave().await;
        self.draining.cancel();
        let report = self.serving.drain(self.drain_timeout).await;
        let finished = tokio::time::timeout(LAST_WORK, self.crossing.finish()).await;
        match tokio::time::timeout(LAST_WRITE, self.service.last_uses().flush()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = crate::telemetry::chain(&error), "the latest uses were not written");
            }
            Err(_) => tracing::warn!("the latest uses were not written in time"),
        }
        // Whoever asked has an answer by now, and until now it needed the lease.
        leave(&self.fleet).await;
        let (graceful, cut) = (report.graceful, report.cut);
        tracing::info!(graceful, cut, unfinished = finished.is_err(), "ended");
    }
}

/// Tells the others that this server goes, so that nobody waits for it.
async fn leave(fleet: &Fleet) {
    if tokio::time::timeout(LAST_WRITE, fleet.leave()).await.is_err() {
        tracing::warn!("the fleet was not left in time");
    }
}

/// What was committed here takes effect here before it is answered, and is told to everybody else.
fn taking_effect(cache: &Arc<Cache>, feed: &Feed) -> impl Fn(&[Event]) + Send + Sync + 'static {
    let (cache, feed) = (Arc::clone(cache), feed.clone());
    move |events| {
        for event in events {
            cache.overtake(event);
        }
        feed.ring();
    }
}
