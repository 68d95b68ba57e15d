//! The time in which two secrets of one token work.

use std::time::{Duration, SystemTime};

use super::Generation;
use crate::text::Invalid;

/// How long a secret works on beside the one that takes its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// Not at all.
    None,
    /// So long after it is replaced, by the database's clock.
    For(Duration),
    /// Up to a moment.
    Until(SystemTime),
}

impl Overlap {
    /// The longest: 30 days.
    pub const LONGEST: Duration = Duration::from_hours(30 * 24);

    /// Takes a length; what is finer than a microsecond is cut off, as PostgreSQL keeps it.
    ///
    /// # Errors
    /// [`Invalid`] if it is longer than [`Overlap::LONGEST`].
    pub fn parse(length: Duration) -> Result<Self, Invalid> {
        if length > Self::LONGEST {
            return Err(Invalid::Malformed("from 0 to 30 days"));
        }
        let length = Duration::new(length.as_secs(), length.subsec_micros() * 1_000);
        Ok(if length.is_zero() { Self::None } else { Self::For(length) })
    }

    /// The same for a secret that is replaced at a moment of the database's clock, of a token that will expire then: a
    /// length becomes an end, and none lies behind the token's own.
    #[must_use]
    pub fn settled(self, now: SystemTime, expire_time: Option<SystemTime>) -> Self {
        let end = match self {
            Self::None => return Self::None,
            Self::For(length) => now + length.min(Self::LONGEST),
            Self::Until(end) => end,
        };
        Self::Until(expire_time.map_or(end, |expire_time| end.min(expire_time)))
    }

    /// The end, once it is settled.
    #[must_use]
    pub const fn end(self) -> Option<SystemTime> {
        match self {
            Self::None | Self::For(_) => None,
            Self::Until(end) => Some(end),
        }
    }
}

/// The secret before the present one, as long as both work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreviousSecret {
    /// Which it is.
    pub generation: Generation,
    /// Its prefix and last four characters.
    pub obfuscated: String,
    /// When it stops working.
    pub expire_time: SystemTime,
    /// When it was last found active since it was replaced, a little behind.
    pub last_use_time: Option<SystemTime>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn an_overlap_is_whole_microseconds_and_no_longer_than_the_longest() {
        assert_eq!(Overlap::parse(Duration::ZERO), Ok(Overlap::None));
        assert_eq!(Overlap::parse(Duration::from_nanos(999)), Ok(Overlap::None));
        let cut = Overlap::parse(Duration::new(1, 1_999));
        assert_eq!(cut, Ok(Overlap::For(Duration::new(1, 1_000))));
        assert_eq!(Overlap::parse(Overlap::LONGEST), Ok(Overlap::For(Overlap::LONGEST)));
        assert!(Overlap::parse(Overlap::LONGEST + Duration::from_nanos(1)).is_err());
    }

    #[test]
    fn an_overlap_ends_with_its_token_at_the_latest() {
        let now = SystemTime::UNIX_EPOCH + HOUR;
        assert_eq!(Overlap::None.settled(now, None).end(), None);
        let ends = |expire_time| Overlap::For(HOUR).settled(now, expire_time).end();
        assert_eq!(ends(None), Some(now + HOUR));
        assert_eq!(ends(Some(now + 2 * HOUR)), Some(now + HOUR));
        assert_eq!(ends(Some(now + HOUR / 2)), Some(now + HOUR / 2));
    }
}
