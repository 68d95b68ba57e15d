//! What a profile forbids: each answer names a field of the request, and what is allowed there.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::{Audience, LifetimeChoice, PrincipalKind, Profile, RequiredField, TokenType};
use crate::nearest::nearest;
use crate::text::Description;
use crate::token::{Expiry, ScopeSet};
use crate::workspace::TokenPrefix;

/// How far an expiry may lie from a lifetime's end: whoever edits a token reckons with a creation time that was rounded.
const TOLERANCE: Duration = Duration::from_secs(1);

/// The most choices that are told.
const MOST_TOLD: usize = 12;

/// Something that a profile does not allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forbidden {
    /// The path of the field, within what describes the token.
    pub path: String,
    /// What is allowed, reading on after the path: "must be …". It repeats nothing of the request.
    pub told: String,
}

impl fmt::Display for Forbidden {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}` {}", self.path, self.told)
    }
}

fn forbidden(path: impl Into<String>, told: impl Into<String>) -> Forbidden {
    Forbidden { path: path.into(), told: told.into() }
}

/// What is asked of a new token.
#[derive(Debug, Clone, Copy)]
pub struct Creation<'request> {
    /// What it is for.
    pub description: &'request Description,
    /// What kind the principal is that it shall act for, if any.
    pub principal: Option<PrincipalKind>,
    /// Its type, if one was said.
    pub token_type: Option<TokenType>,
    /// The scopes that were given.
    pub scopes: &'request ScopeSet,
    /// The audiences that were given.
    pub audiences: &'request [Audience],
    /// When it shall expire, if that was said.
    pub expiry: Option<Expiry>,
}

/// What is asked of an edit, and the token as it is; `None` leaves a field as it is.
#[derive(Debug, Clone, Copy)]
pub struct Edit<'request> {
    /// When the token was created.
    pub create_time: SystemTime,
    /// When it expires as it is.
    pub expire_time: Option<SystemTime>,
    /// Its type as it is.
    pub present_type: TokenType,
    /// A new description.
    pub description: Option<&'request Description>,
    /// A new type.
    pub token_type: Option<TokenType>,
    /// New scopes.
    pub scopes: Option<&'request ScopeSet>,
    /// New audiences.
    pub audiences: Option<&'request [Audience]>,
    /// A new expiry.
    pub expiry: Option<Expiry>,
}

impl Profile {
    /// What is not allowed about a new token; nothing if all is.
    #[must_use]
    pub fn forbids_creating(&self, asked: &Creation<'_>) -> Vec<Forbidden> {
        let token_type = asked.token_type.unwrap_or_else(|| self.default_type());
        let mut found = self.missing(asked, token_type);
        let missing = |path: &str| found.iter().any(|forbidden| forbidden.path == path);
        let (type_missing, expiry_missing) = (missing("type"), missing("expiration"));
        if !type_missing {
            found.extend(self.forbids_type(token_type));
        }
        if !expiry_missing {
            let path = expiry_path(asked.expiry);
            found.extend(self.forbids_expiry(path, asked.expiry.unwrap_or(Expiry::Never), |_| false));
        }
        found.extend(self.forbids_scopes(token_type, asked.scopes));
        found.extend(self.forbids_audiences(asked.audiences));
        found.extend(asked.principal.and_then(|kind| self.forbids_principal(kind)));
        found
    }

    /// What is not allowed about an edit; nothing if all is.
    #[must_use]
    pub fn forbids_editing(&self, asked: &Edit<'_>) -> Vec<Forbidden> {
        let mut found = Vec::new();
        if asked.description.is_some_and(|description| self.lacks_description(description)) {
            found.push(forbidden("description", "must be given"));
        }
        found.extend(asked.token_type.and_then(|token_type| self.forbids_type(token_type)));
        found.extend(self.forbids_scopes_edited(asked));
        found.extend(self.forbids_audiences(asked.audiences.unwrap_or_default()));
        found.extend(asked.expiry.and_then(|expiry| {
            self.forbids_expiry("expire_time", expiry, |time| {
                Some(time) == asked.expire_time || self.is_end_of_lifetime(asked.create_time, time)
            })
        }));
        found
    }

    /// What is not allowed about the expiry that comes with a new secret, if one does.
    #[must_use]
    pub fn forbids_regenerating(&self, expiry: Option<Expiry>) -> Option<Forbidden> {
        self.forbids_expiry(expiry_path(expiry), expiry?, |_| false)
    }

    /// Why new secrets cannot begin so, if they cannot; the field is the workspace's `token_prefix`.
    #[must_use]
    pub fn forbids_prefix(&self, prefix: &TokenPrefix) -> Option<Forbidden> {
        let fits = self.prefixes.is_empty() || self.prefixes.iter().any(|choice| choice.prefix == *prefix);
        let choices =
            self.prefixes.iter().map(|choice| format!("{} ({})", choice.prefix.as_str(), choice.label));
        (!fits).then(|| forbidden("token_prefix", format!("must be {}", one_of(choices))))
    }

    /// Why a token cannot act for a principal of this kind, if it cannot.
    #[must_use]
    pub fn forbids_principal(&self, kind: PrincipalKind) -> Option<Forbidden> {
        let kinds = self.principal_kinds.iter();
        let told = || format!("must be {}", one_of(kinds.map(ToString::to_string)));
        (!self.principal_kinds.contains(&kind)).then(|| forbidden("principal", told()))
    }

    /// What must be given and is not.
    fn missing(&self, asked: &Creation<'_>, token_type: TokenType) -> Vec<Forbidden> {
        let mut found = Vec::new();
        for field in &self.required {
            let lacking = match field {
                // Every token has a name.
                RequiredField::Name => None,
                RequiredField::Description => {
                    self.lacks_description(asked.description).then(|| ("description", String::new()))
                }
                RequiredField::Principal => {
                    let kinds = self.principal_kinds.iter().map(ToString::to_string);
                    asked.principal.is_none().then(|| ("principal", one_of(kinds)))
                }
                RequiredField::Type => asked.token_type.is_none().then(|| ("type", self.type_words())),
                RequiredField::Expiration => {
                    asked.expiry.is_none().then(|| ("expiration", self.lifetime_words()))
                }
                RequiredField::Scopes => {
                    let lacking = token_type == TokenType::Custom && asked.scopes.iter().next().is_none();
                    lacking.then(|| ("scopes", self.scope_words()))
                }
            };
            found.extend(lacking.map(|(path, choices)| forbidden(path, must_be_given(&choices))));
        }
        found
    }

    fn lacks_description(&self, description: &Description) -> bool {
        self.required.contains(&RequiredField::Description) && description.as_str().is_empty()
    }

    fn forbids_type(&self, token_type: TokenType) -> Option<Forbidden> {
        let known = self.types.iter().any(|choice| choice.token_type == token_type);
        (!known).then(|| forbidden("type", format!("must be {}", self.type_words())))
    }

    fn forbids_scopes(&self, token_type: TokenType, scopes: &ScopeSet) -> Option<Forbidden> {
        let told = match token_type {
            TokenType::ReadOnly | TokenType::FullAccess => {
                scopes.iter().next()?;
                format!("must be left out: what a {token_type} token may do is in the profile")
            }
            TokenType::Custom => {
                let allowed = |scope| self.scopes.iter().any(|choice| choice.allows(scope));
                let wrong = scopes.iter().find(|scope| !self.scopes.is_empty() && !allowed(scope))?;
                let meant = nearest(wrong.as_str(), self.scopes.iter().map(|choice| choice.scope.as_str()));
                let meant = meant.map_or_else(String::new, |meant| format!("; did you mean {meant}?"));
                format!("must all be of the profile's: {}{meant}", self.scope_words())
            }
        };
        Some(forbidden("scopes", told))
    }

    fn forbids_scopes_edited(&self, asked: &Edit<'_>) -> Option<Forbidden> {
        let token_type = asked.token_type.unwrap_or(asked.present_type);
        let becomes_custom = token_type == TokenType::Custom && asked.present_type != TokenType::Custom;
        match asked.scopes {
            Some(scopes) => self.forbids_scopes(token_type, scopes),
            // What the other type was granted was never chosen.
            None if becomes_custom => Some(forbidden("scopes", "must be given where a token becomes CUSTOM")),
            None => None,
        }
    }

    fn forbids_audiences(&self, audiences: &[Audience]) -> Vec<Forbidden> {
        let unknown = |audience: &Audience| !self.audiences.iter().any(|choice| choice.audience == *audience);
        let unknown = audiences.iter().enumerate().filter(|(_, audience)| unknown(audience));
        let told = |position| forbidden(format!("audiences[{position}]"), self.audience_words());
        unknown.map(|(position, _)| told(position)).collect()
    }

    /// Why a token cannot expire so, if it cannot; `is_choice` says of a moment whether it comes from a choice.
    fn forbids_expiry(
        &self,
        path: &str,
        expiry: Expiry,
        is_choice: impl Fn(SystemTime) -> bool,
    ) -> Option<Forbidden> {
        let has = |wanted| self.lifetimes.iter().any(|choice| choice.lifetime == wanted);
        let allowed = match expiry {
            Expiry::Never => has(None),
            Expiry::After(lifetime) => has(Some(lifetime)),
            Expiry::At(time) => is_choice(time),
        };
        let free = self.lifetimes.is_empty();
        (!free && !allowed).then(|| forbidden(path, format!("must be {}", self.lifetime_words())))
    }

    fn is_end_of_lifetime(&self, start: SystemTime, time: SystemTime) -> bool {
        let mut ends = self.lifetimes.iter().filter_map(|choice| start.checked_add(choice.lifetime?));
        ends.any(|end| distance(end, time) <= TOLERANCE)
    }

    fn type_words(&self) -> String {
        one_of(self.types.iter().map(|choice| format!("{} ({})", choice.token_type, choice.label)))
    }

    fn lifetime_words(&self) -> String {
        one_of(self.lifetimes.iter().map(LifetimeChoice::to_string))
    }

    fn scope_words(&self) -> String {
        one_of(self.scopes.iter().map(|choice| choice.scope.to_string()))
    }

    fn audience_words(&self) -> String {
        if self.audiences.is_empty() {
            return "must be left out: the profile has no audiences".to_owned();
        }
        format!("must be {}", one_of(self.audiences.iter().map(|choice| choice.audience.to_string())))
    }
}

impl fmt::Display for LifetimeChoice {
    /// As a request says it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lifetime {
            Some(lifetime) => write!(formatter, "a lifetime of {}s ({})", lifetime.as_secs(), self.label),
            None => write!(formatter, "never ({})", self.label),
        }
    }
}

/// The field of a request that says so when a token expires.
const fn expiry_path(expiry: Option<Expiry>) -> &'static str {
    match expiry {
        None => "expiration",
        Some(Expiry::Never) => "never_expires",
        Some(Expiry::At(_)) => "expire_time",
        Some(Expiry::After(_)) => "lifetime",
    }
}

fn must_be_given(choices: &str) -> String {
    if choices.is_empty() { "must be given".to_owned() } else { format!("must be given: {choices}") }
}

/// "a", "a or b", "a, b or c"; of many choices only the first.
fn one_of(choices: impl Iterator<Item = String>) -> String {
    let mut choices: Vec<String> = choices.take(MOST_TOLD + 1).collect();
    if choices.len() > MOST_TOLD {
        choices.truncate(MOST_TOLD);
        choices.push("another of the profile's".to_owned());
    }
    match choices.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, first)) => format!("{} or {last}", first.join(", ")),
        None => String::new(),
    }
}

fn distance(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other).unwrap_or_else(|earlier| earlier.duration())
}

#[cfg(test)]
mod tests;
