//! The way from a serving thread to the database runtime and back.
//!
//! What crosses over is counted and outlives a client that hangs up, so that no transaction is dropped half-way and a
//! drain can wait for what is under way.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::task::JoinError;
use tokio_util::task::TaskTracker;

/// A handle on the database runtime.
#[derive(Debug, Clone)]
pub struct Crossing {
    runtime: Handle,
    tasks: TaskTracker,
}

impl Crossing {
    /// Leads to `runtime`.
    #[must_use]
    pub fn new(runtime: Handle) -> Self {
        Self { runtime, tasks: TaskTracker::new() }
    }

    /// Does the work over there, to its end, whether or not anybody waits for it here.
    ///
    /// # Errors
    /// If the work panicked.
    pub async fn run<Done: Send + 'static>(
        &self,
        work: impl Future<Output = Done> + Send + 'static,
    ) -> Result<Done, JoinError> {
        self.tasks.spawn_on(work, &self.runtime).await
    }

    /// Starts the work over there without waiting for it.
    pub fn start(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.tasks.spawn_on(work, &self.runtime));
    }

    /// Waits until nothing that crossed over is under way. Nothing new should be let in by then.
    pub async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
