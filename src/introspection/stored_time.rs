//! Moments of the database's clock, small, since every record has two.

use std::num::NonZeroU64;
use std::time::{Duration, SystemTime};

/// A moment of the database's clock to the microsecond, as the database keeps it: 8 bytes, whether or not there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoredTime(NonZeroU64);

impl StoredTime {
    /// That of 1970, in microseconds after the one moment that is none, 292,000 years before.
    const EPOCH: u64 = 1 << 63;
}

impl From<SystemTime> for StoredTime {
    fn from(time: SystemTime) -> Self {
        let microseconds = |length: Duration| u64::try_from(length.as_micros()).unwrap_or(u64::MAX);
        let moment = match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => Self::EPOCH.saturating_add(microseconds(since)),
            Err(before) => Self::EPOCH.saturating_sub(microseconds(before.duration())),
        };
        Self(NonZeroU64::new(moment).unwrap_or(NonZeroU64::MIN))
    }
}

impl From<StoredTime> for SystemTime {
    fn from(StoredTime(moment): StoredTime) -> Self {
        let since = Duration::from_micros(moment.get().saturating_sub(StoredTime::EPOCH));
        let before = Duration::from_micros(StoredTime::EPOCH.saturating_sub(moment.get()));
        let time = Self::UNIX_EPOCH.checked_add(since);
        time.and_then(|time| time.checked_sub(before)).unwrap_or(Self::UNIX_EPOCH)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_stored_time_comes_back_to_the_microsecond(microseconds in 0..u64::MAX >> 1, nanoseconds in 0_u64..1_000) {
            let (whole, rest) = (Duration::from_micros(microseconds), Duration::from_nanos(nanoseconds));
            let epoch = SystemTime::UNIX_EPOCH;
            for (time, stored) in [(epoch + whole + rest, epoch + whole), (epoch - whole, epoch - whole)] {
                prop_assert_eq!(SystemTime::from(StoredTime::from(time)), stored);
            }
        }
    }
}
