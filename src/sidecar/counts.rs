//! What a sidecar counts about itself.

use std::sync::atomic::{AtomicU64, Ordering};

/// What an answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// What is known here, under a lease.
    Cache,
    /// The shape or the tag of what was presented.
    Tag,
    /// A server that was asked.
    Server,
    /// Nobody could know.
    Nobody,
}

/// A call to a server about tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Resolve,
    Revalidate,
    ReportUsage,
}

/// The counts, since the start.
#[derive(Debug, Default)]
pub struct Counts {
    answers: [AtomicU64; 4],
    calls: [AtomicU64; 3],
    sessions: AtomicU64,
}

impl Counts {
    /// Answers, by where they came from.
    #[must_use]
    pub fn answers(&self) -> Vec<(&'static str, u64)> {
        read(["cache", "tag", "server", "nobody"], &self.answers)
    }

    /// Calls to servers about tokens, by what was asked.
    #[must_use]
    pub fn calls(&self) -> Vec<(&'static str, u64)> {
        read(["resolve", "revalidate", "report_usage"], &self.calls)
    }

    /// Sessions with servers that were begun; all but the first are reconnections.
    #[must_use]
    pub fn sessions(&self) -> u64 {
        self.sessions.load(Ordering::Relaxed)
    }

    pub(super) fn answer_was_given(&self, source: Source) {
        let [cache, tag, server, nobody] = &self.answers;
        count(match source {
            Source::Cache => cache,
            Source::Tag => tag,
            Source::Server => server,
            Source::Nobody => nobody,
        });
    }

    pub(super) fn call_was_made(&self, call: Call) {
        let [resolve, revalidate, report_usage] = &self.calls;
        count(match call {
            Call::Resolve => resolve,
            Call::Revalidate => revalidate,
            Call::ReportUsage => report_usage,
        });
    }

    pub(super) fn session_was_begun(&self) {
        count(&self.sessions);
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn read<const SIZE: usize>(
    names: [&'static str; SIZE],
    counters: &[AtomicU64; SIZE],
) -> Vec<(&'static str, u64)> {
    names.into_iter().zip(counters).map(|(name, counter)| (name, counter.load(Ordering::Relaxed))).collect()
}
