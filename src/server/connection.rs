//! One connection's life: handshake, preface, HTTP/2 until its end or the drain.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpStream as StdTcpStream};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::pin;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::{Service, ServiceExt};
use tracing::debug;

use super::admission::ConnectionPermit;
use super::counters::{ConnectionCounters, count};
use super::limits::Limits;
use super::threads::Slot;
use super::tls::CurrentConfig;
use super::transport::{PrefaceError, Transport};
use crate::peer::Peer;

/// What the server can serve: an HTTP service that never fails, such as tonic's `Routes`.
pub trait GrpcService:
    Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send>
    + Clone
    + Send
    + 'static
{
}

impl<S> GrpcService for S where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static
{
}

/// An accepted socket on its way to a serving thread.
pub(super) enum Socket {
    Tcp(StdTcpStream, SocketAddr),
    Unix(StdUnixStream),
}

/// An accepted connection with what it holds for as long as it is open.
pub(super) struct Accepted {
    pub(super) socket: Socket,
    pub(super) permit: ConnectionPermit,
    pub(super) slot: Slot,
}

/// What the connections of one serving thread share.
pub(super) struct ConnectionContext {
    limits: Limits,
    http2: Builder<TokioExecutor>,
    tls: Option<CurrentConfig>,
    counters: Arc<ConnectionCounters>,
    draining: CancellationToken,
}

impl ConnectionContext {
    /// `draining` should be a token of this thread's own: it is polled whenever a connection is, and
    /// threads that shared one would contend for its lock.
    pub(super) fn new(
        limits: Limits,
        tls: Option<CurrentConfig>,
        counters: Arc<ConnectionCounters>,
        draining: CancellationToken,
    ) -> Self {
        let http2 = http2(&limits);
        Self { limits, http2, tls, counters, draining }
    }

    /// Serves a connection to its end. Once the drain begins a connection that is not yet established
    /// is dropped, any other told to finish.
    pub(super) async fn serve<S: GrpcService>(self: Arc<Self>, accepted: Accepted, service: S) {
        let Accepted { socket, permit: _permit, slot: _slot } = accepted;
        let registered = match socket {
            Socket::Unix(stream) => UnixStream::from_std(stream).map(Registered::Unix),
            Socket::Tcp(stream, address) => {
                TcpStream::from_std(stream).map(|stream| Registered::Tcp(stream, address))
            }
        };
        // Each kind in a box of its own, or every connection would take what the largest needs.
        match (registered, &self.tls) {
            (Ok(Registered::Unix(stream)), _) => {
                Box::pin(self.serve_stream(stream, Peer::Unix, service)).await;
            }
            (Ok(Registered::Tcp(stream, address)), None) => {
                Box::pin(self.serve_stream(stream, Peer::Plaintext { address }, service)).await;
            }
            (Ok(Registered::Tcp(stream, address)), Some(config)) => {
                Box::pin(self.serve_tls(stream, address, config, service)).await;
            }
            (Err(error), _) => debug!(%error, "connection could not be registered"),
        }
    }

    async fn serve_tls<S: GrpcService>(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        config: &CurrentConfig,
        service: S,
    ) {
        let acceptor = TlsAcceptor::from(config.get());
        let Some(Some(stream)) = self.draining.run_until_cancelled(self.shake_hands(&acceptor, stream)).await
        else {
            return;
        };
        let client_certificate = stream.get_ref().1.peer_certificates().is_some();
        self.serve_stream(stream, Peer::Tls { address, client_certificate }, service).await;
    }

    async fn shake_hands(&self, acceptor: &TlsAcceptor, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        match timeout(self.limits.tls_handshake_timeout, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => return Some(stream),
            Ok(Err(error)) => debug!(%error, "TLS handshake failed"),
            Err(_) => debug!("TLS handshake took too long"),
        }
        count(&self.counters.tls_failed);
        None
    }

    async fn serve_stream<T, S>(&self, stream: T, peer: Peer, service: S)
    where
        T: AsyncRead + AsyncWrite + Unpin,
        S: GrpcService,
    {
        let Limits { preface_timeout, write_stall_timeout, .. } = self.limits;
        let opening = Transport::open(stream, preface_timeout, write_stall_timeout);
        match self.draining.run_until_cancelled(opening).await {
            Some(Ok(transport)) => self.serve_http2(transport, peer, service).await,
            Some(Err(error)) => self.refuse(&error),
            None => {}
        }
    }

    fn refuse(&self, error: &PrefaceError) {
        debug!(%error, "connection closed");
        match error {
            PrefaceError::Timeout => count(&self.counters.preface_timeout),
            PrefaceError::Invalid => count(&self.counters.preface_invalid),
            PrefaceError::Ended(_) => {}
        }
    }

    async fn serve_http2<T, S>(&self, transport: Transport<T>, peer: Peer, service: S)
    where
        T: AsyncRead + AsyncWrite + Unpin,
        S: GrpcService,
    {
        let service = service.map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            request
        });
        let io = TokioIo::new(transport);
        let mut connection = pin!(self.http2.serve_connection(io, TowerToHyperService::new(service)));
        let ended = tokio::select! {
            biased;
            ended = connection.as_mut() => ended,
            () = self.draining.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            debug!(%error, "connection ended");
        }
    }
}

/// A socket that the thread's own runtime polls.
enum Registered {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
}

fn http2(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .max_concurrent_streams(limits.concurrent_streams)
        .max_local_error_reset_streams(limits.local_error_reset_streams)
        .max_pending_accept_reset_streams(limits.pending_accept_reset_streams)
        .max_header_list_size(limits.header_list_size)
        .initial_stream_window_size(limits.stream_window)
        .initial_connection_window_size(limits.connection_window)
        .max_send_buf_size(limits.send_buffer)
        .keep_alive_interval(limits.keepalive_interval)
        .keep_alive_timeout(limits.keepalive_timeout);
    builder
}
