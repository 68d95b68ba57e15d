//! Counts those who wait for everyone.

use tokio::sync::watch;

use super::Shared;

/// Somebody waits for everyone, until this is dropped.
pub(super) struct Waiting<'fleet>(&'fleet watch::Sender<usize>);

impl<'fleet> Waiting<'fleet> {
    pub(super) fn join(shared: &'fleet Shared) -> Self {
        shared.waiting.send_modify(|count| *count += 1);
        Self(&shared.waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}
