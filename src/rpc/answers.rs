//! From the words of the domain to the words of the wire.

pub(super) mod audit;
pub(super) mod edge;
pub(crate) mod encoded;
pub(super) mod introspection;
pub(super) mod principals;
pub(super) mod profiles;
pub(super) mod sidecars;

use std::time::{SystemTime, UNIX_EPOCH};

use prost_types::Timestamp;

use crate::profile::{Audience, TokenType};
use crate::proto::v1;
use crate::revocation::{Change, Event, TokenChange};
use crate::service::{BulkRevoked, Frame, Issued, Told};
use crate::text::PrincipalId;
use crate::token::{Cidr, ExternalId, PreviousSecret, Scope, Token, TokenState};
use crate::workspace::{Limits, SupersededUse, Workspace};

fn scopes<'scopes>(scopes: impl Iterator<Item = &'scopes Scope>) -> Vec<String> {
    scopes.map(ToString::to_string).collect()
}

pub(super) fn token(token: Token) -> v1::Token {
    let etag = token.etag().as_str().to_owned();
    let (revoke_time, revoke_reason) =
        token.ended.map(|ended| (ended.time, ended.reason.into_string())).unzip();
    let (suspend_time, suspend_reason) =
        token.suspended.map(|suspended| (suspended.time, suspended.reason.into_string())).unzip();
    v1::Token {
        id: token.id.to_string(),
        workspace: token.workspace.to_string(),
        name: token.name.into_string(),
        description: token.description.into_string(),
        principal: token.principal.map(PrincipalId::into_string).unwrap_or_default(),
        creator: token.creator.into_string(),
        scopes: scopes(token.scopes.iter()),
        metadata: token.metadata.into_entries(),
        expire_time: token.expire_time.map(Timestamp::from),
        create_time: Some(token.create_time.into()),
        update_time: Some(token.update_time.into()),
        last_use_time: token.last_use_time.map(Timestamp::from),
        use_count: token.use_count,
        superseded_use_count: token.superseded_use_count,
        superseded_use_time: token.superseded_use_time.map(Timestamp::from),
        revoke_time: revoke_time.map(Timestamp::from),
        revoke_reason: revoke_reason.unwrap_or_default(),
        suspend_time: suspend_time.map(Timestamp::from),
        suspend_reason: suspend_reason.unwrap_or_default(),
        state: token_state(token.state).into(),
        generation: token.generation.0,
        obfuscated_secret: token.obfuscated_secret,
        revision: token.revision.0,
        etag,
        r#type: token_type(token.token_type).into(),
        audiences: audiences(token.audiences.as_slice()),
        allowed_cidrs: token.allowed_cidrs.as_slice().iter().map(Cidr::to_string).collect(),
        rotation_due_time: token.rotation_due_time.map(Timestamp::from),
        external_id: external_id(token.external_id),
        previous_secret: token.previous_secret.map(previous_secret),
        ..v1::Token::default()
    }
}

fn previous_secret(previous: PreviousSecret) -> v1::PreviousSecret {
    v1::PreviousSecret {
        generation: previous.generation.0,
        obfuscated_secret: previous.obfuscated,
        expire_time: Some(previous.expire_time.into()),
        last_use_time: previous.last_use_time.map(Timestamp::from),
    }
}

fn audiences(audiences: &[Audience]) -> Vec<String> {
    audiences.iter().map(Audience::to_string).collect()
}

fn external_id(number: Option<ExternalId>) -> i64 {
    number.map_or(0, ExternalId::get)
}

const fn token_type(token_type: TokenType) -> v1::TokenType {
    match token_type {
        TokenType::ReadOnly => v1::TokenType::ReadOnly,
        TokenType::FullAccess => v1::TokenType::FullAccess,
        TokenType::Custom => v1::TokenType::Custom,
    }
}

const fn token_state(state: TokenState) -> v1::TokenState {
    match state {
        TokenState::Active => v1::TokenState::Active,
        TokenState::Expired => v1::TokenState::Expired,
        TokenState::Revoked => v1::TokenState::Revoked,
        TokenState::Invalidated => v1::TokenState::Invalidated,
        TokenState::Suspended => v1::TokenState::Suspended,
    }
}

pub(super) fn created(issued: Issued) -> v1::CreateTokenResponse {
    let secret = issued.secret.expose().to_owned();
    v1::CreateTokenResponse { token: Some(token(issued.token)), secret }
}

pub(super) fn regenerated(issued: Issued) -> v1::RegenerateTokenResponse {
    let secret = issued.secret.expose().to_owned();
    v1::RegenerateTokenResponse { token: Some(token(issued.token)), secret }
}

