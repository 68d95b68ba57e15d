//! Issuing secrets: for a new token, and anew for a token that is there.

use std::sync::Arc;

use tokio::time::Instant;

use super::keys::{KeyDirectory, KeysError};
use super::tokens::known_to;
use super::{Caller, Error, Service};
use crate::hash::Hasher;
use crate::keyring::Keyring;
use crate::metrics::{Argon2Purpose, Metrics};
use crate::revocation::{Change, Event, NewEvent};
use crate::store::tokens::{NewSecret, NewToken};
use crate::store::{Store, Transaction, log, tokens, workspaces};
use crate::text::{Description, Initiator, Invalid, Metadata, Name, Principal};
use crate::token::{
    Expiry, Generation, IssuedSecret, Kid, Precondition, ScopeSet, Secret, Token, TokenId, TokenState,
};
use crate::workspace::{TokenPrefix, WorkspaceId};

/// What a caller decides about a new token.
#[derive(Debug, Clone)]
pub struct NewTokenWords {
    /// The workspace it will belong to.
    pub workspace: WorkspaceId,
    /// What people call it.
    pub name: Name,
    /// What it is for.
    pub description: Description,
    /// Who it acts for.
    pub principal: Option<Principal>,
    /// On whose behalf it is created.
    pub initiator: Option<Initiator>,
    /// What it may do.
    pub scopes: ScopeSet,
    /// The caller's own labels.
    pub metadata: Metadata,
    /// When it expires.
    pub expiry: Expiry,
}

/// What a caller decides about a new secret.
#[derive(Debug, Clone)]
pub struct Regeneration {
    /// Which token.
    pub id: TokenId,
    /// Which version of it.
    pub precondition: Precondition,
    /// On whose behalf.
    pub initiator: Option<Initiator>,
    /// A new expiry, or none to keep it.
    pub expiry: Option<Expiry>,
}

/// A token and its new secret, which is shown this once.
#[derive(Debug)]
pub struct Issued {
    /// The token.
    pub token: Token,
    /// The string that its client will present.
    pub secret: IssuedSecret,
}

impl Service {
    /// Issues a token.
    ///
    /// # Errors
    /// [`Error::WorkspaceDenied`], [`Error::ScopeEscalation`], [`Error::WorkspaceNotFound`], an expiry that has passed
    /// as [`Error::InvalidFields`], or that it cannot be done now.
    pub async fn create_token(&self, caller: &Caller, words: NewTokenWords) -> Result<Issued, Error> {
        self.issuer.create_token(caller, words).await
    }

    /// Replaces the secret of a token; the old one is dead when this returns.
    ///
    /// # Errors
    /// [`Error::TokenNotFound`], [`Error::EtagMismatch`], [`Error::TokenRevoked`], [`Error::TokenExpired`],
    /// [`Error::ScopeEscalation`], an expiry that has passed as [`Error::InvalidFields`], or that it cannot be done now.
    pub async fn regenerate_token(
        &self,
        caller: &Caller,
        regeneration: Regeneration,
    ) -> Result<Issued, Error> {
        let (issued, event) = self.issuer.regenerate_token(caller, regeneration).await?;
        self.take_effect(Some(&event));
        Ok(issued)
    }
}

/// Issues tokens, for which it takes no more than the store, the keys and argon2: no server need run.
#[derive(Clone)]
pub struct Issuer {
    pub(super) store: Store,
    pub(super) keyring: Arc<Keyring>,
    pub(super) keys: Arc<KeyDirectory>,
    pub(super) hasher: Hasher,
    pub(super) metrics: Metrics,
}

impl Issuer {
    /// Makes an issuer on a migrated database, having compared the keyring with the keys the database lists.
    ///
    /// # Errors
    /// [`KeysError`] if a key that is in use is not in the keyring, or the database cannot be asked.
    pub async fn new(
        store: Store,
        keyring: Arc<Keyring>,
        hasher: Hasher,
        metrics: Metrics,
    ) -> Result<Self, KeysError> {
        let keys = Arc::new(KeyDirectory::register(&store, &keyring).await?);
        Ok(Self { store, keyring, keys, hasher, metrics })
    }

    pub(super) async fn create_token(&self, caller: &Caller, words: NewTokenWords) -> Result<Issued, Error> {
        caller.require_workspace(&words.workspace)?;
        caller.require_covering(&words.scopes)?;
        let creator = caller.on_behalf_of(words.initiator.clone())?;
        let prefix = self.token_prefix(&words.workspace).await?;
        let id = TokenId::generate();
        let (issued, secret) = self.issue(&prefix, id).await?;
        let mut transaction = self.store.begin().await?;
        let created = insert(&mut transaction, id, words, creator, secret).await;
        let created = created.and_then(|token| caller.require_outliving(&token).map(|()| token));
        Ok(Issued { token: transaction.finish(created).await?, secret: issued })
    }

