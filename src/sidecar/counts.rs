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

/// A call to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Resolve,
    Revalidate,
    ReportUsage,
    /// The beginning of a session.
    Follow,
    GetProfiles,
}

/// The counts, since the start.
#[derive(Debug, Default)]
pub struct Counts {
    answers: [AtomicU64; 4],
    calls: [AtomicU64; 5],
}

impl Counts {
    /// Answers, by where they came from.
    #[must_use]
    pub fn answers(&self) -> Vec<(&'static str, u64)> {
        read(["cache", "tag", "server", "nobody"], &self.answers)
    }

    /// Calls to servers, by what was asked; each `follow` but the first is a reconnection.
    #[must_use]
    pub fn calls(&self) -> Vec<(&'static str, u64)> {
        read(["resolve", "revalidate", "report_usage", "follow", "get_profiles"], &self.calls)
    }

    pub(super) fn answer_was_given(&self, source: Source) {
        self.answers_were_given(source, 1);
    }

    pub(super) fn answers_were_given(&self, source: Source, number: usize) {
        let [cache, tag, server, nobody] = &self.answers;
        let counter = match source {
            Source::Cache => cache,
            Source::Tag => tag,
            Source::Server => server,
            Source::Nobody => nobody,
        };
        counter.fetch_add(number.try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn call_was_made(&self, call: Call) {
        let [resolve, revalidate, report_usage, follow, get_profiles] = &self.calls;
        let counter = match call {
            Call::Resolve => resolve,
            Call::Revalidate => revalidate,
            Call::ReportUsage => report_usage,
            Call::Follow => follow,
            Call::GetProfiles => get_profiles,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

fn read<const SIZE: usize>(
    names: [&'static str; SIZE],
    counters: &[AtomicU64; SIZE],
) -> Vec<(&'static str, u64)> {
    names.into_iter().zip(counters).map(|(name, counter)| (name, counter.load(Ordering::Relaxed))).collect()
}
