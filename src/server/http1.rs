//! A listener for small services over HTTP/1, beside the API and apart from its limits.

use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::acceptor::Registered;
use super::connection::Socket;
use super::listen::{ListenAddress, ListenError};

/// How long a request that is under way may take to end when the listener is told to stop.
const GRACE: Duration = Duration::from_secs(1);

/// How long to wait after a failure to accept, such as a process out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What clients are held to.
#[derive(Debug, Clone, Copy)]
pub struct Http1Limits {
    /// Connections at once; more wait.
    pub connections: usize,
    /// The size of a request's head, in bytes; at least 8,192, the least that hyper takes.
    pub largest_head: usize,
    /// How long a request's head may take to arrive, and how long a connection may stay without one.
    pub head_timeout: Duration,
    /// Whether a connection may serve one request after another.
    pub keep_alive: bool,
    /// How long a connection may last; for ever if there is none.
    pub connection_timeout: Option<Duration>,
}

/// The listener, bound and not yet serving.
pub struct Http1 {
    listener: Registered,
    address: ListenAddress,
}

impl Http1 {
    /// Binds the address; port 0 lets the system choose. A Unix socket's file gets that mode.
    ///
    /// # Errors
    /// [`ListenError`].
    pub fn bind(address: &ListenAddress, socket_mode: u32) -> Result<Self, ListenError> {
        let (listener, bound) = address.bind(socket_mode)?;
        let refused = |source| ListenError::Bind { address: address.clone(), source };
        Ok(Self { listener: Registered::try_from(listener).map_err(refused)?, address: bound })
    }

    /// The address it is bound to.
    #[must_use]
    pub const fn address(&self) -> &ListenAddress {
        &self.address
    }

    /// Serves until it is told to stop, and at most a second longer.
    pub async fn serve(self, routes: Router, limits: Http1Limits, stop: CancellationToken) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_ended) = connections.join_next() => {}
                accepted = self.listener.accept(), if connections.len() < limits.connections => match accepted {
                    Ok(socket) => {
                        connections.spawn(serve_socket(socket, routes.clone(), limits, stop.clone()));
                    }
                    Err(error) => {
                        tracing::warn!(%error, address = %self.address, "cannot accept a connection");
                        sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        // What has not ended by then is dropped with the set.
        let _ = timeout(GRACE, async { while connections.join_next().await.is_some() {} }).await;
    }
}

async fn serve_socket(socket: Socket, routes: Router, limits: Http1Limits, stop: CancellationToken) {
    match socket {
        Socket::Tcp(stream, _) => match TcpStream::from_std(stream) {
            Ok(stream) => serve_connection(stream, routes, limits, stop).await,
            Err(error) => tracing::debug!(%error, "connection could not be registered"),
        },
        Socket::Unix(stream) => match UnixStream::from_std(stream) {
            Ok(stream) => serve_connection(stream, routes, limits, stop).await,
            Err(error) => tracing::debug!(%error, "connection could not be registered"),
        },
    }
}

async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    routes: Router,
    limits: Http1Limits,
    stop: CancellationToken,
) {
    let connection = http1::Builder::new()
        .keep_alive(limits.keep_alive)
        .max_buf_size(limits.largest_head)
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes));
    let mut connection = pin!(connection);
    let served = async {
        tokio::select! {
            ended = connection.as_mut() => return ended,
            () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        connection.await
    };
    let ended = match limits.connection_timeout {
        Some(limit) => timeout(limit, served).await,
        None => Ok(served.await),
    };
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an HTTP/1 request failed"),
        Err(_) => tracing::debug!("an HTTP/1 request took too long"),
    }
}
