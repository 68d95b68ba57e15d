//! The names of server keys.

use std::fmt::{self, Write as _};

/// How many characters a name has.
pub(super) const KID: usize = 2;

/// Names a server key: two base62 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kid([u8; KID]);

impl Kid {
    /// That of the first key of an installation.
    pub const FIRST: Self = Self(*b"01");

    /// Takes two base62 characters; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits: [u8; KID] = text.as_bytes().try_into().ok()?;
        digits.iter().all(u8::is_ascii_alphanumeric).then_some(Self(digits))
    }

    /// The next name, in the order of base62; `None` after the last.
    #[must_use]
    pub fn successor(self) -> Option<Self> {
        let Self([first, second]) = self;
        following(second).map_or_else(
            || following(first).map(|first| Self([first, b'0'])),
            |second| Some(Self([first, second])),
        )
    }

    pub(super) fn characters(self) -> impl Iterator<Item = char> {
        self.0.into_iter().map(char::from)
    }
}

/// The base62 digit after this one.
const fn following(digit: u8) -> Option<u8> {
    match digit {
        b'9' => Some(b'A'),
        b'Z' => Some(b'a'),
        b'z' => None,
        digit => Some(digit + 1),
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.characters().try_for_each(|character| formatter.write_char(character))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_name_follows_another_in_order() {
        let mut name = Kid::parse("00");
        let mut all = Vec::new();
        while let Some(kid) = name {
            all.push(kid);
            assert_eq!(Kid::parse(&kid.to_string()), Some(kid));
            name = kid.successor();
        }
        assert_eq!(all.len(), 62 * 62);
        assert!(all.is_sorted());
    }
}
