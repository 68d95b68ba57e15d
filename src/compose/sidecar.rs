//! Puts a sidecar together, keeps watch over its parts, and takes it down.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tonic::service::Routes;

use super::beside::{Beside, EdgeOptions};
use super::process::{self, Parts, ProcessError};
use super::{routes, sampling, uses};
use crate::cache::Cache;
use crate::metrics::{Metrics, Sampled};
use crate::proof::Prover;
use crate::proto::v1::token_service_server::TokenServiceServer;
use crate::server::listen::ListenAddress;
use crate::server::serving::{Serving, ServingOptions};
use crate::sidecar::{self, Health, Sidecar, SidecarRpc, follow_upstreams, report_usage};
use crate::upstream::{CredentialFile, Upstream};
use crate::workspace::WorkspaceId;

/// Everything a sidecar needs to know.
pub struct SidecarOptions {
    /// The servers it follows and asks, any of which will do.
    pub upstreams: Vec<Upstream>,
    /// What it authenticates by.
    pub credential: CredentialFile,
    /// The workspaces that it answers for; all that its credential acts on if there are none.
    pub workspaces: Vec<WorkspaceId>,
    /// The most tokens it remembers.
    pub cache_entries: usize,
    /// Where and how it is served.
    pub serving: ServingOptions,
    /// Where `/metrics` and `/healthz` are served, if anywhere.
    pub operations: Option<SocketAddr>,
    /// Where the edge is served over HTTP, if anywhere.
    pub edge: Option<EdgeOptions>,
    /// Whether server reflection is served.
    pub reflection: bool,
    /// How often last uses are reported.
    pub last_use_interval: Duration,
    /// How long a drain may take.
    pub drain_timeout: Duration,
}

/// How long a drain takes for telling a server the latest uses, and that the lease is given up.
const LAST_CALLS: Duration = Duration::from_secs(3);

/// A sidecar at work.
pub struct SidecarProcess {
    sidecar: Arc<Sidecar>,
    serving: Serving,
    beside: Beside,
    health: Health,
    parts: Parts,
    drain_timeout: Duration,
}

impl SidecarProcess {
    /// Serves, and begins to follow a server; until it does, requests wait a moment and then are told that nobody can know.
    ///
    /// # Errors
    /// [`ProcessError`]; nothing is left running then.
    pub fn start(options: SidecarOptions) -> Result<Self, ProcessError> {
        let metrics = process::begin()?;
        let cache = Arc::new(Cache::new(options.cache_entries, Prover::new()?));
        let sidecar = Arc::new(Sidecar::new(sidecar::Parts { cache, workspaces: options.workspaces }));
        add_samples(&metrics, &sidecar);
        sampling::add_connections(&metrics, Arc::clone(&options.serving.counters));
        let health = Health::of(Arc::clone(&sidecar));
        let following = follow_upstreams(Arc::clone(&sidecar), options.upstreams, options.credential);
        let reporting = report_usage(Arc::clone(&sidecar), options.last_use_interval);
        let mut parts = Parts::default();
        parts.add("the follower of the servers", tokio::spawn(following));
        parts.add("the reporter of last uses", tokio::spawn(reporting));
        parts.add("the health watch", tokio::spawn(health.clone().watch()));
        let beside = Beside::start(&mut parts)
            .with_operations(options.operations, metrics.clone(), health.probe())?
            .with_edge(options.edge, &options.serving, Arc::clone(&sidecar))?
            .started();
        let rpc = SidecarRpc(Arc::clone(&sidecar));
        let tokens = TokenServiceServer::new(rpc.clone())
            .max_decoding_message_size(routes::LARGEST_REQUEST)
            .max_encoding_message_size(routes::LARGEST_ANSWER);
        let routes = Routes::new(tokens).add_service(routes::check(Arc::clone(&sidecar)));
        let routes = routes::common(routes, health.reporter(), options.reflection)?;
        let bounded = routes::bounded(routes::directly(rpc, routes), &metrics, &options.serving);
        let serving = Serving::start(options.serving, bounded)?;
        Ok(Self { sidecar, serving, beside, health, parts, drain_timeout: options.drain_timeout })
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

    /// Serves until `shutdown` comes back, then drains: finishes what is under way, tells the server the latest uses and
    /// that the lease is given up, and always ends.
    ///
    /// # Errors
    /// [`ProcessError::PartEnded`]; it has drained then too.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Result<(), ProcessError> {
        let ended = self.parts.run(&self.serving, shutdown).await;
        self.drain().await;
        ended
    }

    async fn drain(self) {
        tracing::info!(timeout_seconds = self.drain_timeout.as_secs_f64(), "draining");
        self.health.leave().await;
        let report = self.serving.drain(self.drain_timeout).await;
        let last_calls = async {
            self.sidecar.release().await;
            self.sidecar.report().await;
        };
        if timeout(LAST_CALLS, last_calls).await.is_err() {
            tracing::warn!("the server did not take the lease and the latest uses in time");
        }
        tracing::info!(graceful = report.graceful, cut = report.cut, "ended");
    }
}

fn add_samples(metrics: &Metrics, sidecar: &Arc<Sidecar>) {
    let (answers, calls) = (Arc::clone(sidecar.counts()), Arc::clone(sidecar.counts()));
    uses::add_lost(metrics, sidecar.usage());
    let sidecar = Arc::clone(sidecar);
    metrics.sample(Sampled::sidecar_state(move || sidecar.state()));
    metrics.sample(Sampled::sidecar_answers(move || answers.answers()));
    metrics.sample(Sampled::sidecar_calls(move || calls.calls()));
}
