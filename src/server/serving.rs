//! Starts the serving threads and their acceptor, watches over them and ends them.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::acceptor::Acceptor;
use super::admission::Admission;
use super::connection::{ConnectionContext, GrpcService};
use super::counters::ConnectionCounters;
use super::drain::{DrainReport, drain};
use super::limits::Limits;
use super::listen::{ListenAddress, ListenError, check_plaintext};
use super::threads::{Lifeline, Part, ServingThread};
use super::tls::{CurrentConfig, TlsError, TlsFiles};

/// What serving needs to know.
#[derive(Clone, Debug)]
pub struct ServingOptions {
    /// Where to listen, one or more.
    pub listen: Vec<ListenAddress>,
    /// The mode of the files of Unix sockets, which decides who may connect.
    pub socket_mode: u32,
    /// TLS for the TCP addresses; Unix sockets are guarded by their file's mode.
    pub tls: Option<TlsFiles>,
    /// Allows plaintext beyond loopback.
    pub insecure_plaintext: bool,
    /// Serving threads.
    pub threads: NonZeroUsize,
    /// What clients are held to.
    pub limits: Limits,
    /// What is counted.
    pub counters: Arc<ConnectionCounters>,
    /// Cancelled when the drain begins; streams that would not end of themselves should watch it too.
    pub draining: CancellationToken,
}

/// Why serving did not start.
#[derive(Debug, Error)]
pub enum ServingError {
    /// There is nowhere to listen.
    #[error("no listen address is set")]
    NoAddress,
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The certificate files are unusable.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system gave no thread.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

/// The running server. Dropping it without [`Serving::drain`] cuts every connection.
#[derive(Debug)]
pub struct Serving {
    addresses: Vec<ListenAddress>,
    parts: Parts,
    counters: Arc<ConnectionCounters>,
}

/// What ties the threads together.
#[derive(Debug)]
struct Parts {
    draining: CancellationToken,
    cut: CancellationToken,
    running: TaskTracker,
    failed: watch::Sender<Option<Part>>,
}

impl ServingOptions {
    /// Listens on one address with the defaults: a thread a core, no TLS.
    #[must_use]
    pub fn new(listen: ListenAddress) -> Self {
        Self {
            listen: vec![listen],
            socket_mode: 0o600,
            tls: None,
            insecure_plaintext: false,
            threads: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            limits: Limits::default(),
            counters: Arc::default(),
            draining: CancellationToken::new(),
        }
    }
}

impl Serving {
    /// Binds every address and serves `service` on them, a clone of it on each thread.
    ///
    /// # Errors
    /// [`ServingError`] if an address, the TLS files or the settings do not allow it; nothing is left
    /// running then.
    pub fn start<S: GrpcService>(options: ServingOptions, service: S) -> Result<Self, ServingError> {
        if options.listen.is_empty() {
            return Err(ServingError::NoAddress);
        }
        check_plaintext(&options.listen, options.tls.is_some() || options.insecure_plaintext)?;
        let follow = |files: TlsFiles| files.follow(Arc::clone(&options.counters));
        let (config, reloader) = options.tls.clone().map(follow).transpose()?.unzip();
        let bound = options.listen.iter().map(|address| address.bind(options.socket_mode));
        let bound = bound.collect::<Result<Vec<_>, _>>()?;
        let (listeners, addresses) = bound.into_iter().unzip();

        let parts = Parts::new(options.draining.clone());
        let acceptor = Acceptor {
            admission: Admission::new(&options.limits, Arc::clone(&options.counters)),
            threads: parts.start_threads(&options, config.as_ref(), service).map_err(ServingError::Thread)?,
            counters: Arc::clone(&options.counters),
            given: AtomicU64::new(0),
        };
        let accepting = acceptor.run(listeners, reloader, parts.draining.clone());
        parts.lifeline(Part::Acceptor).start(accepting).map_err(ServingError::Thread)?;
        Ok(Self { addresses, parts, counters: options.counters })
    }

    /// The addresses listened on, in the order given, with the ports the system chose.
    #[must_use]
    pub fn local_addresses(&self) -> &[ListenAddress] {
        &self.addresses
    }

    /// Resolves with the first part that died without being asked to; never, while all is well.
    pub async fn failed(&self) -> Part {
        let mut failed = self.parts.failed.subscribe();
        loop {
            if let Some(part) = *failed.borrow_and_update() {
                return part;
            }
            if failed.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Stops accepting, tells every connection to finish, waits for them until `deadline` and cuts what
    /// is left. Always returns, at most a second after the deadline.
    pub async fn drain(self, deadline: Duration) -> DrainReport {
        let open = || self.counters.open.load(Ordering::Relaxed);
        self.parts.draining.cancel();
        drain(&self.parts.running, &self.parts.cut, deadline, open).await
    }
}

impl Parts {
    fn new(draining: CancellationToken) -> Self {
        Self {
            draining,
            cut: CancellationToken::new(),
            running: TaskTracker::new(),
            failed: watch::Sender::new(None),
        }
    }

    fn start_threads<S: GrpcService>(
        &self,
        options: &ServingOptions,
        config: Option<&CurrentConfig>,
        service: S,
    ) -> io::Result<Vec<ServingThread>> {
        let start = move |number| {
            let context = ConnectionContext::new(
                options.limits.clone(),
                config.cloned(),
                Arc::clone(&options.counters),
                self.draining.child_token(),
            );
            ServingThread::start(
                self.lifeline(Part::Serving(number)),
                self.cut.clone(),
                context,
                service.clone(),
            )
        };
        (0..options.threads.get()).map(start).collect()
    }

    fn lifeline(&self, part: Part) -> Lifeline {
        Lifeline::new(part, self.draining.clone(), self.failed.clone(), self.running.token())
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        self.draining.cancel();
        self.cut.cancel();
    }
}
