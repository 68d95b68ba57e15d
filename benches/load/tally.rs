//! What came of the calls: how many, what they were answered, and how long each took.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::measure::page::Outcome;

/// A call that is over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Done {
    /// When it was due.
    pub(crate) since: Instant,
    /// How long it took from then on.
    pub(crate) took: Duration,
    pub(crate) came: Came,
}

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Came {
    /// It was answered as it had to be.
    Right,
    /// It was answered `OK`, and otherwise than it had to be.
    Wrong,
    /// It ended with another status, or without any.
    Failed(Option<u8>),
}

pub(crate) struct Tally {
    /// Nanoseconds, to three digits.
    times: Histogram<u64>,
    pub(crate) right: u64,
    pub(crate) wrong: u64,
    /// By status.
    pub(crate) failed: BTreeMap<Option<u8>, u64>,
    /// For how long calls were counted.
    pub(crate) elapsed: Duration,
}

impl Default for Tally {
    #[expect(clippy::expect_used, reason = "it takes up to five digits")]
    fn default() -> Self {
        let mut times = Histogram::new(3).expect("three digits");
        times.auto(true);
        Self { times, right: 0, wrong: 0, failed: BTreeMap::new(), elapsed: Duration::ZERO }
    }
}

impl Tally {
    pub(crate) fn add(&mut self, done: Done) {
        match done.came {
            Came::Right => self.right += 1,
            Came::Wrong => self.wrong += 1,
            Came::Failed(status) => *self.failed.entry(status).or_default() += 1,
        }
        let nanoseconds = u64::try_from(done.took.as_nanos()).unwrap_or(u64::MAX);
        // It grows with what it is told, and so takes everything.
        self.times.record(nanoseconds).unwrap_or_default();
    }

    /// Takes in what another has counted, but for how long that was.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.right += other.right;
        self.wrong += other.wrong;
        for (status, count) in &other.failed {
            *self.failed.entry(*status).or_default() += count;
        }
        // Both are as precise, and it grows.
        self.times.add(&other.times).unwrap_or_default();
    }

    /// Right answers a second.
    #[expect(clippy::cast_precision_loss, reason = "no run makes 2^52 calls")]
    pub(crate) fn rate(&self) -> f64 {
        self.right as f64 / self.elapsed.as_secs_f64()
    }

    /// The time in seconds below which that share of the calls lies.
    #[expect(clippy::cast_precision_loss, reason = "no call takes 2^52 ns")]
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        self.times.value_at_quantile(share) as f64 / 1e9
    }

    /// How many calls ended.
    pub(crate) fn count(&self) -> u64 {
        self.times.len()
    }

    /// Fails unless every call was answered as it had to be.
    pub(crate) fn all_right(self) -> Outcome<Self> {
        if self.wrong == 0 && self.failed.is_empty() && self.right > 0 {
            return Ok(self);
        }
        let Self { right, wrong, failed, .. } = self;
        Err(format!("{right} right, {wrong} wrong answers, failed by status: {failed:?}").into())
    }
}
