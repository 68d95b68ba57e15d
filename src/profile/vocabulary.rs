//! The choices that a profile speaks of: types of tokens, kinds of principals, audiences.

use std::fmt;

use crate::text::Invalid;

/// What kind of power a token has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TokenType {
    /// What the profile calls reading.
    ReadOnly,
    /// All that the profile knows.
    FullAccess,
    /// The scopes that it was given.
    Custom,
}

impl TokenType {
    /// Each type by the word for it in files and in the database.
    pub const WORDS: [(&'static str, Self); 3] =
        [("read_only", Self::ReadOnly), ("full_access", Self::FullAccess), ("custom", Self::Custom)];
}

impl fmt::Display for TokenType {
    /// As the comments of the API write it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::ReadOnly => "READ_ONLY",
            Self::FullAccess => "FULL_ACCESS",
            Self::Custom => "CUSTOM",
        })
    }
}

/// Who a principal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PrincipalKind {
    /// A person.
    User,
    /// A program.
    ServiceAccount,
}

impl PrincipalKind {
    /// Each kind by the word for it in files and in the database.
    pub const WORDS: [(&'static str, Self); 2] =
        [("user", Self::User), ("service_account", Self::ServiceAccount)];
}

impl fmt::Display for PrincipalKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::User => "a user",
            Self::ServiceAccount => "a service account",
        })
    }
}

/// Where a token may be presented: 1 to 64 characters of `a-z`, `0-9`, `-`, `.`, `_`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Audience(String);

impl Audience {
    /// Takes an audience of the form above.
    ///
    /// # Errors
    /// [`Invalid`] if it is empty or not of that form.
    pub fn parse(text: String) -> Result<Self, Invalid> {
        let welcome = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
        match text.len() {
            0 => Err(Invalid::Missing),
            1..=64 if text.bytes().all(welcome) => Ok(Self(text)),
            _ => Err(Invalid::Malformed("1 to 64 characters of a-z, 0-9, '-', '.', '_'")),
        }
    }

    /// The audience as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}
