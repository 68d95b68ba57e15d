//! The way from a serving thread to the database runtime and back.
//!
//! What crosses over is counted and outlives a client that hangs up, so that no transaction is dropped half-way and a
//! drain can wait for what is under way.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

/// When the answer to a request must be there; carried among its extensions. A streaming call without a timeout of its
/// client's has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(pub Instant);

impl Deadline {
    /// The time left, zero once it has passed.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

/// A handle on the database runtime.
#[derive(Debug, Clone)]
pub struct Crossing {
    runtime: Handle,
    tasks: TaskTracker,
    places: Arc<Semaphore>,
}

/// Why there is no answer from the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CrossingError {
    /// As much is under way as may be; nothing was begun.
    #[error("too much is under way")]
    Full,
    /// The work panicked; the log tells where. Its own words may hold anything, so they are not passed on.
    #[error("the work panicked")]
    Panicked,
}

impl Crossing {
    /// Leads to `runtime`, for at most `limit` pieces of work at once: work outlives its client, so the bound on requests
    /// in flight does not bound it.
    #[must_use]
    pub fn new(runtime: Handle, limit: usize) -> Self {
        let places = Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)));
        Self { runtime, tasks: TaskTracker::new(), places }
    }

    /// The same way with places of its own, which nobody else takes.
    #[must_use]
    pub fn with_own_places(&self, limit: usize) -> Self {
        let places = Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)));
        Self { places, ..self.clone() }
    }

    /// Does the work over there, to its end, whether or not anybody waits for it here.
    ///
    /// # Errors
    /// [`CrossingError`].
    pub async fn run<Done: Send + 'static>(
        &self,
        work: impl Future<Output = Done> + Send + 'static,
    ) -> Result<Done, CrossingError> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| CrossingError::Full)?;
        let counted = async move {
            let done = work.await;
            drop(place);
            done
        };
        self.tasks.spawn_on(counted, &self.runtime).await.map_err(|_| CrossingError::Panicked)
    }

    /// Starts work over there that lasts as long as its stream, without waiting for it.
    pub fn start(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.tasks.spawn_on(work, &self.runtime));
    }

    /// Waits until nothing that crossed over is under way. Nothing new should be let in by then.
    pub async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client that hangs up frees nothing before its work is done.
    #[tokio::test]
    async fn abandoned_work_still_counts_against_the_limit() {
        let crossing = Crossing::new(Handle::current(), 1);
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        let abandoned = tokio::time::timeout(Duration::from_millis(10), crossing.run(receiver)).await;
        assert!(abandoned.is_err());
        assert_eq!(crossing.run(async {}).await, Err(CrossingError::Full));
        sender.send(()).unwrap();
        while crossing.run(async {}).await.is_err() {
            tokio::task::yield_now().await;
        }
        crossing.finish().await;
    }

    #[tokio::test]
    async fn own_places_are_free_while_all_others_are_taken() {
        let crossing = Crossing::new(Handle::current(), 1);
        let own = crossing.with_own_places(1);
        let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
        let abandoned = tokio::time::timeout(Duration::from_millis(10), crossing.run(receiver)).await;
        assert!(abandoned.is_err());
        assert_eq!(crossing.run(async {}).await, Err(CrossingError::Full));
        assert_eq!(own.run(async {}).await, Ok(()));
        sender.send(()).unwrap();
        crossing.finish().await;
    }
}
