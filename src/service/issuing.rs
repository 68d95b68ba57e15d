//! Issuing secrets: for a new token, and anew for a token that is there.

use std::sync::Arc;

use tokio::time::Instant;

use super::committing::{Action, Committing, Mutation, require_regenerable};
use super::keys::{KeyDirectory, KeysError};
use super::tokens::known_to;
use super::{Caller, Error, Service};
use crate::hash::Hasher;
use crate::keyring::Keyring;
use crate::metrics::{Argon2Purpose, Metrics};
use crate::store::tokens::{NewSecret, NewToken};
use crate::store::{Store, Transaction, tokens, workspaces};
use crate::text::{Description, Initiator, Invalid, Metadata, Name, Principal};
use crate::token::{Expiry, IssuedSecret, Kid, Precondition, ScopeSet, Secret, Token, TokenId, TokenState};
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
        self.issuer.regenerate_token(caller, regeneration).await
    }
}

/// Issues tokens, for which it takes no more than the store, the keys and argon2: no server need run.
#[derive(Clone)]
pub struct Issuer {
    pub(super) store: Store,
    pub(super) committing: Committing,
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
        committing: Committing,
        keyring: Arc<Keyring>,
        hasher: Hasher,
        metrics: Metrics,
    ) -> Result<Self, KeysError> {
        let keys = Arc::new(KeyDirectory::register(&store, &keyring).await?);
        Ok(Self { store, committing, keyring, keys, hasher, metrics })
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
        let created = created
            .and_then(|token| caller.require_outliving(&token.scopes, token.expire_time).map(|()| token));
        Ok(Issued { token: transaction.finish(created).await?, secret: issued })
    }

    pub(super) async fn regenerate_token(
        &self,
        caller: &Caller,
        regeneration: Regeneration,
    ) -> Result<Issued, Error> {
        let Regeneration { id, precondition, initiator, expiry } = regeneration;
        let initiator = caller.on_behalf_of(initiator)?;
        let seen = known_to(caller, id, tokens::find(&mut self.store.connection().await?, id).await?)?;
        require_regenerable(caller, &seen, &precondition, expiry)?;
        // Hashed before the transaction, which holds locks. If another regenerates meanwhile, the generation has moved
        // on, and of the two only the one that committed first has issued a secret.
        let prefix = self.token_prefix(&seen.workspace).await?;
        let (issued, secret) = self.issue(&prefix, id).await?;
        let action = Action::ReplaceSecret { seen: seen.generation, secret, expiry };
        let caller = caller.clone();
        let mutation = Mutation { token: id, caller, initiator, precondition, action, awaited: false };
        Ok(Issued { token: self.committing.commit(mutation).await?.token, secret: issued })
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
fn still_to_come(token: Token, path: &str) -> Result<Token, Error> {
    if token.state == TokenState::Expired {
        return Err(Error::field(path, Invalid::Malformed("in the future")));
    }
    Ok(token)
}
