//! The vocabulary of tokens: what a token is, in words that every layer shares. No I/O, no wire, no SQL.

pub(crate) mod base62;
mod edit;
mod expiry;
mod filter;
mod kid;
mod overlap;
mod place;
mod presented;
mod scope;

use std::fmt;
use std::num::NonZeroI64;
use std::time::SystemTime;

use uuid::Uuid;

pub use edit::TokenEdit;
pub use expiry::Expiry;
pub use filter::TokenFilter;
pub use kid::Kid;
pub use overlap::{Overlap, PreviousSecret};
pub use place::{Audiences, Cidr, Cidrs};
pub use presented::{IssuedSecret, Malformed, Presented, PresentedText, SHAPE, Secret, Tag};
pub use scope::{Scope, ScopeSet};

use crate::profile::{ProfileName, TokenType};
use crate::text::{Description, Initiator, Invalid, Metadata, Name, PrincipalId, Reason};
use crate::workspace::WorkspaceId;

/// The id of a token: a UUID of version 7, so that ids sort by creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(Uuid);

impl TokenId {
    /// A new id, made from the clock, a counter and random bits.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7())
    }

    /// Takes a UUID, whatever its version: an id that never was issued is simply not found.
    #[must_use]
    pub const fn from_uuid(id: Uuid) -> Self {
        Self(id)
    }

    /// Takes the hyphenated text of a UUID.
    ///
    /// # Errors
    /// [`Invalid`] if it is empty or not of that form.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() {
            return Err(Invalid::Missing);
        }
        if text.len() != uuid::fmt::Hyphenated::LENGTH {
            return Err(Invalid::Malformed("a UUID like 01890a5d-ac96-774b-bcce-b302099a8057"));
        }
        let id = Uuid::try_parse(text);
        id.map(Self).map_err(|_| Invalid::Malformed("a UUID like 01890a5d-ac96-774b-bcce-b302099a8057"))
    }

    /// The hyphenated text.
    #[must_use]
    pub fn to_text(self) -> String {
        self.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()).to_owned()
    }

    /// The id as a UUID.
    #[must_use]
    pub const fn as_uuid(&self) -> Uuid {
        self.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(formatter)
    }
}

/// Counts the secrets a token has had, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub i32);

impl Generation {
    /// That of a new token.
    pub const FIRST: Self = Self(1);
}

/// A number that a product names a token or a principal by: 1 or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExternalId(NonZeroI64);

impl ExternalId {
    /// Takes a number.
    ///
    /// # Errors
    /// [`Invalid`] if it is below 1.
    pub const fn parse(number: i64) -> Result<Self, Invalid> {
        match NonZeroI64::new(number) {
            Some(number) if number.is_positive() => Ok(Self(number)),
            Some(_) | None => Err(Invalid::Malformed("1 or more")),
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0.get()
    }
}

/// A position in the one order of all changes that can change an introspection's answer; 0 is before them all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub i64);

impl Revision {
    /// Before the first change.
    pub const ZERO: Self = Self(0);
}

impl fmt::Display for Revision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Names a version of a token or a workspace, so that nobody overwrites what they have not seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Etag(String);

impl Etag {
    /// The etag of a token at its last change: every change that people can make has a revision of its own.
    #[must_use]
    pub fn of_revision(revision: Revision) -> Self {
        Self(format!("r{revision}"))
    }

    /// The etag of what counts its versions.
    #[must_use]
    pub fn of_version(version: i32) -> Self {
        Self(format!("v{version}"))
    }

    /// The etag as callers see it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a caller demands of the version that it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// Whatever is there.
    Any,
    /// Only the version with this etag.
    Match(String),
}

impl Precondition {
    /// Whether what has this etag may be changed.
    #[must_use]
    pub fn holds_for(&self, etag: &Etag) -> bool {
        match self {
            Self::Any => true,
            Self::Match(wanted) => wanted == etag.as_str(),
        }
    }
}

/// Where a token stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TokenState {
    /// It works.
    Active,
    /// Its expiry has passed.
    Expired,
    /// It was revoked, for good.
    Revoked,
    /// Its secret was invalidated, with all others of its workspace or of its server key; it works again once regenerated.
    Invalidated,
    /// It was suspended, until it is resumed.
    Suspended,
}

