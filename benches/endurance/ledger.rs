//! When each revocation was acknowledged and when it was heard of.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::spread::latencies::Latencies;

/// By revision, those counted that came after the first ones, in nanoseconds after the beginning; 0 for not yet.
pub(crate) struct Ledger {
    begun: Instant,
    before: usize,
    acknowledged: Vec<AtomicU64>,
    heard: Vec<AtomicU64>,
}

impl Ledger {
    /// One for so many revisions, after those that came `before`.
    pub(crate) fn new(before: usize, revisions: usize) -> Self {
        let empty = || (0..=revisions).map(|_| AtomicU64::new(0)).collect();
        Self { begun: Instant::now(), before, acknowledged: empty(), heard: empty() }
    }

    pub(crate) fn before(&self) -> usize {
        self.before
    }

    pub(crate) fn revisions(&self) -> usize {
        self.heard.len() - 1
    }

    pub(crate) fn acknowledged(&self, revision: usize) {
        self.note(&self.acknowledged, revision);
    }

    pub(crate) fn heard(&self, revision: usize) {
        self.note(&self.heard, revision);
    }

    fn note(&self, times: &[AtomicU64], revision: usize) {
        let now = u64::try_from(self.begun.elapsed().as_nanos()).unwrap_or(u64::MAX);
        if let Some(time) = revision.checked_sub(self.before).and_then(|number| times.get(number)) {
            time.store(now, Ordering::Relaxed);
        }
    }

    /// From acknowledgement to hearing, zero where it was heard of first, of so many revisions from the first of the range.
    pub(crate) fn latencies(&self, numbers: Range<usize>) -> Latencies {
        (numbers.start + 1..=numbers.end).filter_map(|number| self.latency(number)).collect()
    }

    fn latency(&self, number: usize) -> Option<Duration> {
        let acknowledged = self.acknowledged.get(number)?.load(Ordering::Relaxed);
        let heard = self.heard.get(number)?.load(Ordering::Relaxed);
        Some(Duration::from_nanos(heard.saturating_sub(acknowledged)))
    }
}
