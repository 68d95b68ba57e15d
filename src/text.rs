//! The texts people write: names, descriptions, handles; each a type that holds its own rule.

use std::collections::BTreeMap;
use std::fmt;

/// Why a word from outside cannot be taken. It reads on after the name of a field: "`name` must be …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Nothing was given where something is needed.
    #[error("is required")]
    Missing,
    /// More characters than the limit.
    #[error("must be at most {limit} characters long")]
    TooLong {
        /// The most characters that are taken.
        limit: usize,
    },
    /// A line break, NUL or another control character.
    #[error("must not contain control characters")]
    ControlCharacter,
    /// More entries than the limit.
    #[error("must have at most {limit} entries")]
    TooMany {
        /// The most entries that are taken.
        limit: usize,
    },
    /// Later than may be, or never.
    #[error("must be set, to at most {} seconds from now: the workspace limits how long tokens live", limit.as_secs())]
    TooFar {
        /// How far from now it may be.
        limit: std::time::Duration,
    },
    /// Not of the wanted form, which the text describes.
    #[error("must be {0}")]
    Malformed(&'static str),
}

/// Whether control characters may stand in a text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lines {
    /// One line: no control character at all.
    One,
    /// Many lines: line breaks and tabs are welcome, NUL and the rest are not.
    Many,
}

fn check(text: &str, limit: usize, lines: Lines) -> Result<(), Invalid> {
    if text.chars().count() > limit {
        return Err(Invalid::TooLong { limit });
    }
    let welcome = |character: char| lines == Lines::Many && matches!(character, '\n' | '\r' | '\t');
    if text.chars().any(|character| character.is_control() && !welcome(character)) {
        return Err(Invalid::ControlCharacter);
    }
    Ok(())
}

fn required(text: String, limit: usize) -> Result<String, Invalid> {
    if text.trim().is_empty() {
        return Err(Invalid::Missing);
    }
    check(&text, limit, Lines::One)?;
    Ok(text)
}

macro_rules! text_type {
    ($(#[$attribute:meta])* $name:ident, $parse:expr) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// Takes a text if it keeps the rule of this type, and says what is wrong with it otherwise.
            ///
            /// # Errors
            /// [`Invalid`] names the rule that was broken.
            pub fn parse(text: String) -> Result<Self, Invalid> {
                let parse: fn(String) -> Result<String, Invalid> = $parse;
                parse(text).map(|text| Self(text.into_boxed_str()))
            }

            /// The text as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text as it was given, given away.
            #[must_use]
            pub fn into_string(self) -> String {
                self.0.into_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

text_type!(
    /// What people call a token or a workspace: 1 to 128 characters, not only blanks, on one line.
    Name,
    |text| required(text, 128)
);
text_type!(
    /// What a token is for: at most 1,024 characters; line breaks are welcome.
    Description,
    |text| check(&text, 1024, Lines::Many).map(|()| text)
);
text_type!(
    /// The id of a principal, unique in its workspace: 1 to 256 characters on one line.
    PrincipalId,
    |text| required(text, 256)
);
text_type!(
    /// What a product calls a principal, like `api_access@service`: 1 to 256 characters on one line.
    Handle,
    |text| required(text, 256)
);
text_type!(
    /// On whose behalf a caller acts: 1 to 256 characters on one line.
    Initiator,
    |text| required(text, 256)
);
text_type!(
    /// Why a token was revoked or suspended: at most 256 characters on one line, possibly none.
    Reason,
    |text| check(&text, 256, Lines::One).map(|()| text)
);
text_type!(
    /// The beginning of a name, to find tokens by: 1 to 128 characters on one line.
    NamePrefix,
    |text| if text.is_empty() { Err(Invalid::Missing) } else { check(&text, 128, Lines::One).map(|()| text) }
);

/// A caller's own labels on a token: at most 32, see [`Metadata::parse`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Metadata(BTreeMap<String, String>);

impl Metadata {
    /// The most entries of one token.
    pub const LIMIT: usize = 32;

    /// Takes labels whose keys are 1 to 64 characters of `a-z`, `0-9`, `_`, `.`, `-` and whose values are at most 256
    /// characters without NUL.
    ///
    /// # Errors
    /// The rule that was broken, and the key of the offending value; a key that breaks the rules is not repeated, since
    /// it may be anything, a secret too.
    pub fn parse(entries: BTreeMap<String, String>) -> Result<Self, (Option<String>, Invalid)> {
        if entries.len() > Self::LIMIT {
            return Err((None, Invalid::TooMany { limit: Self::LIMIT }));
        }
        for (key, value) in &entries {
            check_key(key).map_err(|invalid| (None, invalid))?;
            check(value, 256, Lines::Many).map_err(|invalid| (Some(key.clone()), invalid))?;
        }
        Ok(Self(entries))
    }

    /// The labels, by key.
    #[must_use]
    pub fn entries(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// The labels, given away.
    #[must_use]
    pub fn into_entries(self) -> BTreeMap<String, String> {
        self.0
    }
}

fn check_key(key: &str) -> Result<(), Invalid> {
    let welcome = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_.-".contains(&byte);
    if (1..=64).contains(&key.len()) && key.bytes().all(welcome) {
        return Ok(());
    }
    Err(Invalid::Malformed("keyed by 1 to 64 characters of a-z, 0-9, '_', '.', '-'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_line_of_1_to_128_characters() {
        assert!(Name::parse("é".repeat(128)).is_ok());
        assert_eq!(Name::parse("é".repeat(129)), Err(Invalid::TooLong { limit: 128 }));
        assert_eq!(Name::parse(" ".into()), Err(Invalid::Missing));
        assert_eq!(Name::parse("a\nb".into()), Err(Invalid::ControlCharacter));
    }

    #[test]
    fn a_description_may_have_lines_but_no_nul() {
        assert!(Description::parse("one\ntwo".into()).is_ok());
        assert_eq!(Description::parse("a\0b".into()), Err(Invalid::ControlCharacter));
    }

    #[test]
    fn metadata_names_the_key_of_a_wrong_value_and_repeats_no_wrong_key() {
        let told = |key: &str, value: String| {
            Metadata::parse(BTreeMap::from([(key.to_owned(), value)])).unwrap_err().0
        };
        assert_eq!(told("team", "x".repeat(257)).as_deref(), Some("team"));
        assert_eq!(told("Team", "red".to_owned()), None);
    }
}
