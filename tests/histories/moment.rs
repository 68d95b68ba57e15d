//! The one clock of a history. All processes share a kernel, so what was invoked after something returned is certain.

use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// Nanoseconds of `CLOCK_MONOTONIC`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Moment(pub u64);

impl Moment {
    /// Later than everything: when what never answered may have happened at the latest.
    pub const NEVER: Self = Self(u64::MAX);

    pub fn now() -> Self {
        let now = clock_gettime(ClockId::Monotonic);
        Self(now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs())
    }

    /// A moment of the wall clock. Both clocks run in one kernel.
    pub fn of(time: SystemTime) -> Self {
        let (now, wall) = (Self::now(), SystemTime::now());
        match time.duration_since(wall) {
            Ok(ahead) => now.after(ahead),
            Err(behind) => now.before(behind.duration()),
        }
    }

    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(nanoseconds(time)))
    }

    pub fn before(self, time: Duration) -> Self {
        Self(self.0.saturating_sub(nanoseconds(time)))
    }

    /// How long after an earlier moment; zero if that was later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
