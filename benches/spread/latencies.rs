//! Times by rank.

use std::time::Duration;

use crate::measure::rounds::readable;

/// Times in seconds, in order.
#[derive(Debug, Default, Clone)]
pub(crate) struct Latencies(Vec<f64>);

impl FromIterator<Duration> for Latencies {
    fn from_iter<Times: IntoIterator<Item = Duration>>(times: Times) -> Self {
        let mut seconds: Vec<f64> = times.into_iter().map(|time| time.as_secs_f64()).collect();
        seconds.sort_by(f64::total_cmp);
        Self(seconds)
    }
}

impl Latencies {
    /// The time below which that share of them lies: the nearest rank.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank among thousands"
    )]
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn longest(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }

    /// `p50 | p99 | p99.9 | max`, as cells of a table.
    pub(crate) fn cells(&self) -> String {
        let (half, most, nearly) = (self.quantile(0.5), self.quantile(0.99), self.quantile(0.999));
        let [half, most, nearly, longest] = [half, most, nearly, self.longest()].map(readable);
        format!("{half} | {most} | {nearly} | {longest}")
    }
}
