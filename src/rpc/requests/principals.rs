//! Requests of `PrincipalService`.

use super::{Fields, create_token, mask, precondition};
use crate::principal::{Legacy, NewPrincipal, PrincipalChange, PrincipalEdit, PrincipalEnd, PrincipalKey};
use crate::profile::PrincipalKind;
use crate::proto::v1;
use crate::service::{Error, InvalidField, NewTokenWords, PrincipalPageRequest};
use crate::text::{Handle, Initiator, Invalid, Name, PrincipalId, Reason};
use crate::token::ExternalId;
use crate::workspace::WorkspaceId;

/// A new principal, possibly its first token, and on whose behalf.
pub(in crate::rpc) struct Creation {
    pub(in crate::rpc) principal: NewPrincipal,
    pub(in crate::rpc) token: Option<NewTokenWords>,
    pub(in crate::rpc) initiator: Option<Initiator>,
}

pub(in crate::rpc) fn create_principal(request: v1::CreatePrincipalRequest) -> Result<Creation, Error> {
    let mut fields = Fields::default();
    let Some(wire) = request.principal else { return Err(Error::field("principal", Invalid::Missing)) };
    let token = request.token.map(|token| first_token(token, &wire));
    let initiator = fields.optional("initiator", request.initiator, Initiator::parse);
    let principal = new_principal(&mut fields, wire);
    let words = || Some((principal?, initiator?));
    let (principal, initiator) = fields.finish(words())?;
    Ok(Creation { principal, token: token.transpose()?, initiator })
}

fn new_principal(fields: &mut Fields, wire: v1::Principal) -> Option<NewPrincipal> {
    let workspace = fields.take("principal.workspace", WorkspaceId::parse(wire.workspace));
    let id = fields.take("principal.id", PrincipalId::parse(wire.id));
    let kind = kind(fields, "principal.kind", wire.kind);
    if kind == Some(None) {
        fields.note("principal.kind", Invalid::Missing);
    }
    let name = fields.take("principal.name", Name::parse(wire.name));
    let handle = fields.optional("principal.handle", wire.handle, Handle::parse);
    let number = Some(wire.external_id).filter(|number| *number != 0);
    let external_id = fields.take("principal.external_id", number.map(ExternalId::parse).transpose());
    let scopes = fields.scopes("principal.scopes", wire.scopes);
    Some(NewPrincipal {
        workspace: workspace?,
        id: id?,
        kind: kind??,
        name: name?,
        handle: handle?,
        external_id: external_id?,
        scopes: scopes?,
        disabled: wire.disabled,
    })
}

/// The first token of a principal: what need not be said again is filled in, and nothing else may be said.
fn first_token(mut token: v1::CreateTokenRequest, principal: &v1::Principal) -> Result<NewTokenWords, Error> {
    for (path, said, meant) in [
        ("token.workspace", &mut token.workspace, &principal.workspace),
        ("token.principal", &mut token.principal, &principal.id),
    ] {
        if said.is_empty() {
            said.clone_from(meant);
        } else if said != meant {
            return Err(Error::field(path, Invalid::Malformed("that of the principal, or left out")));
        }
    }
    create_token(token).map_err(|error| within("token", error))
}

/// The same failure, told of a field within another.
fn within(outer: &str, error: Error) -> Error {
    let Error::InvalidFields(fields) = error else { return error };
    let inner = |field: InvalidField| InvalidField { path: format!("{outer}.{}", field.path), ..field };
    Error::InvalidFields(fields.into_iter().map(inner).collect())
}

#[expect(clippy::option_option, reason = "wrong, absent and there are three things")]
pub(super) fn kind(fields: &mut Fields, path: &str, kind: i32) -> Option<Option<PrincipalKind>> {
    let wanted = Invalid::Malformed("PRINCIPAL_KIND_USER or PRINCIPAL_KIND_SERVICE_ACCOUNT");
    let taken = match v1::PrincipalKind::try_from(kind) {
        Ok(v1::PrincipalKind::Unspecified) => Ok(None),
        Ok(v1::PrincipalKind::User) => Ok(Some(PrincipalKind::User)),
        Ok(v1::PrincipalKind::ServiceAccount) => Ok(Some(PrincipalKind::ServiceAccount)),
        Err(_) => Err(wanted),
    };
    fields.take(path, taken)
}

