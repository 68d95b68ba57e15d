//! Choices and labels, as people write them.

use clap::ValueEnum;

use crate::text::Invalid;

/// What kind of power a token has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Type {
    /// What the profile calls reading.
    ReadOnly,
    /// All that the profile knows.
    FullAccess,
    /// The scopes that it is given.
    Custom,
}

/// Where a token stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum State {
    /// It works.
    Active,
    /// Its expiry has passed.
    Expired,
    /// It is dead for good.
    Revoked,
    /// Its secret died with all others of the workspace or of a server key.
    Invalidated,
    /// It does not work until it is resumed.
    Suspended,
}

/// Who a principal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PrincipalKind {
    /// A person.
    User,
    /// A program.
    ServiceAccount,
}

/// What a change waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Wait {
    /// Until it is durable.
    Commit,
    /// Until no cache answers from before it.
    Fleet,
}

/// What happens when a dead secret of a token is presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SupersededUse {
    /// It is counted.
    Count,
    /// The token is revoked, too.
    Revoke,
}

/// A shell that can complete commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU bash.
    Bash,
    /// The Z shell.
    Zsh,
    /// fish.
    Fish,
}

/// A label: `key=value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// What stands before the first `=`.
    pub key: String,
    /// What stands after it.
    pub value: String,
}

impl Label {
    /// Reads a label; what keys and values may be made of, the server judges.
    ///
    /// # Errors
    /// [`Invalid::Malformed`].
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let (key, value) = text.split_once('=').ok_or(Invalid::Malformed("key=value"))?;
        Ok(Self { key: key.to_owned(), value: value.to_owned() })
    }
}
