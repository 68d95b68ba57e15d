//! The operations listener: `/metrics` and `/healthz` over HTTP/1, apart from the API and its limits.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::metrics::{self, Metrics};

/// Connections at once; more wait. A scraper and a few probes need no more.
const MOST_CONNECTIONS: usize = 64;
/// The size of a request's head, in bytes; the least that hyper takes.
const LARGEST_HEAD: usize = 8 * 1024;
/// How long a request's head may take to arrive.
const HEAD_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a connection may last; each serves one request.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a request that is under way may take to end when the listener is told to stop.
const GRACE: Duration = Duration::from_secs(1);
/// How long to wait after a failure to accept, such as a process out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for operations")]
pub struct OperationsError {
    address: SocketAddr,
    source: io::Error,
}

/// The listener, bound and not yet serving.
#[derive(Debug)]
pub struct Operations {
    listener: TcpListener,
    address: SocketAddr,
}

impl Operations {
    /// Binds the address; port 0 lets the system choose.
    ///
    /// # Errors
    /// [`OperationsError`].
    pub async fn bind(address: SocketAddr) -> Result<Self, OperationsError> {
        let failed = |source| OperationsError { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
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
        let routes = routes(metrics, Arc::new(health));
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_ended) = connections.join_next() => {}
                accepted = self.listener.accept(), if connections.len() < MOST_CONNECTIONS => match accepted {
                    Ok((stream, _)) => drop(connections.spawn(serve_connection(stream, routes.clone()))),
                    Err(error) => pause(&error).await,
                },
            }
        }
        // What has not ended by then is dropped with the set.
        let _ = timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
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

async fn serve_connection(stream: TcpStream, routes: Router) {
    let connection = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(LARGEST_HEAD)
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    match timeout(CONNECTION_TIMEOUT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an operations request failed"),
        Err(_) => tracing::debug!("an operations request took too long"),
    }
}

async fn pause(error: &io::Error) {
    tracing::warn!(%error, "cannot accept an operations connection");
    sleep(ACCEPT_PAUSE).await;
}

#[cfg(test)]
mod tests;
