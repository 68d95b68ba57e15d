//! Moments as people write them.

use std::time::SystemTime;

use prost_types::Timestamp;

use crate::settings::value;
use crate::text::Invalid;

/// A moment: as RFC 3339 writes it, or so long before now by this machine's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment(SystemTime);

const WANTED: Invalid =
    Invalid::Malformed("a moment like 2026-01-31T12:00:00Z, a day like 2026-01-31, or a time ago like 90d");

impl Moment {
    /// Reads a moment.
    ///
    /// # Errors
    /// [`Invalid::Malformed`].
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if let Ok(ago) = value::span(text) {
            return SystemTime::now().checked_sub(ago).map(Self).ok_or(WANTED);
        }
        let day = text.len() == "2026-01-31".len();
        let text = if day { format!("{text}T00:00:00Z") } else { text.to_owned() };
        let moment = text.parse::<Timestamp>().ok().and_then(|moment| SystemTime::try_from(moment).ok());
        moment.map(Self).ok_or(WANTED)
    }

    /// The moment.
    #[must_use]
    pub const fn time(self) -> SystemTime {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_moment_is_said_or_is_so_long_ago() {
        let epoch = |seconds| Ok(Moment(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)));
        assert_eq!(Moment::parse("1970-01-02"), epoch(86_400));
        assert_eq!(Moment::parse("1970-01-01T00:01:00Z"), epoch(60));
        assert_eq!(Moment::parse("1970-01-01T01:01:00+01:00"), epoch(60));
        let said = Moment::parse("2d").unwrap().time();
        let ago = SystemTime::now().duration_since(said).unwrap();
        assert!(ago >= Duration::from_hours(48) && ago < Duration::from_hours(49), "{ago:?}");
        for text in ["", "yesterday", "2026-13-01", "2026-02-30", "12:00", "1970", "-1d", "90"] {
            assert!(Moment::parse(text).is_err(), "{text}");
        }
    }
}
