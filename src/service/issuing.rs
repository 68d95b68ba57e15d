//! Issuing secrets: for a new token, and anew for a token that is there.

use std::sync::Arc;

use tokio::time::Instant;

use super::committing::{Action, Committing, Mutation, require_custom, require_regenerable};
use super::keys::{KeyDirectory, KeysError};
use super::limiting::{find_room, require_lifetime};
use super::profiles::Profiles;
use super::tokens::known_to;
use super::{Caller, Error, Service, audit, retries};
use crate::audit::{Entry, Subject};
use crate::hash::Hasher;
use crate::keyring::Keyring;
use crate::metrics::{Argon2Purpose, Metrics};
use crate::principal::Principal;
use crate::profile::{Creation, Profile, TokenType};
use crate::store::tokens::{NewSecret, NewToken};
use crate::store::{self, Connection, Store, Transaction, principals, tokens, workspaces};
use crate::text::{Description, Initiator, Invalid, Metadata, Name, PrincipalId};
use crate::token::{
    Audiences, Cidrs, Expiry, Generation, IssuedSecret, Kid, Overlap, Precondition, ScopeSet, Secret, Token,
    TokenId, TokenState,
};
use crate::workspace::{Limits, TokenPrefix, Workspace, WorkspaceId};

/// What the audit calls it.
const CREATE_TOKEN: crate::audit::Action = crate::audit::Action::known("create_token");

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
        let draft = self.draft(caller, words).await?;
        let mut transaction = draft.begin(&self.store, caller).await?;
        let created = draft.insert_for_principal(&mut transaction, caller).await;
        let token = transaction.finish(created).await?;
        Ok(Issued { token: self.profiles.advise(token), secret: draft.issued })
    }

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
    async fn insert_for_principal(
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

async fn workspace(connection: &mut Connection, id: &WorkspaceId) -> Result<Workspace, Error> {
    let found = workspaces::find(connection, id).await?;
    found.ok_or_else(|| Error::WorkspaceNotFound(id.clone()))
}

/// The database's clock decides what is past, so a token is written first and refused if it was born expired.
fn still_to_come(token: Token, path: &str) -> Result<Token, Error> {
    if token.state == TokenState::Expired {
        return Err(Error::field(path, Invalid::Malformed("in the future")));
    }
    Ok(token)
}
