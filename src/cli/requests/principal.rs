//! Requests about principals.

use super::token::with_power;
use super::{mask, principal_kind, request_id, wait};
use crate::proto::v1;
use crate::proto::v1::delete_principal_request::Tokens;
use crate::proto::v1::get_principal_request::Key;
use crate::settings::client::principal::{Create, Delete, Edit, Show};

pub(in crate::cli) fn create(said: &Create) -> v1::CreatePrincipalRequest {
    let principal = v1::Principal {
        workspace: said.workspace.workspace.clone(),
        id: said.id.clone(),
        kind: principal_kind(Some(said.kind)),
        name: said.name.clone().unwrap_or_else(|| said.id.clone()),
        handle: said.handle.clone(),
        external_id: said.external_id,
        scopes: said.principal_scopes.clone(),
        disabled: said.disabled,
        ..Default::default()
    };
    let named = |name: &String| v1::CreateTokenRequest { name: name.clone(), ..with_power(&said.power) };
    v1::CreatePrincipalRequest {
        principal: Some(principal),
        token: said.token.as_ref().map(named),
        initiator: said.behalf.initiator.clone(),
        request_id: request_id(),
    }
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
        update_mask,
        initiator: said.behalf.initiator.clone(),
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
        initiator: said.behalf.initiator.clone(),
        wait: wait(said.waiting.wait),
        request_id: request_id(),
        tokens: handed_over.or_else(|| Some(Tokens::RevokeReason(said.reason.clone()))),
    }
}
