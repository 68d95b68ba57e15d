//! The acceptor: owns the listening sockets and gives each connection to the least loaded thread; of several, to the one
//! that was given none for the longest time, so that short connections do not all meet on one thread.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use super::admission::Admission;
use super::connection::{Accepted, Socket};
use super::counters::{ConnectionCounters, count};
use super::listen::Listener;
use super::threads::ServingThread;
use super::tls::Reloader;

/// Wait after a failed `accept`. The usual cause, no file descriptor left, passes only with time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// At most one line a listener is logged about failed accepts in this time.
const ACCEPT_COMPLAINT_INTERVAL: Duration = Duration::from_secs(30);

/// Takes connections from the listeners to the serving threads.
pub(super) struct Acceptor {
    pub(super) admission: Arc<Admission>,
    pub(super) threads: Vec<ServingThread>,
    pub(super) counters: Arc<ConnectionCounters>,
    /// Connections given to threads so far.
    pub(super) given: AtomicU64,
}

/// A listening socket that the runtime of whoever accepts polls.
pub(super) enum Registered {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Acceptor {
    /// Accepts until the drain begins, then closes the listeners. Returns earlier only if it cannot go on.
    pub(super) async fn run(
        self,
        listeners: Vec<Listener>,
        reloader: Option<Reloader>,
        draining: CancellationToken,
    ) {
        let acceptor = Arc::new(self);
        let mut tasks = JoinSet::new();
        for listener in listeners {
            match Registered::try_from(listener) {
                Ok(listener) => drop(tasks.spawn(Arc::clone(&acceptor).accept_all(listener))),
                Err(error) => return error!(%error, "a listener could not be registered"),
            }
        }
        if let Some(reloader) = reloader {
            tasks.spawn(reloader.run());
        }
        draining.run_until_cancelled(tasks.join_next()).await;
    }

    async fn accept_all(self: Arc<Self>, listener: Registered) {
        let mut complained: Option<Instant> = None;
        loop {
            match listener.accept().await {
                Ok(socket) => self.hand_over(socket),
                Err(error) if concerns_one_connection(&error) => debug!(%error, "a connection was gone"),
                Err(error) => {
                    count(&self.counters.accept_failed);
                    if complained.is_none_or(|at| at.elapsed() >= ACCEPT_COMPLAINT_INTERVAL) {
                        warn!(%error, "connections cannot be accepted");
                        complained = Some(Instant::now());
                    }
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn hand_over(&self, socket: Socket) {
        let address = match &socket {
            Socket::Tcp(_, address) => Some(address.ip()),
            Socket::Unix(_) => None,
        };
        let Some(permit) = self.admission.admit(address) else { return };
        let alive = self.threads.iter().filter_map(|thread| Some((thread.load()?, thread)));
        if let Some((_, thread)) = alive.min_by_key(|(load, thread)| (*load, thread.last_given())) {
            let given = self.given.fetch_add(1, Ordering::Relaxed) + 1;
            thread.take(Accepted { socket, permit, slot: thread.slot() }, given);
        }
    }
}

impl Registered {
    pub(super) async fn accept(&self) -> io::Result<Socket> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Socket::Tcp(stream.into_std()?, address))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok(Socket::Unix(stream.into_std()?))
            }
        }
    }
}

impl TryFrom<Listener> for Registered {
    type Error = io::Error;

    fn try_from(listener: Listener) -> io::Result<Self> {
        match listener {
            Listener::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                TcpListener::from_std(listener).map(Self::Tcp)
            }
            Listener::Unix(listener) => {
                listener.set_nonblocking(true)?;
                UnixListener::from_std(listener).map(Self::Unix)
            }
        }
    }
}

/// Whether the failure is one peer's, so that the next can be accepted at once.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::InvalidInput
            | io::ErrorKind::NotConnected
    )
}
