//! The operations listener: `/metrics` and `/healthz` over HTTP/1, apart from the API and its limits.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::routing::get;
use tokio_util::sync::CancellationToken;

use crate::metrics::{self, Metrics};
use crate::server::http1::{Http1, Http1Limits};
use crate::server::listen::{ListenAddress, ListenError};

/// A scraper and a few probes need no more; each connection serves one request.
const LIMITS: Http1Limits = Http1Limits {
    connections: 64,
    largest_head: 8 * 1024,
    head_timeout: Duration::from_secs(2),
    keep_alive: false,
    connection_timeout: Some(Duration::from_secs(10)),
};

/// Whether the server can do its work, and what it lacks if not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    failures: Vec<String>,
}

impl Health {
    /// Nothing is amiss.
    #[must_use]
    pub const fn well() -> Self {
        Self { failures: Vec::new() }
    }

    /// Adds a part that fails, and why, in one line without secrets.
    #[must_use]
    pub fn and_failing(mut self, part: &str, reason: &str) -> Self {
        self.failures.push(format!("{part}: {reason}"));
        self
    }

    fn answer(&self) -> (StatusCode, String) {
        if self.failures.is_empty() {
            (StatusCode::OK, "ok\n".to_owned())
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, self.failures.join("\n") + "\n")
        }
    }
}

/// The listener, bound and not yet serving.
pub struct Operations {
    listener: Http1,
    address: SocketAddr,
}

impl Operations {
    /// Binds the address; port 0 lets the system choose.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        // The mode is that of a Unix socket's file, which this is not.
        let listener = Http1::bind(&ListenAddress::Tcp(address), 0)?;
        let address = listener.address().tcp().unwrap_or(address);
        Ok(Self { listener, address })
    }

    /// The address it is bound to.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until it is told to stop, and at most a second longer. `health` is asked at each request and must not
    /// block.
    pub async fn serve(
        self,
        metrics: Metrics,
        health: impl Fn() -> Health + Send + Sync + 'static,
        stop: CancellationToken,
    ) {
        self.listener.serve(routes(metrics, Arc::new(health)), LIMITS, stop).await;
    }
}

fn routes<AskHealth>(metrics: Metrics, health: Arc<AskHealth>) -> Router
where
    AskHealth: Fn() -> Health + Send + Sync + 'static,
{
    let render = move || {
        let metrics = metrics.clone();
        async move { rendered(&metrics) }
    };
    let ask = move || {
        let health = Arc::clone(&health);
        async move { health().answer() }
    };
    Router::new().route("/metrics", get(render)).route("/healthz", get(ask))
}

type Rendered = ([(HeaderName, &'static str); 1], String);

fn rendered(metrics: &Metrics) -> Result<Rendered, StatusCode> {
    let text = metrics.render().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text))
}

#[cfg(test)]
mod tests;
