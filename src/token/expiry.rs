//! When a token is to expire.

use std::time::{Duration, SystemTime};

/// When a token is to expire, as a caller asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// Never.
    Never,
    /// At a moment; it must be in the future when it is written.
    At(SystemTime),
    /// So long after it is written, by the database's clock.
    After(Duration),
}

impl Expiry {
    /// The same for what is written at a moment of the database's clock: a lifetime becomes an end.
    #[must_use]
    pub fn counted_from(self, now: SystemTime) -> Self {
        match self {
            Self::After(lifetime) => now.checked_add(lifetime).map_or(Self::Never, Self::At),
            Self::Never | Self::At(_) => self,
        }
    }

    /// The end, once it is settled; `None` for never.
    #[must_use]
    pub const fn end(self) -> Option<SystemTime> {
        match self {
            Self::At(end) => Some(end),
            Self::Never | Self::After(_) => None,
        }
    }
}