    pub(super) async fn regenerate_token(
        &self,
        caller: &Caller,
        regeneration: Regeneration,
    ) -> Result<(Issued, Event), Error> {
        let initiator = caller.on_behalf_of(regeneration.initiator.clone())?;
        let seen = tokens::find(&mut self.store.connection().await?, regeneration.id).await?;
        let seen = known_to(caller, regeneration.id, seen)?;
        check_regenerable(caller, &seen, &regeneration)?;
        // Hashed before the transaction, which holds locks. If another regenerates meanwhile, the generation has moved
        // on, and of the two only the one that committed first has issued a secret.
        let prefix = self.token_prefix(&seen.workspace).await?;
        let (issued, secret) = self.issue(&prefix, seen.id).await?;
        let mut transaction = self.store.begin().await?;
        let work =
            replace_secret(&mut transaction, caller, &regeneration, seen.generation, secret, initiator);
        let replaced = work.await;
        let (token, event) = transaction.finish(replaced).await?;
        Ok((Issued { token, secret: issued }, event))
    }

    async fn token_prefix(&self, workspace: &WorkspaceId) -> Result<TokenPrefix, Error> {
        let mut connection = self.store.connection().await?;
        let found = workspaces::find(&mut connection, workspace).await?;
        found.map(|found| found.token_prefix).ok_or_else(|| Error::WorkspaceNotFound(workspace.clone()))
    }

    /// A new secret under the minting key, and what is kept of it.
    async fn issue(&self, prefix: &TokenPrefix, id: TokenId) -> Result<(IssuedSecret, NewSecret), Error> {
        let kid: Kid = self.keys.minting();
        let key = self.keyring.key(kid).ok_or(Error::KeyUnavailable(kid))?;
        let secret = Secret::generate().map_err(|error| Error::Internal(Box::new(error)))?;
        let issued = IssuedSecret::issue(prefix, kid, id, &secret, |signed| key.sign(signed));
        let begun = Instant::now();
        let hash = self.hasher.hash(&secret, &key.pepper()).await?;
        self.metrics.argon2_ran(Argon2Purpose::Hash, begun.elapsed());
        let kept = NewSecret { kid, tag: issued.tag(), hash, obfuscated: issued.obfuscated() };
        Ok((issued, kept))
    }
}

async fn insert(
    transaction: &mut Transaction,
    id: TokenId,
    words: NewTokenWords,
    creator: Initiator,
    secret: NewSecret,
) -> Result<Token, Error> {
    let new = NewToken {
        id,
        workspace: words.workspace,
        name: words.name,
        description: words.description,
        principal: words.principal,
        creator,
        scopes: words.scopes,
        metadata: words.metadata,
        expiry: words.expiry,
        secret,
    };
    still_to_come(tokens::insert(transaction.connection(), new).await?, "expire_time")
}

/// The database's clock decides what is past, so a token is written first and refused if it was born expired.
pub(super) fn still_to_come(token: Token, path: &str) -> Result<Token, Error> {
    if token.state == TokenState::Expired {
        return Err(Error::field(path, Invalid::Malformed("in the future")));
    }
    Ok(token)
}

fn check_regenerable(caller: &Caller, token: &Token, regeneration: &Regeneration) -> Result<(), Error> {
    caller.require_covering(&token.scopes)?;
    if !regeneration.precondition.holds_for(&token.etag()) {
        return Err(Error::EtagMismatch);
    }
    match token.state {
        TokenState::Revoked => Err(Error::TokenRevoked(token.id)),
        TokenState::Expired if regeneration.expiry.is_none() => Err(Error::TokenExpired(token.id)),
        TokenState::Active | TokenState::Expired => Ok(()),
    }
}

async fn replace_secret(
    transaction: &mut Transaction,
    caller: &Caller,
    regeneration: &Regeneration,
    seen: Generation,
    secret: NewSecret,
    initiator: Initiator,
) -> Result<(Token, Event), Error> {
    let locked = tokens::lock(transaction.connection(), regeneration.id).await?;
    let token = locked.ok_or(Error::TokenNotFound(regeneration.id))?;
    check_regenerable(caller, &token, regeneration)?;
    if token.generation != seen {
        return Err(Error::EtagMismatch);
    }
    let event = NewEvent {
        change: Change::SecretReplaced,
        workspace: token.workspace,
        token: token.id,
        generation: Generation(seen.0 + 1),
        initiator,
    };
    let event = log::append(transaction, event).await?;
    let (id, expiry) = (token.id, regeneration.expiry);
    let token = tokens::replace_secret(transaction.connection(), id, secret, expiry, event.revision).await?;
    caller.require_outliving(&token)?;
    Ok((still_to_come(token, "expire_time")?, event))
}