/// The end of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// When it was revoked.
    pub time: SystemTime,
    /// Why, as the caller said.
    pub reason: Reason,
}

/// The suspension of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspended {
    /// Since when.
    pub time: SystemTime,
    /// Why, as the caller said.
    pub reason: Reason,
}

/// What is known of a token, save everything that could prove its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The id, for the whole life.
    pub id: TokenId,
    /// The workspace it belongs to, for the whole life.
    pub workspace: WorkspaceId,
    /// The profile of the workspace.
    pub profile: Option<ProfileName>,
    /// What people call it.
    pub name: Name,
    /// What it is for.
    pub description: Description,
    /// Who it acts for.
    pub principal: Option<PrincipalId>,
    /// On whose behalf it was created.
    pub creator: Initiator,
    /// What kind of power it has.
    pub token_type: TokenType,
    /// What it may do, its principal willing.
    pub scopes: ScopeSet,
    /// Where it may be presented.
    pub audiences: Audiences,
    /// From where it may be used.
    pub allowed_cidrs: Cidrs,
    /// The caller's own labels.
    pub metadata: Metadata,
    /// The number that the product names it by.
    pub external_id: Option<ExternalId>,
    /// When it expires; `None` for never.
    pub expire_time: Option<SystemTime>,
    /// When it was created.
    pub create_time: SystemTime,
    /// When it was last changed.
    pub update_time: SystemTime,
    /// When it was last found active, a little behind.
    pub last_use_time: Option<SystemTime>,
    /// How often it was found active, a little behind.
    pub use_count: i64,
    /// How often a dead secret of it was presented, a little behind.
    pub superseded_use_count: i64,
    /// When one was last, a little behind.
    pub superseded_use_time: Option<SystemTime>,
    /// Its end, if it was revoked.
    pub ended: Option<Ended>,
    /// Its suspension, if it is suspended.
    pub suspended: Option<Suspended>,
    /// The state by the database's clock at the moment it was read.
    pub state: TokenState,
    /// Which secret is live.
    pub generation: Generation,
    /// Prefix and last four characters of the live secret.
    pub obfuscated_secret: String,
    /// When the live secret was issued.
    pub secret_time: SystemTime,
    /// The secret before, if it works too.
    pub previous_secret: Option<PreviousSecret>,
    /// From when on the live secret should be replaced, by the profile's advice; the store does not know.
    pub rotation_due_time: Option<SystemTime>,
    /// The position of its last change.
    pub revision: Revision,
}

impl Token {
    /// Names this version of the token.
    #[must_use]
    pub fn etag(&self) -> Etag {
        Etag::of_revision(self.revision)
    }

    /// About how many bytes it takes on the wire.
    #[must_use]
    pub fn size(&self) -> usize {
        /// Ids, times and the like.
        const FIXED: usize = 256;
        /// An audience or a block of addresses at its longest.
        const PLACE: usize = 68;
        let texts =
            [self.name.as_str(), self.description.as_str(), self.creator.as_str(), self.workspace.as_str()];
        let principal = self.principal.as_ref().map_or("", PrincipalId::as_str);
        let scopes: usize = self.scopes.iter().map(|scope| scope.as_str().len() + 4).sum();
        let metadata: usize =
            self.metadata.entries().iter().map(|(key, value)| key.len() + value.len() + 8).sum();
        let places = PLACE * (self.audiences.as_slice().len() + self.allowed_cidrs.as_slice().len());
        FIXED
            + places
            + texts.iter().map(|text| text.len()).sum::<usize>()
            + principal.len()
            + scopes
            + metadata
    }
}
