//! What a profile forbids: each answer names a field of the request, and what is allowed there.

use std::fmt;
use std::time::SystemTime;

use super::{Audience, PrincipalKind, Profile, TokenType};
use crate::text::Description;
use crate::token::{Expiry, ScopeSet};
use crate::workspace::TokenPrefix;

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
    pub fn forbids_creating(&self, _asked: &Creation<'_>) -> Vec<Forbidden> {
        Vec::new()
    }

    /// What is not allowed about an edit; nothing if all is.
    #[must_use]
    pub fn forbids_editing(&self, _asked: &Edit<'_>) -> Vec<Forbidden> {
        Vec::new()
    }

    /// What is not allowed about the expiry that comes with a new secret, if one does.
    #[must_use]
    pub fn forbids_regenerating(&self, _expiry: Option<Expiry>) -> Option<Forbidden> {
        None
    }

    /// Why new secrets cannot begin so, if they cannot; the field is the workspace's `token_prefix`.
    #[must_use]
    pub fn forbids_prefix(&self, _prefix: &TokenPrefix) -> Option<Forbidden> {
        None
    }
}
