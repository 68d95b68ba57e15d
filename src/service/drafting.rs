//! A token that is to be, and what it takes to write it.

mod batch;

use std::sync::Arc;
use std::time::SystemTime;

use super::committing::require_custom;
use super::issuing::{Issuer, NewTokenWords, workspace};
use super::limiting::{find_room, require_lifetime};
use super::{Caller, Error, audit, retries};
use crate::audit::{Action, Entry, Subject};
use crate::principal::Principal;
use crate::profile::{Creation, Profile, TokenType};
use crate::request::Sealed;
use crate::store::tokens::{NewSecret, NewToken};
use crate::store::{self, Store, Transaction, tokens, workspaces};
use crate::text::{Initiator, Invalid};
use crate::token::{Expiry, Generation, IssuedSecret, ScopeSet, Token, TokenId};
use crate::workspace::Limits;

/// What the audit calls it.
const CREATE_TOKEN: Action = Action::known("create_token");

impl Issuer {
    /// A new token before it is written, its secret hashed: the transaction, which holds locks, need not wait for that.
    /// With it comes the string that its client will present.
    pub(super) async fn draft(
        &self,
        caller: &Caller,
        words: NewTokenWords,
    ) -> Result<(Draft, IssuedSecret), Error> {
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
        let sealed = caller.intention().map(|intention| intention.seal(&issued)).transpose()?;
        let (caller, limits) = (caller.clone(), workspace.limits);
        Ok((Draft { id, words, caller, creator, profile, limits, secret, sealed }, issued))
    }
}

/// A new token before it is written.
pub(super) struct Draft {
    id: TokenId,
    words: NewTokenWords,
    caller: Caller,
    creator: Initiator,
    profile: Option<Arc<Profile>>,
    limits: Limits,
    secret: NewSecret,
    /// The secret, sealed for whoever repeats the request.
    sealed: Option<Sealed>,
}

impl Draft {
    /// Begins the transaction in which it is to be written.
    pub(super) async fn begin(&self, store: &Store) -> Result<Transaction, Error> {
        retries::begin(store, &self.caller, Some((self.id, Generation::FIRST)), self.sealed.clone()).await
    }

    /// Writes the token of a principal that the transaction has locked, or of none.
    pub(super) async fn insert(
        &self,
        transaction: &mut Transaction,
        principal: Option<&Principal>,
    ) -> Result<Token, Error> {
        let new = self.judge(principal)?;
        find_room(transaction, &self.limits, &self.words.workspace, self.words.principal.as_ref()).await?;
        let connection = transaction.connection();
        let external_id = if self.has_external_id() {
            Some(workspaces::count_external_id(connection, &self.words.workspace).await?)
        } else {
            None
        };
        let written = tokens::insert(connection, NewToken { external_id, ..new }).await?;
        let token = written.ok_or_else(born_expired)?;
        self.judge_written(&token)?;
        store::audit::record(transaction.connection(), &[self.entry(&token)]).await?;
        Ok(token)
    }

    /// Judges what may be known before the token is written.
    fn judge(&self, principal: Option<&Principal>) -> Result<NewToken, Error> {
        if let Some(disabled) = principal.filter(|principal| principal.disabled) {
            return Err(Error::PrincipalDisabled(disabled.id.clone()));
        }
        let (token_type, scopes) = self.power(principal)?;
        self.caller.require_covering(&scopes)?;
        let words = self.words.clone();
        Ok(NewToken {
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
            external_id: None,
            metadata: words.metadata,
            expiry: words.expiry.unwrap_or(Expiry::Never),
            secret: self.secret.clone(),
        })
    }

    /// Judges what is known once the token is written, of which nothing must stay if it is refused: when it expires, by the
    /// database's clock.
    fn judge_written(&self, token: &Token) -> Result<(), Error> {
        require_lifetime(&self.limits, self.words.expiry, token.create_time, "expire_time")?;
        self.caller.require_outliving(&token.scopes, token.expire_time)
    }

    /// Whether that will hardly refuse it, whatever the time is.
    fn is_sure_of_its_expiry(&self) -> bool {
        let end = match self.words.expiry {
            Some(Expiry::At(end)) => Some(end),
            Some(Expiry::Never | Expiry::After(_)) | None => None,
        };
        let earliest = SystemTime::UNIX_EPOCH;
        require_lifetime(&self.limits, self.words.expiry, earliest, "expire_time").is_ok()
            && self.caller.require_outliving(&self.words.scopes, end).is_ok()
    }

    fn has_external_id(&self) -> bool {
        self.profile.as_ref().is_some_and(|profile| profile.external_ids)
    }

    /// What goes into the audit of the token.
    fn entry(&self, token: &Token) -> Entry {
        let entry = self.caller.entry(CREATE_TOKEN, &self.creator, Subject::token(token));
        Entry { details: audit::created(token), ..entry }
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

/// The database's clock decides what is past.
fn born_expired() -> Error {
    Error::field("expire_time", Invalid::Malformed("in the future"))
}
