//! The edge over HTTP, of a server or of a sidecar.

use axum::http::HeaderName;
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

use crate::rpc::{Edge, ForwardAuth};
use crate::server::http1::{Http1, Http1Limits};
use crate::server::listen::{ListenAddress, ListenError, check_plaintext};
use crate::server::serving::ServingOptions;

/// Proxies keep their connections, nginx for a minute unless told otherwise; each has one request at a time. A head holds
/// that of the client's request, and proxies take less than this.
const LIMITS: Http1Limits = Http1Limits {
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

/// The listener at work.
pub(super) struct EdgeListener {
    pub(super) address: ListenAddress,
    pub(super) serving: AbortOnDropHandle<()>,
}

/// Serves until the drain that the API's serving is told of.
pub(super) fn start(
    options: EdgeOptions,
    serving: &ServingOptions,
    edge: impl Edge,
) -> Result<EdgeListener, ListenError> {
    check_plaintext(std::slice::from_ref(&options.listen), serving.insecure_plaintext)?;
    let listener = Http1::bind(&options.listen, serving.socket_mode)?;
    let address = listener.address().clone();
    let asks =
        ForwardAuth { address_header: options.address_header, deadline: serving.limits.unary_deadline };
    let serving = listener.serve(asks.routes(edge), LIMITS, serving.draining.clone());
    Ok(EdgeListener { address, serving: AbortOnDropHandle::new(tokio::spawn(serving)) })
}