/// Whole seconds, rounded down; no token is older than 1970.
fn unix_seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

pub(super) fn frame(frame: &Frame, cursor: String) -> v1::WatchRevocationsResponse {
    use v1::watch_revocations_response::Frame as Wire;
    let told = match &frame.told {
        Told::Event(event) => Wire::Event(revocation(event)),
        Told::Progress { confirmed } => Wire::Progress(v1::Progress { confirmed: *confirmed }),
    };
    v1::WatchRevocationsResponse { frame: Some(told), cursor, revision: frame.position.revision.0 }
}

fn revocation(event: &Event) -> v1::RevocationEvent {
    use v1::RevocationKind as Kind;
    let change = &event.event.change;
    let mut told = v1::RevocationEvent {
        workspace: change.workspace().map(ToString::to_string).unwrap_or_default(),
        initiator: event.event.initiator.to_string(),
        event_time: Some(event.time.into()),
        ..v1::RevocationEvent::default()
    };
    let kind = match change {
        Change::Token { token, generation, what, .. } => {
            (told.token_id, told.generation) = (token.to_string(), generation.0);
            token_change(what, &mut told)
        }
        Change::PrincipalChanged { principal, .. } => {
            told.principal = principal.to_string();
            Kind::PrincipalChanged
        }
        Change::WorkspaceInvalidated { reason, .. } => {
            told.reason = reason.to_string();
            Kind::WorkspaceInvalidated
        }
        Change::BulkRevoked { reason, .. } => {
            told.reason = reason.to_string();
            told.token_ids = change.tokens().iter().map(ToString::to_string).collect();
            Kind::BulkRevoked
        }
        Change::WorkspaceUpdated { .. } => Kind::WorkspaceUpdated,
        Change::ProfileUpdated { profile } => {
            told.profile = profile.to_string();
            Kind::ProfileUpdated
        }
        Change::KeyRetired { kid } => {
            told.kid = kid.to_string();
            Kind::KeyRetired
        }
    };
    told.set_kind(kind);
    told
}

fn token_change(what: &TokenChange, told: &mut v1::RevocationEvent) -> v1::RevocationKind {
    match what {
        TokenChange::Revoked { reason } => {
            told.reason = reason.to_string();
            v1::RevocationKind::Revoked
        }
        TokenChange::SecretReplaced { overlap_end } => {
            told.overlap_end_time = overlap_end.map(Timestamp::from);
            v1::RevocationKind::SecretReplaced
        }
        TokenChange::Updated => v1::RevocationKind::Updated,
        TokenChange::Suspended { reason } => {
            told.reason = reason.to_string();
            v1::RevocationKind::Suspended
        }
        TokenChange::Resumed => v1::RevocationKind::Resumed,
    }
}

pub(super) fn workspace(workspace: Workspace) -> v1::Workspace {
    let etag = workspace.etag().as_str().to_owned();
    v1::Workspace {
        id: workspace.id.to_string(),
        name: workspace.name.into_string(),
        token_prefix: workspace.token_prefix.as_str().to_owned(),
        create_time: Some(workspace.create_time.into()),
        update_time: Some(workspace.update_time.into()),
        etag,
        profile: workspace.profile.as_ref().map(ToString::to_string).unwrap_or_default(),
        revision: workspace.revision.0,
        superseded_use: superseded_use(workspace.superseded_use).into(),
        limits: limits(workspace.limits),
    }
}

const fn superseded_use(then: SupersededUse) -> v1::SupersededUse {
    match then {
        SupersededUse::Count => v1::SupersededUse::Count,
        SupersededUse::Revoke => v1::SupersededUse::Revoke,
    }
}

fn limits(limits: Limits) -> Option<v1::WorkspaceLimits> {
    let told = v1::WorkspaceLimits {
        max_tokens: limits.tokens.unwrap_or_default(),
        max_tokens_per_principal: limits.tokens_per_principal.unwrap_or_default(),
        max_lifetime: limits.lifetime.and_then(|lifetime| lifetime.try_into().ok()),
        max_issues_per_minute: limits.issues_per_minute.unwrap_or_default(),
    };
    Some(told).filter(|_| limits != Limits::default())
}

pub(super) fn bulk_revoked(revoked: BulkRevoked) -> v1::BulkRevokeTokensResponse {
    v1::BulkRevokeTokensResponse {
        token_count: revoked.token_count,
        sample: revoked.sample.into_iter().map(token).collect(),
        revision: revoked.revision.0,
        fleet_confirmed: revoked.everywhere,
    }
}
