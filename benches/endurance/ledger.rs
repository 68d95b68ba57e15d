//! When each revocation was acknowledged and when it was heard of.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::spread::latencies::Latencies;

/// By revision, in nanoseconds after the beginning; 0 for not yet.
pub(crate) struct Ledger {
    begun: Instant,
    acknowledged: Vec<AtomicU64>,
    heard: Vec<AtomicU64>,
}

impl Ledger {
    pub(crate) fn new(revisions: usize) -> Self {
        let empty = || (0..=revisions).map(|_| AtomicU64::new(0)).collect();
        Self { begun: Instant::now(), acknowledged: empty(), heard: empty() }
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
        if let Some(time) = times.get(revision) {
            time.store(now, Ordering::Relaxed);
        }
    }

    /// From acknowledgement to hearing, zero where it was heard of first, of so many revisions from the first of the range.
    pub(crate) fn latencies(&self, numbers: Range<usize>) -> Latencies {
        let revisions = numbers.start + 1..=numbers.end;
        revisions.filter_map(|revision| self.latency(revision)).collect()
    }

    fn latency(&self, revision: usize) -> Option<Duration> {
        let acknowledged = self.acknowledged.get(revision)?.load(Ordering::Relaxed);
        let heard = self.heard.get(revision)?.load(Ordering::Relaxed);
        Some(Duration::from_nanos(heard.saturating_sub(acknowledged)))
    }
}
