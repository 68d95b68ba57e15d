//! What came of the calls: how many, what they were answered, and how long each took.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::measure::page::Outcome;

/// The longest time that is told apart from longer ones.
const LONGEST: Duration = Duration::from_mins(2);

pub(crate) struct Tally {
    /// Nanoseconds, to three digits.
    times: Histogram<u64>,
    /// Calls that were answered as they had to be.
    pub(crate) right: u64,
    /// Calls that were answered `OK` and otherwise than they had to be.
    pub(crate) wrong: u64,
    /// Calls that ended with another status, by it; those without any by none.
    pub(crate) failed: BTreeMap<Option<u8>, u64>,
    /// From the first call that counts to the end.
    pub(crate) elapsed: Duration,
}

impl Tally {
    pub(crate) fn new() -> Outcome<Self> {
        let times = Histogram::new_with_bounds(1, u64::try_from(LONGEST.as_nanos())?, 3)?;
        Ok(Self { times, right: 0, wrong: 0, failed: BTreeMap::new(), elapsed: Duration::ZERO })
    }

    /// Counts a call that ended so, after that time; `met` tells whether an answer said what it must.
    pub(crate) fn add(&mut self, status: Option<u8>, met: impl FnOnce() -> bool, time: Duration) {
        match status {
            Some(0) if met() => self.right += 1,
            Some(0) => self.wrong += 1,
            other => *self.failed.entry(other).or_default() += 1,
        }
        self.times.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Adds what others counted at the same time.
    pub(crate) fn merge(&mut self, other: &Self) -> Outcome<()> {
        self.times.add(&other.times)?;
        self.right += other.right;
        self.wrong += other.wrong;
        for (status, count) in &other.failed {
            *self.failed.entry(*status).or_default() += count;
        }
        self.elapsed = self.elapsed.max(other.elapsed);
        Ok(())
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
        Err(format!(
            "{} right, {} wrong answers, failed by status: {:?}",
            self.right, self.wrong, self.failed
        )
        .into())
    }
}
