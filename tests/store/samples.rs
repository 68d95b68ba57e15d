//! Tokens to try things with.

use std::time::{Duration, SystemTime};

use tokenkeep::hash::SecretHash;
use tokenkeep::principal::NewPrincipal;
use tokenkeep::profile::{PrincipalKind, TokenType};
use tokenkeep::revocation::{Change, NewEvent, TokenChange};
use tokenkeep::store::servers::{self, ServerId};
use tokenkeep::store::tokens::{self, Locked, NewSecret, NewToken, Replacement, Revocation};
use tokenkeep::store::{Store, StoreError, Transaction, log, principals};
use tokenkeep::text::{Description, Handle, Initiator, Metadata, Name, PrincipalId, Reason};
use tokenkeep::token::{Audiences, Cidrs, Expiry, Generation, Kid, Scope, ScopeSet, Tag, Token, TokenId};
use tokenkeep::uses::{Report, Use, Used};
use tokenkeep::workspace::{Limits, NewWorkspace, SupersededUse, TokenPrefix, WorkspaceId};
use uuid::Uuid;

pub(crate) fn workspace(id: &str) -> WorkspaceId {
    WorkspaceId::parse(id.to_owned()).unwrap()
}

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text.to_owned()).unwrap()
}

pub(crate) fn prefix(text: &str) -> TokenPrefix {
    TokenPrefix::parse(text.to_owned()).unwrap()
}

pub(crate) fn scopes(texts: &[&str]) -> ScopeSet {
    ScopeSet::new(texts.iter().map(|text| Scope::parse((*text).to_owned()).unwrap()).collect()).unwrap()
}

pub(crate) fn reason(text: &str) -> Reason {
    Reason::parse(text.to_owned()).unwrap()
}

pub(crate) fn secret(mark: u8) -> NewSecret {
    NewSecret {
        kid: Kid::FIRST,
        tag: Tag([mark; 8]),
        hash: SecretHash::from_phc(format!("$argon2id$v=19$m=64,t=1,p=1$c2FsdA${mark}")),
        obfuscated: "tk_...0000".to_owned(),
    }
}

/// A workspace that is like any other.
pub(crate) fn new_workspace(id: &str) -> NewWorkspace {
    NewWorkspace {
        id: workspace(id),
        name: name(id),
        token_prefix: prefix("tk"),
        profile: None,
        superseded_use: SupersededUse::Count,
        limits: Limits::default(),
    }
}

/// One use each of first secrets, by somebody who reports this once.
pub(crate) fn report(uses: &[(TokenId, SystemTime)]) -> Report<SystemTime> {
    let secret = Used::Live(Generation::FIRST);
    let uses = uses.iter().map(|(token, last)| Use { token: *token, secret, count: 1, last: *last });
    Report { reporter: Uuid::new_v4(), sequence: 1, uses: uses.collect() }
}

/// A new secret, and that the one before works on until then.
pub(crate) fn replacement(mark: u8, overlap_end: Option<SystemTime>) -> Replacement {
    Replacement { secret: secret(mark), expiry: None, overlap_end }
}

/// A token of the workspace `tokenkeep`, which is always there.
pub(crate) fn token() -> NewToken {
    NewToken {
        id: TokenId::generate(),
        workspace: workspace(WorkspaceId::SYSTEM),
        name: name("a token"),
        description: Description::parse("for\ntrying".to_owned()).unwrap(),
        principal: None,
        creator: Initiator::parse("somebody".to_owned()).unwrap(),
        token_type: TokenType::Custom,
        scopes: scopes(&["orders:read"]),
        audiences: Audiences::default(),
        allowed_cidrs: Cidrs::default(),
        external_id: None,
        metadata: Metadata::default(),
        expiry: Expiry::Never,
        secret: secret(1),
    }
}

/// A service account of the workspace `tokenkeep` that may do everything, which ids and handles name alike.
pub(crate) fn principal(id: &str) -> NewPrincipal {
    NewPrincipal {
        workspace: workspace(WorkspaceId::SYSTEM),
        id: PrincipalId::parse(id.to_owned()).unwrap(),
        kind: PrincipalKind::ServiceAccount,
        name: name("a principal"),
        handle: Some(Handle::parse(id.to_owned()).unwrap()),
        external_id: None,
        scopes: scopes(&["*"]),
        disabled: false,
    }
}

/// Adds a principal, and gives its id.
pub(crate) async fn enrol(store: &Store, principal: NewPrincipal) -> PrincipalId {
    let creator = Initiator::parse("somebody".to_owned()).unwrap();
    let mut connection = store.connection().await.unwrap();
    principals::insert(&mut connection, &principal, &creator).await.unwrap().unwrap().id
}

/// Adds a token in a transaction of its own.
pub(crate) async fn create(store: &Store, token: NewToken) -> Token {
    tokens::insert(&mut store.connection().await.unwrap(), token).await.unwrap().unwrap()
}

pub(crate) async fn find(store: &Store, id: TokenId) -> Option<Token> {
    tokens::find(&mut store.connection().await.unwrap(), id).await.unwrap()
}

pub(crate) fn event(token: TokenId, what: TokenChange) -> NewEvent {
    let (workspace, generation) = (workspace(WorkspaceId::SYSTEM), Generation::FIRST);
    happened(Change::Token { workspace, token, generation, what })
}

pub(crate) fn happened(change: Change) -> NewEvent {
    NewEvent { change, initiator: Initiator::parse("somebody".to_owned()).unwrap() }
}

/// Locks, logs and revokes, as a service does.
pub(crate) async fn revoke(store: &Store, id: TokenId) -> Token {
    let mut transaction = store.begin().await.unwrap();
    let revoked = revoke_in(&mut transaction, id).await;
    transaction.finish(revoked).await.unwrap()
}

async fn revoke_in(transaction: &mut Transaction, id: TokenId) -> Result<Token, StoreError> {
    let Locked { token, .. } = tokens::lock(transaction, &[id]).await?.pop().unwrap();
    let change = TokenChange::Revoked { reason: reason("lost") };
    let revision = log::append_all(transaction, vec![event(id, change)], false).await?.events[0].revision;
    let ended = vec![Revocation { token, reason: reason("lost"), revision }];
    Ok(tokens::revoke(transaction, ended).await?.pop().unwrap())
}

pub(crate) async fn enter(store: &Store, server: ServerId, lease: Duration) {
    let mut transaction = store.begin().await.unwrap();
    let entered = servers::register(&mut transaction, server, lease, &[Kid::FIRST]).await;
    transaction.finish(entered).await.unwrap();
}
