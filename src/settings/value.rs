//! The values that settings take, and how each is read from text.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::thread::available_parallelism;
use std::time::Duration;

use clap::ValueEnum;

use crate::hash::Cost;
use crate::text::Invalid;

/// More than any machine has use for, and small enough to allocate for.
const MOST: usize = 65_536;
/// Long enough for any of our waits, short enough to add to any clock.
const LONGEST: Duration = Duration::from_hours(24);
/// Shorter, a lease would run out whenever the database pauses; longer, so would the patience of those who revoke.
const LEASES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_mins(1));
/// From what a sidecar needs to come back after a hiccup, to ten years.
const RETENTIONS: (Duration, Duration) = (Duration::from_mins(1), Duration::from_hours(24 * 3650));

/// What a token's life, an overlap or a look back may measure, before anybody judges by more than that.
const SPANS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_hours(24 * 36_500));

/// How many of something run side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parallelism {
    /// One a core that this process may use.
    Cores,
    /// So many.
    Count(NonZeroUsize),
}

impl Parallelism {
    /// Reads `cores` or a number from 1 to 65536.
    ///
    /// # Errors
    /// [`Invalid::Malformed`].
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text == "cores" {
            return Ok(Self::Cores);
        }
        let wanted = Invalid::Malformed("`cores` or a whole number from 1 to 65536");
        count(text).map(Self::Count).map_err(|_| wanted)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> NonZeroUsize {
        match self {
            Self::Cores => available_parallelism().unwrap_or(NonZeroUsize::MIN),
            Self::Count(count) => count,
        }
    }
}

/// Where the operations listener is, if anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationsListen {
    /// There is none.
    Off,
    /// On this address; port 0 lets the system choose.
    On(SocketAddr),
}

impl OperationsListen {
    /// Reads `none` or an IP address and port.
    ///
    /// # Errors
    /// [`Invalid::Malformed`].
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text == "none" {
            return Ok(Self::Off);
        }
        let wanted =
            Invalid::Malformed("`none` or an IP address and port, like 127.0.0.1:50052 or [::1]:50052");
        text.parse().map(Self::On).map_err(|_| wanted)
    }
}

/// The choice of argon2id's cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Argon2Cost {
    /// 64 KiB, one pass.
    Default,
    /// 19 MiB, two passes.
    Owasp,
}

impl Argon2Cost {
    /// The figures behind the choice.
    #[must_use]
    pub const fn cost(self) -> Cost {
        match self {
            Self::Default => Cost::DEFAULT,
            Self::Owasp => Cost::OWASP,
        }
    }
}

/// Reads a number from 1 to 65536.
pub(super) fn count(text: &str) -> Result<NonZeroUsize, Invalid> {
    let count = text.parse().ok().filter(|count: &NonZeroUsize| count.get() <= MOST);
    count.ok_or(Invalid::Malformed("a whole number from 1 to 65536"))
}

/// Reads a number and a unit, more than nothing and at most a day.
pub(super) fn duration(text: &str) -> Result<Duration, Invalid> {
    let duration = unit_and_count(text).filter(|duration| !duration.is_zero() && *duration <= LONGEST);
    duration.ok_or(Invalid::Malformed("a duration like 500ms, 10s, 2m or 1h, of at most 24h"))
}

/// Reads how long a lease lasts.
pub(super) fn lease(text: &str) -> Result<Duration, Invalid> {
    let lease = unit_and_count(text).filter(|lease| (LEASES.0..=LEASES.1).contains(lease));
    lease.ok_or(Invalid::Malformed("a duration like 1500ms or 3s, from 1s to 60s"))
}

/// Reads how long something is kept, which may be longer than [`duration`] takes.
pub(super) fn retention(text: &str) -> Result<Duration, Invalid> {
    let retention =
        unit_and_count(text).filter(|retention| (RETENTIONS.0..=RETENTIONS.1).contains(retention));
    retention.ok_or(Invalid::Malformed("a duration like 30m, 12h or 7d, from 1m to 3650d"))
}

/// Reads for how long a request is recognised.
pub(super) fn request_window(text: &str) -> Result<Duration, Invalid> {
    let window = unit_and_count(text).filter(|window| (RETENTIONS.0..=LONGEST).contains(window));
    window.ok_or(Invalid::Malformed("a duration like 10m or 2h, from 1m to 24h"))
}

/// Reads how long a token lives, or how long ago something was.
pub(super) fn span(text: &str) -> Result<Duration, Invalid> {
    let span = unit_and_count(text).filter(|span| (SPANS.0..=SPANS.1).contains(span));
    span.ok_or(Invalid::Malformed("a duration like 90s, 12h or 30d, from 1s to 36500d"))
}

fn unit_and_count(text: &str) -> Option<Duration> {
    let (count, unit) = text.split_at(text.find(|character: char| !character.is_ascii_digit())?);
    let count: u64 = count.parse().ok()?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    count.checked_mul(milliseconds).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        for (text, milliseconds) in [("500ms", 500), ("10s", 10_000), ("2m", 120_000), ("24h", 86_400_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "10", "s", "0s", "25h", "1.5s", "-1s", "10 s", "10S", "99999999999999999999s", "2d"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(duration(&format!("{}h", u64::MAX)).is_err());
    }

    #[test]
    fn a_lease_lasts_from_a_second_to_a_minute() {
        for (text, milliseconds) in [("1s", 1_000), ("1500ms", 1_500), ("60s", 60_000), ("1m", 60_000)] {
            assert_eq!(lease(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "3", "999ms", "61s", "2m", "1h"] {
            assert!(lease(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_retention_may_last_for_days() {
        let hour = Duration::from_hours(1);
        for (text, retention) in
            [("7d", 168 * hour), ("60s", hour / 60), ("48h", 48 * hour), ("3650d", 87_600 * hour)]
        {
            assert_eq!(super::retention(text), Ok(retention), "{text}");
        }
        for text in ["", "d", "7", "0d", "-1d", "59s", "3651d", "1.5d", "7 d", "+7d", "99999999999d"] {
            assert!(super::retention(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_count_is_at_least_one() {
        assert_eq!(count("65536").map(NonZeroUsize::get), Ok(65_536));
        for text in ["", "0", "-1", "65537", "1e3", "many"] {
            assert!(count(text).is_err(), "{text}");
        }
    }

    #[test]
    fn cores_are_counted_at_least_once() {
        assert_eq!(Parallelism::parse("cores"), Ok(Parallelism::Cores));
        assert!(Parallelism::Cores.get().get() >= 1);
        assert_eq!(Parallelism::parse("3").map(Parallelism::get), Ok(NonZeroUsize::new(3).unwrap()));
        assert!(Parallelism::parse("all").is_err());
    }
}
