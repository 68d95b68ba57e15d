//! The vocabulary of workspaces, the tenants.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::profile::ProfileName;
use crate::text::{Initiator, Invalid, Name, Reason};
use crate::token::{Etag, Precondition, Revision};

/// The id of a workspace: 1 to 63 characters of `a-z`, `0-9`, `-`, beginning with a letter, not ending with `-`: a
/// DNS label, so that it fits wherever a product wants to show it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkspaceId(String);

impl WorkspaceId {
    /// The workspace of tokenkeep itself: callers whose token belongs to it act on every workspace.
    pub const SYSTEM: &'static str = "tokenkeep";

    /// Takes an id of the form above.
    ///
    /// # Errors
    /// [`Invalid`] if it is empty or not of that form.
    pub fn parse(text: String) -> Result<Self, Invalid> {
        if text.is_empty() {
            return Err(Invalid::Missing);
        }
        let welcome = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let right = text.len() <= 63
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && !text.ends_with('-')
            && text.bytes().all(welcome);
        if right { Ok(Self(text)) } else { Err(Invalid::Malformed(WORKSPACE_FORM)) }
    }

    /// Whether this is tokenkeep's own workspace.
    #[must_use]
    pub fn is_system(&self) -> bool {
        self.0 == Self::SYSTEM
    }

    /// The id as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const WORKSPACE_FORM: &str =
    "1 to 63 characters of a-z, 0-9, '-', beginning with a letter and not ending with '-'";

impl fmt::Display for WorkspaceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What new secrets of a workspace begin with: 1 to 8 characters of `a-z`, `0-9`, `_`, beginning with a letter, no `_`
/// at the end or twice in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenPrefix(String);

impl TokenPrefix {
    /// That of a workspace which does not say.
    pub const DEFAULT: &'static str = "tk";

    /// The most characters.
    pub const LONGEST: usize = 8;

    /// Takes a prefix of the form above.
    ///
    /// # Errors
    /// [`Invalid`] if it is empty or not of that form.
    pub fn parse(text: String) -> Result<Self, Invalid> {
        if text.is_empty() {
            return Err(Invalid::Missing);
        }
        if Self::is_one(&text) { Ok(Self(text)) } else { Err(Invalid::Malformed(PREFIX_FORM)) }
    }

    /// Whether a text is of the form above.
    #[must_use]
    pub fn is_one(text: &str) -> bool {
        let welcome = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_';
        let text = text.as_bytes();
        text.len() <= Self::LONGEST
            && text.first().is_some_and(u8::is_ascii_lowercase)
            && !text.ends_with(b"_")
            && !text.windows(2).any(|pair| pair == b"__")
            && text.iter().all(welcome)
    }

    /// The prefix as written, without the `_` that follows it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TokenPrefix {
    fn default() -> Self {
        Self(Self::DEFAULT.to_owned())
    }
}

const PREFIX_FORM: &str =
    "1 to 8 characters of a-z, 0-9, '_', beginning with a letter, with no '_' at the end or twice in a row";

/// What happens when a dead secret of a token is presented.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SupersededUse {
    /// It is counted.
    #[default]
    Count,
    /// It is counted, and the token is revoked if the secret has been dead for a while.
    Revoke,
}

impl SupersededUse {
    /// Each with its word.
    pub const WORDS: [(&'static str, Self); 2] = [("count", Self::Count), ("revoke", Self::Revoke)];
}

/// What a workspace holds back of what callers may issue; `None` for no limit. Tokens count that are neither revoked nor
/// expired.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// The most tokens, from 1 to [`Limits::MOST_TOKENS`].
    pub tokens: Option<i64>,
    /// The most tokens of one principal, likewise.
    pub tokens_per_principal: Option<i64>,
    /// The longest that a token may live from when its expiry is set, from 1 second to 100 years.
    pub lifetime: Option<Duration>,
    /// The most secrets issued at once, and then within each minute; from 1 to [`Limits::MOST_ISSUES`].
    pub issues_per_minute: Option<i32>,
}

impl Limits {
    /// The most that a number of tokens can be limited to.
    pub const MOST_TOKENS: i64 = 1_000_000_000;
    /// The most that the secrets of a minute can be limited to.
    pub const MOST_ISSUES: i32 = 1_000_000;

    /// Whether tokens are counted.
    #[must_use]
    pub const fn count_tokens(&self) -> bool {
        self.tokens.is_some() || self.tokens_per_principal.is_some()
    }

    /// Whether secrets are counted.
    #[must_use]
    pub const fn count_issues(&self) -> bool {
        self.issues_per_minute.is_some()
    }
}

/// A tenant that is not yet there.
#[derive(Debug, Clone)]
pub struct NewWorkspace {
    /// The id, for the whole life.
    pub id: WorkspaceId,
    /// What people call it.
    pub name: Name,
    /// What new secrets begin with.
    pub token_prefix: TokenPrefix,
    /// Whose rules its tokens keep.
    pub profile: Option<ProfileName>,
    /// What is limited.
    pub limits: Limits,
    /// What becomes of a token whose dead secret is used.
    pub superseded_use: SupersededUse,
}

/// A tenant and its settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workspace {
    /// The id, for the whole life.
    pub id: WorkspaceId,
    /// What people call it.
    pub name: Name,
    /// What new secrets begin with.
    pub token_prefix: TokenPrefix,
    /// Whose rules its tokens keep.
    pub profile: Option<ProfileName>,
    /// When it was created.
    pub create_time: SystemTime,
    /// When it was last edited.
    pub update_time: SystemTime,
    /// Counts the edits, from 1.
    pub version: i32,
    /// The position of the last change that concerned all of its tokens.
    pub revision: Revision,
    /// What becomes of a token whose dead secret is used.
    pub superseded_use: SupersededUse,
    /// What is limited.
    pub limits: Limits,
}

impl Workspace {
    /// Names this version of the workspace.
    #[must_use]
    pub fn etag(&self) -> Etag {
        Etag::of_version(self.version)
    }
}

/// What to edit of a workspace.
#[derive(Debug, Clone)]
pub struct WorkspaceEdit {
    /// Which one.
    pub id: WorkspaceId,
    /// Which version.
    pub precondition: Precondition,
    /// A new name, or none.
    pub name: Option<Name>,
    /// A new prefix, or none.
    pub token_prefix: Option<TokenPrefix>,
    /// Another profile, or that it shall have none.
    pub profile: Option<Option<ProfileName>>,
    /// What shall become of a token whose dead secret is used, if that is to change.
    pub superseded_use: Option<SupersededUse>,
    /// Other limits, all of them, or none.
    pub limits: Option<Limits>,
}

/// Whose secrets to invalidate.
#[derive(Debug, Clone)]
pub struct Invalidation {
    /// Which workspace's.
    pub id: WorkspaceId,
    /// Whether only to count them.
    pub dry_run: bool,
    /// Which version of the workspace.
    pub precondition: Precondition,
    /// Why.
    pub reason: Reason,
    /// On whose behalf.
    pub initiator: Option<Initiator>,
    /// Whether the caller will wait until no cache answers from before.
    pub awaited: bool,
}
