//! Issuing secrets: for a new token, and anew for a token that is there.

use std::sync::Arc;

use tokio::time::Instant;

use super::committing::{Action, Committing, Mutation, require_regenerable};
use super::keys::{KeyDirectory, KeysError};
use super::profiles::Profiles;
use super::tokens::known_to;
use super::{Caller, Error, Service};
use crate::hash::Hasher;
use crate::keyring::Keyring;
use crate::metrics::{Argon2Purpose, Metrics};
use crate::profile::TokenType;
use crate::store::tokens::NewSecret;
use crate::store::{Connection, Store, tokens, workspaces};
use crate::text::{Description, Initiator, Metadata, Name, PrincipalId};
use crate::token::{
    Audiences, Cidrs, Expiry, IssuedSecret, Kid, Overlap, Precondition, ScopeSet, Secret, Token, TokenId,
};
use crate::workspace::{TokenPrefix, Workspace, WorkspaceId};

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
    pub principal: Option<PrincipalId>,
    /// On whose behalf it is created.
    pub initiator: Option<Initiator>,
    /// What kind of power it has, if that is said.
    pub token_type: Option<TokenType>,
    /// What it may do.
    pub scopes: ScopeSet,
    /// Where it may be presented.
    pub audiences: Audiences,
    /// From where it may be used.
    pub allowed_cidrs: Cidrs,
    /// The caller's own labels.
    pub metadata: Metadata,
    /// When it expires, if that is said; never if not.
    pub expiry: Option<Expiry>,
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
    /// How long the present secret works on.
    pub overlap: Overlap,
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
    /// [`Error::WorkspaceDenied`], [`Error::ScopeEscalation`], [`Error::WorkspaceNotFound`], [`Error::PrincipalNotFound`],
    /// [`Error::PrincipalDisabled`], [`Error::ProfileForbids`], an expiry that has passed as [`Error::InvalidFields`], or
    /// that it cannot be done now.
    pub async fn create_token(&self, caller: &Caller, words: NewTokenWords) -> Result<Issued, Error> {
        let work = self.issuer.create_token(caller, words);
        self.once(caller, work, |done| self.issued_before(caller, done)).await
    }

    /// Replaces the secret of a token; the old one is dead when this returns, unless it is to work on for a while.
    ///
    /// # Errors
    /// [`Error::TokenNotFound`], [`Error::EtagMismatch`], [`Error::TokenRevoked`], [`Error::TokenExpired`],
    /// [`Error::ScopeEscalation`], [`Error::ProfileForbids`], an expiry that has passed as [`Error::InvalidFields`], or that
    /// it cannot be done now.
    pub async fn regenerate_token(
        &self,
        caller: &Caller,
        regeneration: Regeneration,
    ) -> Result<Issued, Error> {
        let work = self.issuer.regenerate_token(caller, regeneration);
        self.once(caller, work, |done| self.issued_before(caller, done)).await
    }
}

/// Issues tokens, for which it takes no more than the store, the keys and argon2: no server need run.
#[derive(Clone)]
pub struct Issuer {
    pub(super) store: Store,
    pub(super) committing: Committing,
    pub(super) keyring: Arc<Keyring>,
    pub(super) keys: Arc<KeyDirectory>,
    pub(super) profiles: Profiles,
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
        let profiles = Profiles::default();
        Ok(Self { store, committing, keyring, keys, profiles, hasher, metrics })
    }

    pub(super) async fn create_token(&self, caller: &Caller, words: NewTokenWords) -> Result<Issued, Error> {
        let (draft, secret) = self.draft(caller, words).await?;
        let token = self.committing.create(draft).await?;
        Ok(Issued { token: self.profiles.advise(token), secret })
    }

    pub(super) async fn regenerate_token(
        &self,
        caller: &Caller,
        regeneration: Regeneration,
    ) -> Result<Issued, Error> {
        let Regeneration { id, precondition, initiator, expiry, overlap } = regeneration;
        let initiator = caller.on_behalf_of(initiator)?;
        let seen = known_to(caller, id, tokens::find(&mut self.store.connection().await?, id).await?)?;
        require_regenerable(caller, &seen, &precondition, expiry)?;
        let mut connection = self.store.connection().await?;
        let workspace = workspace(&mut connection, &seen.workspace).await?;
        if let Some(name) = &workspace.profile {
            let profile = self.profiles.now(&mut connection, name).await?;
            let forbidden = profile.forbids_regenerating(expiry);
            forbidden.map_or(Ok(()), |forbidden| Err(Error::ProfileForbids(vec![forbidden])))?;
        }
        drop(connection);
        // Hashed before the transaction, which holds locks. If another regenerates meanwhile, the generation has moved
        // on, and of the two only the one that committed first has issued a secret.
        let (issued, secret) = self.issue(&workspace.token_prefix, id).await?;
        let sealed = caller.intention().map(|intention| intention.seal(&issued)).transpose()?;
        let action = Action::ReplaceSecret { seen: seen.generation, secret, expiry, sealed, overlap };
        let caller = caller.clone();
        let (profile, limits, awaited) = (None, workspace.limits, false);
        let mutation =
            Mutation { token: id, caller, initiator, profile, limits, precondition, action, awaited };
        let token = self.committing.commit(mutation).await?.token;
        Ok(Issued { token: self.profiles.advise(token), secret: issued })
    }

    /// A new secret under the minting key, and what is kept of it.
    pub(super) async fn issue(
        &self,
        prefix: &TokenPrefix,
        id: TokenId,
    ) -> Result<(IssuedSecret, NewSecret), Error> {
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

pub(super) async fn workspace(connection: &mut Connection, id: &WorkspaceId) -> Result<Workspace, Error> {
    let found = workspaces::find(connection, id).await?;
    found.ok_or_else(|| Error::WorkspaceNotFound(id.clone()))
}
