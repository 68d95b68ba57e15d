//! Puts a server together, keeps watch over its parts, and takes it down: the one place that knows every layer.

mod beside;
mod following;
mod health;
mod retention;
mod routes;
mod sampling;
pub mod sidecar;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use beside::{Beside, Part};
pub use beside::{BesideError, EdgeOptions};
use following::Following;

use crate::cache::Cache;
use crate::crossing::Crossing;
use crate::feed::Feed;
use crate::fleet::Fleet;
use crate::hash::Hasher;
use crate::keyring::Keyring;
use crate::metrics::Metrics;
use crate::profile::Profile;
use crate::proof::{ProofCache, Prover};
use crate::revocation::Event;
use crate::rpc::Desk;
use crate::server::limits::raise_descriptor_limit;
use crate::server::listen::ListenAddress;
use crate::server::serving::{Serving, ServingError, ServingOptions};
use crate::service::{Committing, EntryError, KeysError, Parts, Service};
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
    /// Our own descriptors cannot be read.
    #[error("cannot read the descriptors of the API")]
    Descriptors(#[from] prost::DecodeError),
    /// The keyring does not fit the database.
    #[error("cannot use the keyring")]
    Keys(#[from] KeysError),
    /// The profiles do not fit those in the database.
    #[error("cannot use the profiles")]
    Profiles(#[from] EntryError),
    /// The operating system has no randomness to give.
    #[error("cannot get random bytes from the operating system")]
    Randomness(#[from] rand::rngs::SysError),
    /// The API cannot be served.
    #[error("cannot serve")]
    Serving(#[from] ServingError),
    /// What is served beside the API cannot be.
    #[error(transparent)]
    Beside(#[from] BesideError),
    /// Reflection cannot be built from our own descriptors.
    #[error("cannot build server reflection")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// A part that must never end has ended.
    #[error("{0} has ended, and without it nothing may be served")]
    PartEnded(String),
}

/// The tokens remembered: about 300 bytes each.
const CACHED: usize = 1_000_000;

/// The proofs remembered: about 100 bytes each.
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
    /// What must never end of itself, by name.
    parts: Vec<Part>,
    draining: CancellationToken,
    drain_timeout: Duration,
}

impl Server {
    /// Migrates the database, checks the keys, and serves.
    ///
    /// # Errors
    /// [`ServerError`]; nothing is left running then.
    pub async fn start(options: ServerOptions) -> Result<Self, ServerError> {
        if let Err(error) = raise_descriptor_limit() {
            tracing::warn!(error = crate::telemetry::chain(&error), "the limit on open files stays as it is");
        }
        let metrics = Metrics::new(crate::proto::method_paths()?);
        let store = Store::new(&options.database)?;
        store.migrate().await?;
        let prover = Prover::new()?;
        let following = Following::begin(&options, &store, prover, &metrics).await?;
        let Following { cache, feed, fleet, watching, mut parts } = following;
        let (committing, writer) = Committing::start(store.clone(), taking_effect(&cache, &feed));
        parts.push(("the writer of changes", AbortOnDropHandle::new(writer)));
        let service = Service::new(Parts {
            store: store.clone(),
            committing,
            keyring: Arc::new(options.keyring),
            hasher: options.hasher,
            proofs: ProofCache::new(PROOFS),
            cache: Arc::clone(&cache),
            feed,
            fleet: fleet.clone(),
            metrics: metrics.clone(),
        });
        let service = Arc::new(service.await?);
        service.enter_profiles(&options.profiles).await?;
        let crossing = Crossing::new(Handle::current(), options.serving.limits.requests_in_flight);
        let (health, checking) = health::Health::start(Arc::clone(&service), watching, metrics.clone()).await;
        parts.push(("the health probe", checking));
        let flusher = tokio::spawn(flush_last_uses(Arc::clone(&service), options.last_use_interval));
        parts.push(("the last-use writer", AbortOnDropHandle::new(flusher)));
        let retention = retention::keep_for(options.revision_retention, store.clone());
        parts.push(("the compaction of the log", AbortOnDropHandle::new(tokio::spawn(retention))));
        sampling::add(&metrics, store, Arc::clone(&options.serving.counters));
        sampling::add_leases(&metrics, cache, fleet.clone());
        let draining = options.serving.draining.clone();
        let desk = Desk::new(Arc::clone(&service), crossing.clone(), draining.clone());
        let mut beside = Beside::default()
            .with_operations(options.operations, metrics.clone(), health.probe())?
            .with_edge(options.edge, &options.serving, desk.clone())?;
        parts.extend(beside.take_parts());
        let routes = routes::build(&desk, &metrics, &health, options.reflection, &options.serving)?;
        let serving = Serving::start(options.serving, routes)?;
        let drain_timeout = options.drain_timeout;
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
    /// [`ServerError::PartEnded`]; it has drained then too.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), ServerError> {
        let ended = tokio::select! {
            () = shutdown => Ok(()),
            part = self.serving.failed() => Err(ServerError::PartEnded(format!("{part:?}"))),
            name = first_to_end(&mut self.parts) => Err(ServerError::PartEnded(name.to_owned())),
        };
        self.drain().await;
        ended
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
        if tokio::time::timeout(LAST_WRITE, self.fleet.leave()).await.is_err() {
            tracing::warn!("the fleet was not left in time");
        }
        let (graceful, cut) = (report.graceful, report.cut);
        tracing::info!(graceful, cut, unfinished = finished.is_err(), "ended");
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

/// Waits for a part that ends, which none should.
async fn first_to_end(parts: &mut [Part]) -> &'static str {
    std::future::poll_fn(|context| {
        for (name, part) in parts.iter_mut() {
            if std::pin::Pin::new(part).poll(context).is_ready() {
                return std::task::Poll::Ready(*name);
            }
        }
        std::task::Poll::Pending
    })
    .await
}

async fn flush_last_uses(service: Arc<Service>, interval: Duration) {
    let mut away = false;
    loop {
        // Sooner if there is much to write.
        let _ = tokio::time::timeout(interval, service.last_uses().many()).await;
        match service.last_uses().flush().await {
            Ok(()) => away = false,
            Err(error) if !std::mem::replace(&mut away, true) => {
                tracing::warn!(
                    error = crate::telemetry::chain(&error),
                    "last uses cannot be written; keeping them"
                );
            }
            // Without a pause, much to write would be tried again at once.
            Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}
