//! Medians and quartiles of what was measured round by round.

/// One value for each round, in seconds or as a ratio.
#[derive(Debug, Default, Clone)]
pub(crate) struct Rounds(Vec<f64>);

impl Rounds {
    pub(crate) fn add(&mut self, value: f64) {
        self.0.push(value);
    }

    pub(crate) fn median(&self) -> f64 {
        self.quartile(2)
    }

    /// Half of the rounds lie between these.
    pub(crate) fn middle_half(&self) -> (f64, f64) {
        (self.quartile(1), self.quartile(3))
    }

    /// Which share of them is above a bound.
    #[expect(clippy::cast_precision_loss, reason = "nobody waits for 2^52 rounds")]
    pub(crate) fn share_above(&self, bound: f64) -> f64 {
        self.0.iter().filter(|value| **value > bound).count() as f64 / self.0.len() as f64
    }

    fn quartile(&self, which: usize) -> f64 {
        let mut values = self.0.clone();
        values.sort_by(f64::total_cmp);
        let position = values.len().saturating_sub(1) * which / 4;
        values.get(position).copied().unwrap_or(f64::NAN)
    }
}

/// A time as people read it, with three digits that count.
pub(crate) fn readable(seconds: f64) -> String {
    let (scaled, unit) = match seconds {
        seconds if seconds < 1e-6 => (seconds * 1e9, "ns"),
        seconds if seconds < 1e-3 => (seconds * 1e6, "µs"),
        seconds if seconds < 1.0 => (seconds * 1e3, "ms"),
        seconds => (seconds, "s"),
    };
    let decimals = match scaled {
        scaled if scaled < 10.0 => 2,
        scaled if scaled < 100.0 => 1,
        _ => 0,
    };
    format!("{scaled:.decimals$} {unit}")
}

/// From when to when, as people read it.
pub(crate) fn readable_range((from, to): (f64, f64)) -> String {
    format!("{} – {}", readable(from), readable(to))
}
