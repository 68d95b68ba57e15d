//! The serving threads, and the lifeline by which the death of any thread is noticed.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use tokio::runtime::Builder;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::error;

use super::connection::{Accepted, ConnectionContext, GrpcService};

/// A part of the server that runs on a thread of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The thread that accepts connections.
    Acceptor,
    /// The serving thread with this number, from 0.
    Serving(usize),
}

/// Held by a thread while it lives. Dropped before the drain has begun, by a return or a panic, it
/// raises the alarm.
pub(super) struct Lifeline {
    part: Part,
    draining: CancellationToken,
    failed: watch::Sender<Option<Part>>,
    _running: TaskTrackerToken,
}

/// The acceptor's end of a serving thread.
pub(super) struct ServingThread {
    connections: UnboundedSender<Accepted>,
    load: Arc<AtomicUsize>,
    /// The number of the last connection that it was given, of all that were given; 0 for none.
    last_given: AtomicU64,
}

/// A connection's place on a serving thread, given back when dropped.
pub(super) struct Slot(Arc<AtomicUsize>);

impl fmt::Display for Part {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acceptor => formatter.write_str("acceptor"),
            Self::Serving(number) => write!(formatter, "serving-{number}"),
        }
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        if !self.draining.is_cancelled() {
            error!(part = %self.part, "a part of the server ended unasked");
            self.failed.send_if_modified(|first| {
                let is_first = first.is_none();
                first.get_or_insert(self.part);
                is_first
            });
        }
    }
}

impl Lifeline {
    /// A thread ended while `draining` is not cancelled is told to `failed`; `running` tells when it ends.
    pub(super) fn new(
        part: Part,
        draining: CancellationToken,
        failed: watch::Sender<Option<Part>>,
        running: TaskTrackerToken,
    ) -> Self {
        Self { part, draining, failed, _running: running }
    }

    /// Runs `main` on a new thread with a runtime of its own.
    pub(super) fn start<F>(self, main: F) -> io::Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        thread::Builder::new().name(self.part.to_string()).spawn(move || self.run(main)).map(drop)
    }

    /// The runtime is left behind and not waited for: a blocking call must not hold up the end.
    fn run<F: Future<Output = ()>>(self, main: F) {
        let runtime = match Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return error!(part = %self.part, %error, "no runtime could be made"),
        };
        let _lifeline = self;
        runtime.block_on(main);
        runtime.shutdown_background();
    }
}

impl ServingThread {
    /// Starts a thread that serves the connections it is sent until its sender is gone and all have
    /// ended, or until `cut`.
    pub(super) fn start<S: GrpcService>(
        lifeline: Lifeline,
        cut: CancellationToken,
        context: ConnectionContext,
        service: S,
    ) -> io::Result<Self> {
        let (connections, incoming) = mpsc::unbounded_channel();
        lifeline.start(async move {
            cut.run_until_cancelled(serve(incoming, context.into(), service)).await;
        })?;
        Ok(Self { connections, load: Arc::default(), last_given: AtomicU64::new(0) })
    }

    /// Connections the thread has now; none if it is dead.
    pub(super) fn load(&self) -> Option<usize> {
        (!self.connections.is_closed()).then(|| self.load.load(Ordering::Relaxed))
    }

    /// Takes a place on the thread.
    pub(super) fn slot(&self) -> Slot {
        self.load.fetch_add(1, Ordering::Relaxed);
        Slot(Arc::clone(&self.load))
    }

    /// The number of the last connection that it was given.
    pub(super) fn last_given(&self) -> u64 {
        self.last_given.load(Ordering::Relaxed)
    }

    /// Gives the connection of this number to the thread; one that dies meanwhile closes it.
    pub(super) fn take(&self, accepted: Accepted, number: u64) {
        self.last_given.store(number, Ordering::Relaxed);
        drop(self.connections.send(accepted));
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn serve<S: GrpcService>(
    mut incoming: UnboundedReceiver<Accepted>,
    context: Arc<ConnectionContext>,
    service: S,
) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = incoming.recv() => match accepted {
                Some(accepted) => {
                    open.spawn(Arc::clone(&context).serve(accepted, service.clone()));
                }
                None => break,
            },
            Some(ended) = open.join_next() => report(ended),
        }
    }
    while let Some(ended) = open.join_next().await {
        report(ended);
    }
}

/// A panic ends its own connection only, and never in silence.
fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        error!(panicked = error.is_panic(), "a connection's task failed");
    }
}
