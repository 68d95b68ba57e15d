//! Answers of `PrincipalService`.

use super::{external_id, scopes, token};
use crate::principal::Principal;
use crate::profile::PrincipalKind;
use crate::proto::v1;
use crate::service::{Deleted, Issued, Page};
use crate::text::Handle;

pub(in crate::rpc) fn principal(principal: Principal) -> v1::Principal {
    let etag = principal.etag().as_str().to_owned();
    v1::Principal {
        workspace: principal.workspace.to_string(),
        id: principal.id.into_string(),
        kind: kind(principal.kind).into(),
        name: principal.name.into_string(),
        handle: principal.handle.map(Handle::into_string).unwrap_or_default(),
        external_id: external_id(principal.external_id),
        scopes: scopes(principal.scopes.iter()),
        disabled: principal.disabled,
        create_time: Some(principal.create_time.into()),
        update_time: Some(principal.update_time.into()),
        revision: principal.revision.0,
        etag,
        creator: principal.creator.into_string(),
    }
}

const fn kind(kind: PrincipalKind) -> v1::PrincipalKind {
    match kind {
        PrincipalKind::User => v1::PrincipalKind::User,
        PrincipalKind::ServiceAccount => v1::PrincipalKind::ServiceAccount,
    }
}

pub(in crate::rpc) fn created(created: Principal, issued: Option<Issued>) -> v1::CreatePrincipalResponse {
    let (token, secret) =
        issued.map(|issued| (token(issued.token), issued.secret.expose().to_owned())).unzip();
    let secret = secret.unwrap_or_default();
    v1::CreatePrincipalResponse { principal: Some(principal(created)), token, secret }
}

pub(in crate::rpc) fn page(page: Page<Principal>) -> v1::ListPrincipalsResponse {
    let principals = page.items.into_iter().map(principal).collect();
    v1::ListPrincipalsResponse { principals, next_page_token: page.next.unwrap_or_default() }
}

pub(in crate::rpc) fn deleted(deleted: &Deleted) -> v1::DeletePrincipalResponse {
    v1::DeletePrincipalResponse {
        token_count: deleted.token_count,
        revision: deleted.revision.0,
        fleet_confirmed: deleted.everywhere,
    }
}
