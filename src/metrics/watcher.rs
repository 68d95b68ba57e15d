//! A watcher as the metrics see it: there from its creation until it is dropped, whoever drops it.

use super::{Metrics, WatcherEnd, count};

/// One open stream of revocations. A watcher that is dropped without a word counts as left by its client, since that is
/// how a server learns of it.
#[derive(Debug)]
#[must_use = "the watcher is counted for as long as this lives"]
pub struct Watcher {
    metrics: Metrics,
    end: WatcherEnd,
}

impl Watcher {
    pub(super) fn join(metrics: Metrics) -> Self {
        metrics.counts.watchers.inc();
        Self { metrics, end: WatcherEnd::ClientLeft }
    }

    /// So many events were sent to it.
    pub fn was_sent(&self, events: u64) {
        self.metrics.counts.events_delivered.inc_by(events);
    }

    /// It ends, for this reason.
    pub fn ends(mut self, end: WatcherEnd) {
        self.end = end;
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.metrics.counts.watchers.dec();
        count(&self.metrics.counts.watchers_ended, self.end);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::value;
    use super::*;

    #[test]
    fn a_watcher_is_counted_while_it_lives_and_its_end_by_its_reason() {
        let metrics = Metrics::new([]);
        let (slow, gone) = (metrics.watcher_joined(), metrics.watcher_joined());
        slow.was_sent(3);
        assert_eq!(value(&metrics, "tokenkeep_watchers"), Some(2.0));
        slow.ends(WatcherEnd::TooSlow);
        drop(gone);
        assert_eq!(value(&metrics, "tokenkeep_watchers"), Some(0.0));
        assert_eq!(value(&metrics, "tokenkeep_events_delivered_total"), Some(3.0));
        for reason in ["too_slow", "client_left"] {
            let series = format!("tokenkeep_watchers_ended_total{{reason=\"{reason}\"}}");
            assert_eq!(value(&metrics, &series), Some(1.0), "{reason}");
        }
    }
}
