//! A token that is to be, and what it takes to write it.

use std::sync::Arc;

use super::committing::require_custom;
use super::issuing::{Issuer, NewTokenWords, workspace};
use super::limiting::{find_room, require_lifetime};
use super::{Caller, Error, audit, retries};
use crate::audit::{Action, Entry, Subject};
use crate::principal::Principal;
use crate::profile::{Creation, Profile, TokenType};
use crate::store::tokens::{NewSecret, NewToken};
use crate::store::{self, Store, Transaction, principals, tokens, workspaces};
use crate::text::{Initiator, Invalid};
use crate::token::{Expiry, Generation, IssuedSecret, ScopeSet, Token, TokenId, TokenState};
use crate::workspace::Limits;

/// What the audit calls it.
const CREATE_TOKEN: Action = Action::known("create_token");

impl Issuer {
    /// A new token before it is written, its secret hashed: the transaction, which holds locks, need not wait for that.
    pub(super) async fn draft(&self, caller: &Caller, words: NewTokenWords) -> Result<Draft, Error> {
        caller.require_workspace(&words.workspace)?;
        caller.require_covering(&words.scopes)?;
        let creator = caller.on_behalf_of(words.initiator.clone())?;
        let mut connection = self.store.connection().await?;
        let workspace = workspace(&mut connection, &words.workspace).await?;
        let profile = match &workspace.profile {
            Some(name) => Some(self.profiles.now(&mut connection, name).await?),
            None => None,
        };
        drop(connection);
        let id = TokenId::generate();
        let (issued, secret) = self.issue(&workspace.token_prefix, id).await?;
        Ok(Draft { id, words, creator, profile, limits: workspace.limits, secret, issued })
    }
}

/// A new token before it is written.
pub(super) struct Draft {
    id: TokenId,
    words: NewTokenWords,
    creator: Initiator,
    profile: Option<Arc<Profile>>,
    limits: Limits,
    secret: NewSecret,
    /// The string that its client will present.
    pub(super) issued: IssuedSecret,
}

impl Draft {
    /// Begins the transaction in which it is to be written.
    pub(super) async fn begin(&self, store: &Store, caller: &Caller) -> Result<Transaction, Error> {
        let sealed = caller.intention().map(|intention| intention.seal(&self.issued)).transpose()?;
        retries::begin(store, caller, Some((self.id, Generation::FIRST)), sealed).await
    }

    /// Writes the token, its principal, if it has one, being there and not disabled.
    pub(super) async fn insert_for_principal(
        &self,
        transaction: &mut Transaction,
        caller: &Caller,
    ) -> Result<Token, Error> {
        let Some(id) = &self.words.principal else { return self.insert(transaction, caller, None).await };
        let found = principals::share(transaction, &self.words.workspace, id).await?;
        let principal = found.ok_or(Error::PrincipalNotFound)?;
        self.insert(transaction, caller, Some(&principal)).await
    }

    /// Writes the token of a principal that the transaction has locked, or of none.
    pub(super) async fn insert(
        &self,
        transaction: &mut Transaction,
        caller: &Caller,
        principal: Option<&Principal>,
    ) -> Result<Token, Error> {
        if let Some(disabled) = principal.filter(|principal| principal.disabled) {
            return Err(Error::PrincipalDisabled(disabled.id.clone()));
        }
        let (token_type, scopes) = self.power(principal)?;
        caller.require_covering(&scopes)?;
        find_room(transaction, &self.limits, &self.words.workspace, self.words.principal.as_ref()).await?;
        let connection = transaction.connection();
        let external_id = match &self.profile {
            Some(profile) if profile.external_ids => {
                Some(workspaces::count_external_id(connection, &self.words.workspace).await?)
            }
            Some(_) | None => None,
        };
        let words = self.words.clone();
        let new = NewToken {
            id: self.id,
            workspace: words.workspace,
            name: words.name,
            description: words.description,
            principal: words.principal,
            creator: self.creator.clone(),
            token_type,
            scopes,
            audiences: words.audiences,
            allowed_cidrs: words.allowed_cidrs,
            external_id,
            metadata: words.metadata,
            expiry: words.expiry.unwrap_or(Expiry::Never),
            secret: self.secret.clone(),
        };
        let token = still_to_come(tokens::insert(connection, new).await?, "expire_time")?;
        require_lifetime(&self.limits, self.words.expiry, token.create_time, "expire_time")?;
        caller.require_outliving(&token.scopes, token.expire_time)?;
        let entry = caller.entry(CREATE_TOKEN, &self.creator, Subject::token(&token));
        let entry = Entry { details: audit::created(&token), ..entry };
        store::audit::record(transaction.connection(), &[entry]).await?;
        Ok(token)
    }

    /// The type and the scopes of the token, if the profile allows what is asked for.
    fn power(&self, principal: Option<&Principal>) -> Result<(TokenType, ScopeSet), Error> {
        let NewTokenWords { description, token_type, scopes, audiences, expiry, .. } = &self.words;
        let Some(profile) = &self.profile else {
            require_custom(*token_type, "type")?;
            return Ok((TokenType::Custom, scopes.clone()));
        };
        let forbidden = profile.forbids_creating(&Creation {
            description,
            principal: principal.map(|principal| principal.kind),
            token_type: *token_type,
            scopes,
            audiences: audiences.as_slice(),
            expiry: *expiry,
        });
        if !forbidden.is_empty() {
            return Err(Error::ProfileForbids(forbidden));
        }
        let token_type = token_type.unwrap_or_else(|| profile.default_type());
        Ok((token_type, profile.grants(token_type).unwrap_or(scopes).clone()))
    }
}

/// The database's clock decides what is past, so a token is written first and refused if it was born expired.
fn still_to_come(token: Token, path: &str) -> Result<Token, Error> {
    if token.state == TokenState::Expired {
        return Err(Error::field(path, Invalid::Malformed("in the future")));
    }
    Ok(token)
}
