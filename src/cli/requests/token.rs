//! Requests that issue, find and edit tokens.

use std::collections::BTreeMap;

use super::{duration, mask, principal_kind, request_id, timestamp, token_type};
use crate::proto::v1;
use crate::proto::v1::create_token_request::Expiration as CreateExpiration;
use crate::settings::client::token::{Create, Edit, Expiration, Filter};
use crate::settings::client::{Label, State};

pub(in crate::cli) fn create(said: &Create) -> v1::CreateTokenRequest {
    v1::CreateTokenRequest {
        workspace: said.workspace.workspace.clone(),
        name: said.name.clone(),
        description: said.description.clone(),
        principal: said.principal.clone(),
        initiator: said.behalf.initiator(),
        metadata: labels(&said.labels),
        scopes: said.power.scopes.clone(),
        r#type: token_type(said.power.kind),
        audiences: said.power.audiences.clone(),
        allowed_cidrs: said.power.allowed_cidrs.clone(),
        expiration: expiration(&said.power.expiration),
        request_id: request_id(),
    }
}

fn expiration(said: &Expiration) -> Option<CreateExpiration> {
    let never = said.never_expires.then_some(CreateExpiration::NeverExpires(true));
    let lifetime = said.lifetime.map(|lifetime| CreateExpiration::Lifetime(duration(lifetime)));
    let moment = said.expire_time.map(|moment| CreateExpiration::ExpireTime(timestamp(moment)));
    lifetime.or(moment).or(never)
}

fn labels(labels: &[Label]) -> BTreeMap<String, String> {
    labels.iter().map(|label| (label.key.clone(), label.value.clone())).collect()
}

pub(in crate::cli) fn edit(said: &Edit) -> v1::UpdateTokenRequest {
    let token = v1::Token {
        id: said.id.clone(),
        name: said.name.clone().unwrap_or_default(),
        description: said.description.clone().unwrap_or_default(),
        r#type: token_type(said.kind),
        scopes: said.scopes.clone(),
        audiences: said.audiences.clone(),
        allowed_cidrs: said.allowed_cidrs.clone(),
        metadata: labels(&said.labels),
        expire_time: said.expire_time.map(timestamp),
        etag: said.etag.etag.clone().unwrap_or_default(),
        ..Default::default()
    };
    let update_mask = mask([
        ("name", said.name.is_some()),
        ("description", said.description.is_some()),
        ("type", said.kind.is_some()),
        ("scopes", said.no_scopes || !said.scopes.is_empty()),
        ("audiences", said.no_audiences || !said.audiences.is_empty()),
        ("allowed_cidrs", said.no_allowed_cidrs || !said.allowed_cidrs.is_empty()),
        ("metadata", said.no_labels || !said.labels.is_empty()),
        ("expire_time", said.never_expires || said.expire_time.is_some()),
    ]);
    let initiator = said.behalf.initiator();
    v1::UpdateTokenRequest {
        token: Some(token),
        update_mask: Some(update_mask),
        initiator,
        request_id: request_id(),
    }
}

pub(in crate::cli) fn filter(said: &Filter) -> v1::TokenFilter {
    v1::TokenFilter {
        states: said.states.iter().map(|state| token_state(*state)).collect(),
        principal: said.principal.clone().unwrap_or_default(),
        name_prefix: said.name_prefix.clone().unwrap_or_default(),
        scope: said.scope.clone().unwrap_or_default(),
        expiring_within: said.expiring_within.map(duration),
        unused_since: said.unused_since.map(timestamp),
        never_used: said.never_used,
        principal_kind: principal_kind(said.principal_kind),
        creator: said.creator.clone().unwrap_or_default(),
        r#type: token_type(said.kind),
        created_since: said.created_since.map(timestamp),
        created_before: said.created_before.map(timestamp),
        rotation_due: said.rotation_due,
        superseded_use_since: said.superseded_use_since.map(timestamp),
    }
}

/// Whether a filter leaves any token out.
pub(in crate::cli) fn is_narrow(filter: &v1::TokenFilter) -> bool {
    *filter != v1::TokenFilter::default()
}

fn token_state(state: State) -> i32 {
    let state = match state {
        State::Active => v1::TokenState::Active,
        State::Expired => v1::TokenState::Expired,
        State::Revoked => v1::TokenState::Revoked,
        State::Invalidated => v1::TokenState::Invalidated,
        State::Suspended => v1::TokenState::Suspended,
    };
    state.into()
}
