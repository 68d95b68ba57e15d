//! The clock of leases and deadlines: it counts while the machine sleeps, and nobody sets it.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A moment of `CLOCK_BOOTTIME`. `std::time::Instant` stands still while the machine is suspended, and the wall clock is
/// set; a lease must survive neither.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootTime(Duration);

impl BootTime {
    /// When the machine was started: before everything.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// Now.
    #[must_use]
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
        Self(Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default()))
    }

    /// A moment by the time since the machine was started; for models and tests.
    #[must_use]
    pub const fn from_start(since: Duration) -> Self {
        Self(since)
    }

    /// How long after the machine was started.
    #[must_use]
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// So much later.
    #[must_use]
    pub const fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(time))
    }

    /// How long after an earlier moment; zero if that was later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