pub(in crate::rpc) fn get_principal(
    request: v1::GetPrincipalRequest,
) -> Result<(WorkspaceId, PrincipalKey), Error> {
    use v1::get_principal_request::Key;
    let mut fields = Fields::default();
    let workspace = fields.take("workspace", WorkspaceId::parse(request.workspace));
    let key = match request.key {
        None => fields.take("key", Err(Invalid::Missing)),
        Some(Key::Id(id)) => fields.take("id", PrincipalId::parse(id)).map(PrincipalKey::Id),
        Some(Key::Handle(handle)) => fields.take("handle", Handle::parse(handle)).map(PrincipalKey::Handle),
        Some(Key::ExternalId(number)) => {
            fields.take("external_id", ExternalId::parse(number)).map(PrincipalKey::ExternalId)
        }
    };
    let words = || Some((workspace?, key?));
    fields.finish(words())
}

pub(in crate::rpc) fn list_principals(
    request: v1::ListPrincipalsRequest,
) -> Result<PrincipalPageRequest, Error> {
    let mut fields = Fields::default();
    let workspace = fields.take("workspace", WorkspaceId::parse(request.workspace));
    let kind = kind(&mut fields, "kind", request.kind);
    let size = fields.page_size(request.page_size);
    let after = Some(request.page_token).filter(|text| !text.is_empty());
    let words = || Some(PrincipalPageRequest { workspace: workspace?, kind: kind?, size: size?, after });
    fields.finish(words())
}

const PATHS: [&str; 4] = ["name", "handle", "scopes", "disabled"];

pub(in crate::rpc) fn update_principal(
    request: v1::UpdatePrincipalRequest,
) -> Result<PrincipalChange, Error> {
    let mut fields = Fields::default();
    let Some(wire) = request.principal else { return Err(Error::field("principal", Invalid::Missing)) };
    let workspace = fields.take("principal.workspace", WorkspaceId::parse(wire.workspace.clone()));
    let id = fields.take("principal.id", PrincipalId::parse(wire.id.clone()));
    let initiator = fields.optional("initiator", request.initiator, Initiator::parse);
    let awaited = fields.awaited(request.wait);
    let precondition = precondition(wire.etag.clone());
    let set: Vec<&str> = PATHS.into_iter().filter(|path| is_set(&wire, path)).collect();
    let paths = mask(&mut fields, request.update_mask, &PATHS, &set);
    let edit = paths.and_then(|paths| principal_edit(&mut fields, wire, &paths));
    let words = || {
        let (workspace, id, edit) = (workspace?, id?, edit?);
        let (initiator, awaited) = (initiator?, awaited?);
        Some(PrincipalChange { workspace, id, precondition, edit, initiator, awaited })
    };
    fields.finish(words())
}

fn is_set(principal: &v1::Principal, path: &str) -> bool {
    match path {
        "name" => !principal.name.is_empty(),
        "handle" => !principal.handle.is_empty(),
        "scopes" => !principal.scopes.is_empty(),
        "disabled" => principal.disabled,
        _ => false,
    }
}

fn principal_edit(fields: &mut Fields, wire: v1::Principal, paths: &[&str]) -> Option<PrincipalEdit> {
    let mut edit = PrincipalEdit::default();
    if paths.contains(&"name") {
        edit.name = Some(fields.take("principal.name", Name::parse(wire.name))?);
    }
    if paths.contains(&"handle") {
        edit.handle = Some(fields.optional("principal.handle", wire.handle, Handle::parse)?);
    }
    if paths.contains(&"scopes") {
        edit.scopes = Some(fields.scopes("principal.scopes", wire.scopes)?);
    }
    if paths.contains(&"disabled") {
        edit.disabled = Some(wire.disabled);
    }
    Some(edit)
}

pub(in crate::rpc) fn delete_principal(request: v1::DeletePrincipalRequest) -> Result<PrincipalEnd, Error> {
    use v1::delete_principal_request::Tokens;
    let mut fields = Fields::default();
    let workspace = fields.take("workspace", WorkspaceId::parse(request.workspace));
    let id = fields.take("id", PrincipalId::parse(request.id));
    let legacy = match request.tokens {
        None => fields.take("tokens", Err(Invalid::Missing)),
        Some(Tokens::RevokeReason(reason)) => {
            fields.take("revoke_reason", Reason::parse(reason)).map(Legacy::Revoked)
        }
        Some(Tokens::HandOverTo(heir)) => {
            fields.take("hand_over_to", PrincipalId::parse(heir)).map(Legacy::HandedOver)
        }
    };
    let initiator = fields.optional("initiator", request.initiator, Initiator::parse);
    let (awaited, precondition) = (fields.awaited(request.wait), precondition(request.etag));
    let words = || {
        let (workspace, id, legacy) = (workspace?, id?, legacy?);
        let (initiator, awaited) = (initiator?, awaited?);
        Some(PrincipalEnd { workspace, id, precondition, legacy, initiator, awaited })
    };
    fields.finish(words())
}
