//! What a server or a sidecar serves over HTTP/1 beside the API: operations, and the edge.

use std::net::SocketAddr;
use std::time::Duration;

use http::HeaderName;
use tokio_util::sync::CancellationToken;

use super::process::{Parts, ProcessError};
use crate::metrics::Metrics;
use crate::operations::{Health, Operations};
use crate::rpc::{Edge, ForwardAuth};
use crate::server::http1::{Http1, Http1Limits};
use crate::server::listen::{ListenAddress, ListenError, check_plaintext};
use crate::server::serving::ServingOptions;

/// Proxies keep their connections, nginx for a minute unless told otherwise; each has one request at a time. A head holds
/// that of the client's request, and proxies take less than this.
const EDGE_LIMITS: Http1Limits = Http1Limits {
    connections: 1024,
    largest_head: 128 * 1024,
    head_timeout: Duration::from_secs(75),
    keep_alive: true,
    connection_timeout: None,
};

/// Where and how the edge is served over HTTP.
#[derive(Debug, Clone)]
pub struct EdgeOptions {
    /// Where; plaintext, so loopback unless the API's plaintext may leave it too.
    pub listen: ListenAddress,
    /// The header that holds the client's address, if a proxy sets one.
    pub address_header: Option<HeaderName>,
}

/// What cannot be served beside the API.
#[derive(Debug, thiserror::Error)]
pub enum BesideError {
    /// `/metrics` and `/healthz`.
    #[error("cannot serve the operations listener")]
    Operations(#[source] ListenError),
    /// The edge.
    #[error("cannot serve the edge")]
    Edge(#[source] ListenError),
}

/// Where what is served beside the API is served.
#[derive(Debug, Default)]
pub(super) struct Beside {
    pub(super) operations: Option<SocketAddr>,
    pub(super) edge: Option<ListenAddress>,
}

impl Beside {
    /// Begins to serve; the tasks that do are added to `parts`.
    pub(super) fn start(parts: &mut Parts) -> Starting<'_> {
        Starting { beside: Self::default(), parts }
    }
}

/// What is served beside the API as far as it is started.
pub(super) struct Starting<'parts> {
    beside: Beside,
    parts: &'parts mut Parts,
}

impl Starting<'_> {
    /// Serves `/metrics` and `/healthz`, if they are to be. They outlive the drain, so that its progress can be seen.
    pub(super) fn with_operations(
        mut self,
        address: Option<SocketAddr>,
        metrics: Metrics,
        health: impl Fn() -> Health + Send + Sync + 'static,
    ) -> Result<Self, ProcessError> {
        let Some(address) = address else { return Ok(self) };
        let listener = Operations::bind(address).map_err(BesideError::Operations)?;
        self.beside.operations = Some(listener.address());
        let serving = tokio::spawn(listener.serve(metrics, health, CancellationToken::new()));
        self.parts.add("the operations listener", serving);
        Ok(self)
    }

    /// Serves the edge, if it is to be, until the drain that the API's serving is told of.
    pub(super) fn with_edge(
        mut self,
        options: Option<EdgeOptions>,
        serving: &ServingOptions,
        edge: impl Edge,
    ) -> Result<Self, ProcessError> {
        let Some(options) = options else { return Ok(self) };
        let bound = check_plaintext(std::slice::from_ref(&options.listen), serving.insecure_plaintext)
            .and_then(|()| Http1::bind(&options.listen, serving.socket_mode));
        let listener = bound.map_err(BesideError::Edge)?;
        self.beside.edge = Some(listener.address().clone());
        let asks =
            ForwardAuth { address_header: options.address_header, deadline: serving.limits.unary_deadline };
        let serving = tokio::spawn(listener.serve(asks.routes(edge), EDGE_LIMITS, serving.draining.clone()));
        self.parts.add("the edge listener", serving);
        Ok(self)
    }

    /// Where all is served.
    pub(super) fn started(self) -> Beside {
        self.beside
    }
}
