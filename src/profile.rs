//! Profiles: what a product asks of its tokens, as data. A profile is written in a file, which docs/profiles.md explains;
//! here are its words, how the file is read, and what follows from it for a request.

mod effective;
mod loading;
mod presentation;
mod problem;
mod reading;
mod rules;
mod standing;
mod vocabulary;

use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};

use crate::text::{Description, Invalid, Name};
use crate::token::{Scope, ScopeSet};
use crate::workspace::TokenPrefix;

pub use effective::effective_scopes;
pub use loading::{ProfilesError, SHIPPED, load, read_file};
pub use presentation::{Presentation, Presented};
pub use problem::{FileError, Problem};
pub use rules::{Creation, Edit, Forbidden};
pub use standing::{Standing, VersionReused};
pub use vocabulary::{Audience, PrincipalKind, TokenType};

/// The name of a profile: 1 to 63 characters of `a-z`, `0-9`, `-`, beginning with a letter and not ending with `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileName(String);

impl ProfileName {
    /// Takes a name of the form above.
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
        if right { Ok(Self(text)) } else { Err(Invalid::Malformed(NAME_FORM)) }
    }

    /// The name as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

const NAME_FORM: &str =
    "1 to 63 characters of a-z, 0-9, '-', beginning with a letter and not ending with '-'";

impl fmt::Display for ProfileName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What a product asks of its tokens. There is none that breaks the rules of the file format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// By which workspaces refer to it.
    pub name: ProfileName,
    /// Grows with every change, from 1.
    pub version: i32,
    /// What people call the product.
    pub title: Name,
    /// What the product calls a workspace.
    pub tenancy_noun: Name,
    /// What must be said of a new token.
    pub required: Vec<RequiredField>,
    /// Which kinds the principal of a token may be.
    pub principal_kinds: Vec<PrincipalKind>,
    /// Whether the product's own API names tokens by numbers.
    pub external_ids: bool,
    /// How long a secret should be used before it is replaced, if the product gives advice.
    pub rotation_due_after: Option<Duration>,
    /// The fields that the product's document leaves unsaid, each the path of a field in the file.
    pub silent: Vec<String>,
    /// How a client presents a token.
    pub presentation: Presentation,
    /// What new secrets can begin with; anything when empty.
    pub prefixes: Vec<PrefixChoice>,
    /// Which lifetimes there are; any when empty.
    pub lifetimes: Vec<LifetimeChoice>,
    /// Which types there are: one at least.
    pub types: Vec<TypeChoice>,
    /// The catalogue of scopes; any when empty.
    pub scopes: Vec<ScopeChoice>,
    /// Which audiences there are; none when empty.
    pub audiences: Vec<AudienceChoice>,
    /// What the product answers to whom it turns away.
    pub responses: Responses,
    /// The file as it is written.
    pub document: String,
}

/// A field of a request for a token that a profile can insist on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RequiredField {
    /// What people call it; every token has a name.
    Name,
    /// What it is for.
    Description,
    /// Who it acts for.
    Principal,
    /// What kind of power it has.
    Type,
    /// When it expires, be it never.
    Expiration,
    /// What it may do, if its type does not say.
    Scopes,
}

impl RequiredField {
    /// Each field by its name in a request.
    pub const WORDS: [(&'static str, Self); 6] = [
        ("name", Self::Name),
        ("description", Self::Description),
        ("principal", Self::Principal),
        ("type", Self::Type),
        ("expiration", Self::Expiration),
        ("scopes", Self::Scopes),
    ];
}

/// What new secrets can begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixChoice {
    /// What people call it, like `production`.
    pub label: Name,
    /// The prefix.
    pub prefix: TokenPrefix,
}

/// One lifetime to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifetimeChoice {
    /// What people call it.
    pub label: Name,
    /// How long; `None` for never.
    pub lifetime: Option<Duration>,
}

/// One type to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeChoice {
    /// Which.
    pub token_type: TokenType,
    /// What people call it.
    pub label: Name,
    /// What tokens of the type are granted; empty for [`TokenType::Custom`], and for no other.
    pub grants: ScopeSet,
}

/// One scope to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeChoice {
    /// The scope; one that ends in `:*` lets any scope under it be chosen.
    pub scope: Scope,
    /// What people call it.
    pub label: Name,
    /// What it allows.
    pub description: Description,
}

impl ScopeChoice {
    /// Whether somebody who may choose this may have `wanted`. `*` alone stands for itself, or no typo would be found.
    #[must_use]
    pub fn allows(&self, wanted: &Scope) -> bool {
        self.scope == *wanted || (self.scope.as_str() != "*" && self.scope.grants(wanted))
    }
}

/// One audience to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudienceChoice {
    /// The audience.
    pub audience: Audience,
    /// What people call it.
    pub label: Name,
}

/// What a product answers to whom it turns away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Responses {
    /// No credential is there as the profile has it presented.
    pub missing: Response,
    /// One is presented, and is not active, whatever the reason.
    pub invalid: Response,
    /// It is active, and lacks a scope that is needed.
    pub forbidden: Response,
}

/// One HTTP response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// From 400 to 499.
    pub status: StatusCode,
    /// The headers, by name.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body, to the byte.
    pub body: String,
}

impl Profile {
    /// What tokens of a type are held to, whatever scopes they have: `None` for [`TokenType::Custom`], which is held to
    /// its own. A type that the profile does not have grants nothing.
    #[must_use]
    pub fn grants(&self, token_type: TokenType) -> Option<&ScopeSet> {
        static NOTHING: LazyLock<ScopeSet> = LazyLock::new(ScopeSet::default);
        match token_type {
            TokenType::Custom => None,
            TokenType::ReadOnly | TokenType::FullAccess => {
                let choice = self.types.iter().find(|choice| choice.token_type == token_type);
                Some(choice.map_or(&NOTHING, |choice| &choice.grants))
            }
        }
    }

    /// The type of a new token of which none was said: the only one there is, or else [`TokenType::Custom`].
    #[must_use]
    pub fn default_type(&self) -> TokenType {
        match self.types.as_slice() {
            [only] => only.token_type,
            _ => TokenType::Custom,
        }
    }
}
