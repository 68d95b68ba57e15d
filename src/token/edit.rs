//! What to edit of a token.

use super::{Audiences, Cidrs, Expiry, ScopeSet, Token};
use crate::profile::TokenType;
use crate::text::{Description, Metadata, Name};

/// What to change of a token; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct TokenEdit {
    /// What people call it.
    pub name: Option<Name>,
    /// What it is for.
    pub description: Option<Description>,
    /// What kind of power it has.
    pub token_type: Option<TokenType>,
    /// What it may do.
    pub scopes: Option<ScopeSet>,
    /// Where it may be presented.
    pub audiences: Option<Audiences>,
    /// From where it may be used.
    pub allowed_cidrs: Option<Cidrs>,
    /// The caller's own labels.
    pub metadata: Option<Metadata>,
    /// When it will expire.
    pub expiry: Option<Expiry>,
}

impl TokenEdit {
    /// Whether a token is already as this edit would make it. A lifetime counts from when it is written, so it always
    /// changes something.
    #[must_use]
    pub fn changes_nothing_of(&self, token: &Token) -> bool {
        let expiry_stays = match self.expiry {
            None => true,
            Some(Expiry::Never) => token.expire_time.is_none(),
            Some(Expiry::At(time)) => token.expire_time == Some(time),
            Some(Expiry::After(_)) => false,
        };
        expiry_stays
            && self.name.as_ref().is_none_or(|name| *name == token.name)
            && self.description.as_ref().is_none_or(|description| *description == token.description)
            && self.token_type.is_none_or(|token_type| token_type == token.token_type)
            && self.audiences.as_ref().is_none_or(|audiences| *audiences == token.audiences)
            && self.allowed_cidrs.as_ref().is_none_or(|blocks| *blocks == token.allowed_cidrs)
            && self.scopes.as_ref().is_none_or(|scopes| *scopes == token.scopes)
            && self.metadata.as_ref().is_none_or(|metadata| *metadata == token.metadata)
    }
}
