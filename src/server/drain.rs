//! The drain: everything ends, in order if it will, by force at a stated time if it will not.

use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info};

/// The time a thread has to drop its connections once cut. One that blocks longer is left behind, to
/// end with the process.
const CUT_GRACE: Duration = Duration::from_secs(1);

/// How a drain went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainReport {
    /// Connections that were open when it began and ended in order.
    pub graceful: usize,
    /// Connections that were cut at the deadline.
    pub cut: usize,
    /// How long it took.
    pub elapsed: Duration,
}

/// Waits until all of `running` has ended, at `deadline` cuts it, and says how it went. Returns at most
/// a second after the deadline.
pub(super) async fn drain(
    running: &TaskTracker,
    cut: &CancellationToken,
    deadline: Duration,
    open: impl Fn() -> usize,
) -> DrainReport {
    let (began, before) = (Instant::now(), open());
    running.close();
    let in_order = timeout(deadline, running.wait()).await.is_ok();
    let left = if in_order { 0 } else { open() };
    cut.cancel();
    if timeout(CUT_GRACE, running.wait()).await.is_err() {
        error!(threads = running.len(), "threads are blocked and left behind");
    }
    let report = DrainReport { graceful: before.saturating_sub(left), cut: left, elapsed: began.elapsed() };
    info!(graceful = report.graceful, cut = report.cut, "drained");
    report
}
