//! Requests about principals.

use super::{duration, mask, principal_kind, request_id, token_type, wait};
use crate::proto::v1;
use crate::proto::v1::create_token_request::Expiration;
use crate::proto::v1::delete_principal_request::Tokens;
use crate::proto::v1::get_principal_request::Key;
use crate::settings::client::principal::{Create, Delete, Edit, FirstToken, Show};

pub(in crate::cli) fn create(said: &Create) -> v1::CreatePrincipalRequest {
    let principal = v1::Principal {
        workspace: said.workspace.workspace.clone(),
        id: said.id.clone(),
        kind: principal_kind(Some(said.kind)),
        name: said.name.clone().unwrap_or_else(|| said.id.clone()),
        handle: said.handle.clone(),
        external_id: said.external_id,
        scopes: said.scopes.clone(),
        disabled: said.disabled,
        ..Default::default()
    };
    v1::CreatePrincipalRequest {
        principal: Some(principal),
        token: first_token(&said.first),
        initiator: said.behalf.initiator(),
        request_id: request_id(),
    }
}

fn first_token(said: &FirstToken) -> Option<v1::CreateTokenRequest> {
    let never = said.token_never_expires.then_some(Expiration::NeverExpires(true));
    let lifetime = said.token_lifetime.map(|lifetime| Expiration::Lifetime(duration(lifetime)));
    Some(v1::CreateTokenRequest {
        name: said.token.clone()?,
        scopes: said.token_scopes.clone(),
        r#type: token_type(said.token_type),
        expiration: lifetime.or(never),
        ..Default::default()
    })
}

pub(in crate::cli) fn get(said: &Show) -> v1::GetPrincipalRequest {
    let id = said.id.clone().map(Key::Id);
    let handle = said.handle.clone().map(Key::Handle);
    let key = id.or(handle).or(said.external_id.map(Key::ExternalId));
    v1::GetPrincipalRequest { workspace: said.workspace.workspace.clone(), key }
}

pub(in crate::cli) fn edit(said: &Edit) -> v1::UpdatePrincipalRequest {
    let principal = v1::Principal {
        workspace: said.workspace.workspace.clone(),
        id: said.id.clone(),
        name: said.name.clone().unwrap_or_default(),
        handle: said.handle.clone().unwrap_or_default(),
        scopes: said.scopes.clone(),
        disabled: said.disable,
        etag: said.etag.etag.clone().unwrap_or_default(),
        ..Default::default()
    };
    let update_mask = mask([
        ("name", said.name.is_some()),
        ("handle", said.handle.is_some()),
        ("scopes", said.no_scopes || !said.scopes.is_empty()),
        ("disabled", said.disable || said.enable),
    ]);
    v1::UpdatePrincipalRequest {
        principal: Some(principal),
        update_mask: Some(update_mask),
        initiator: said.behalf.initiator(),
        wait: wait(said.waiting.wait),
        request_id: request_id(),
    }
}

pub(in crate::cli) fn delete(said: &Delete) -> v1::DeletePrincipalRequest {
    let handed_over = said.hand_over_to.clone().map(Tokens::HandOverTo);
    v1::DeletePrincipalRequest {
        workspace: said.workspace.workspace.clone(),
        id: said.id.clone(),
        etag: said.etag.etag.clone().unwrap_or_default(),
        initiator: said.behalf.initiator(),
        wait: wait(said.waiting.wait),
        request_id: request_id(),
        tokens: handed_over.or_else(|| Some(Tokens::RevokeReason(said.reason.clone()))),
    }
}
