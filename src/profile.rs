//! Profiles: what a product asks of its tokens, as data.

mod effective;
mod rules;
mod standing;
mod vocabulary;

use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use serde::Deserialize;

use crate::text::Invalid;
use crate::token::{Scope, ScopeSet};

pub use effective::effective_scopes;
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

/// What a product asks of its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// By which workspaces refer to it.
    pub name: ProfileName,
    /// Grows with every change, from 1.
    pub version: i32,
    /// Whether the product's own API names tokens by numbers.
    pub external_ids: bool,
    /// How long a secret should be used before it is replaced, if the product gives advice.
    pub rotation_due_after: Option<Duration>,
    /// Which types there are.
    types: Vec<(TokenType, ScopeSet)>,
    /// The file as it is written.
    pub document: String,
}

#[derive(Deserialize)]
struct File {
    name: String,
    version: i32,
    #[serde(default)]
    external_ids: bool,
    rotation_due_after_days: Option<u64>,
    #[serde(default)]
    types: Vec<FileType>,
}

#[derive(Deserialize)]
struct FileType {
    r#type: String,
    #[serde(default)]
    grants: Vec<String>,
}

/// Something that is wrong with a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(String);

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Profile {
    /// Reads a profile from what stands in its file.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(document: &str) -> Result<Self, Vec<Problem>> {
        let wrong = |told: &dyn fmt::Display| vec![Problem(told.to_string())];
        let file: File = toml::from_str(document).map_err(|error| wrong(&error))?;
        let types = file.types.into_iter().map(|choice| {
            let grants: Result<Vec<Scope>, _> = choice.grants.into_iter().map(Scope::parse).collect();
            let word = TokenType::WORDS.into_iter().find(|(word, _)| *word == choice.r#type);
            let (_, token_type) = word.ok_or(Invalid::Missing)?;
            Ok((token_type, ScopeSet::new(grants?)?))
        });
        let types: Result<_, Invalid> = types.collect();
        Ok(Self {
            name: ProfileName::parse(file.name).map_err(|error| wrong(&error))?,
            version: file.version,
            external_ids: file.external_ids,
            rotation_due_after: file.rotation_due_after_days.map(|days| Duration::from_hours(days * 24)),
            types: types.map_err(|error| wrong(&error))?,
            document: document.to_owned(),
        })
    }

    /// What tokens of a type are held to, whatever scopes they have: `None` for [`TokenType::Custom`], which is held to
    /// its own. A type that the profile does not have grants nothing.
    #[must_use]
    pub fn grants(&self, token_type: TokenType) -> Option<&ScopeSet> {
        static NOTHING: LazyLock<ScopeSet> = LazyLock::new(ScopeSet::default);
        match token_type {
            TokenType::Custom => None,
            TokenType::ReadOnly | TokenType::FullAccess => {
                let choice = self.types.iter().find(|(choice, _)| *choice == token_type);
                Some(choice.map_or(&NOTHING, |(_, grants)| grants))
            }
        }
    }

    /// The type of a new token of which none was said: the only one there is, or else [`TokenType::Custom`].
    #[must_use]
    pub fn default_type(&self) -> TokenType {
        match self.types.as_slice() {
            [(only, _)] => *only,
            _ => TokenType::Custom,
        }
    }
}
