//! Requests of `WorkspaceService`.

use super::{Fields, mask, precondition};
use crate::profile::ProfileName;
use crate::proto::v1;
use crate::service::{Error, WorkspacePageRequest};
use crate::text::{Initiator, Invalid, Name, Reason};
use crate::workspace::{
    Invalidation, Limits, NewWorkspace, SupersededUse, TokenPrefix, WorkspaceEdit, WorkspaceId,
};

pub(in crate::rpc) fn create_workspace(request: v1::CreateWorkspaceRequest) -> Result<NewWorkspace, Error> {
    let mut fields = Fields::default();
    let Some(workspace) = request.workspace else { return Err(Error::field("workspace", Invalid::Missing)) };
    let id = fields.take("workspace.id", WorkspaceId::parse(workspace.id));
    let name = fields.take("workspace.name", Name::parse(workspace.name));
    let prefix = fields.optional("workspace.token_prefix", workspace.token_prefix, TokenPrefix::parse);
    let profile = fields.optional("workspace.profile", workspace.profile, ProfileName::parse);
    let superseded_use = superseded_use(&mut fields, workspace.superseded_use);
    let limits = limits(&mut fields, workspace.limits);
    let words = || {
        let (token_prefix, profile) = (prefix?.unwrap_or_default(), profile?);
        let (superseded_use, limits) = (superseded_use?, limits?);
        Some(NewWorkspace { id: id?, name: name?, token_prefix, profile, superseded_use, limits })
    };
    fields.finish(words())
}

/// Takes limits, of which 0 is none.
fn limits(fields: &mut Fields, wire: Option<v1::WorkspaceLimits>) -> Option<Limits> {
    let wire = wire.unwrap_or_default();
    let path = |field: &str| format!("workspace.limits.{field}");
    let tokens = fields.take(&path("max_tokens"), number_of_tokens(wire.max_tokens));
    let of_principal = number_of_tokens(wire.max_tokens_per_principal);
    let of_principal = fields.take(&path("max_tokens_per_principal"), of_principal);
    let lifetime = match wire.max_lifetime {
        Some(lifetime) => fields.duration(&path("max_lifetime"), lifetime).map(Some),
        None => Some(None),
    };
    let issues = match wire.max_issues_per_minute {
        0 => Ok(None),
        number if (1..=Limits::MOST_ISSUES).contains(&number) => Ok(Some(number)),
        _ => Err(Invalid::Malformed("from 1 to 1,000,000, or 0 for any number")),
    };
    let issues_per_minute = fields.take(&path("max_issues_per_minute"), issues);
    Some(Limits {
        tokens: tokens?,
        tokens_per_principal: of_principal?,
        lifetime: lifetime?,
        issues_per_minute: issues_per_minute?,
    })
}

fn number_of_tokens(number: i64) -> Result<Option<i64>, Invalid> {
    match number {
        0 => Ok(None),
        number if (1..=Limits::MOST_TOKENS).contains(&number) => Ok(Some(number)),
        _ => Err(Invalid::Malformed("from 1 to 1,000,000,000, or 0 for any number")),
    }
}

pub(in crate::rpc) fn get_workspace(request: v1::GetWorkspaceRequest) -> Result<WorkspaceId, Error> {
    WorkspaceId::parse(request.id).map_err(|invalid| Error::field("id", invalid))
}

pub(in crate::rpc) fn list_workspaces(
    request: v1::ListWorkspacesRequest,
) -> Result<WorkspacePageRequest, Error> {
    let mut fields = Fields::default();
    let size = fields.page_size(request.page_size);
    let after = Some(request.page_token).filter(|text| !text.is_empty());
    let words = || Some(WorkspacePageRequest { size: size?, after });
    fields.finish(words())
}

const WORKSPACE_PATHS: [&str; 5] = ["name", "token_prefix", "profile", "limits", "superseded_use"];

pub(in crate::rpc) fn update_workspace(request: v1::UpdateWorkspaceRequest) -> Result<WorkspaceEdit, Error> {
    let mut fields = Fields::default();
    let Some(workspace) = request.workspace else { return Err(Error::field("workspace", Invalid::Missing)) };
    let id = fields.take("workspace.id", WorkspaceId::parse(workspace.id));
    let set = [
        ("name", !workspace.name.is_empty()),
        ("token_prefix", !workspace.token_prefix.is_empty()),
        ("profile", !workspace.profile.is_empty()),
        ("limits", workspace.limits.is_some()),
    ];
    let mut set: Vec<&str> = set.into_iter().filter(|(_, set)| *set).map(|(path, _)| path).collect();
    set.extend((workspace.superseded_use != 0).then_some("superseded_use"));
    let paths = mask(&mut fields, request.update_mask, &WORKSPACE_PATHS, &set).unwrap_or_default();
    let mut edit = (None, None);
    if paths.contains(&"name") {
        edit.0 = fields.take("workspace.name", Name::parse(workspace.name));
    }
    if paths.contains(&"token_prefix") {
        edit.1 = fields.take("workspace.token_prefix", TokenPrefix::parse(workspace.token_prefix));
    }
    let (name, token_prefix) = edit;
    let named = paths.contains(&"profile").then_some(workspace.profile);
    let profile = named.and_then(|profile| fields.optional("workspace.profile", profile, ProfileName::parse));
    let named = paths.contains(&"superseded_use").then_some(workspace.superseded_use);
    let superseded_use = named.and_then(|then| superseded_use(&mut fields, then));
    let named = paths.contains(&"limits").then_some(workspace.limits);
    let limits = named.and_then(|wire| limits(&mut fields, wire));
    let precondition = precondition(workspace.etag);
    let words = || {
        let id = id?;
        Some(WorkspaceEdit { id, precondition, name, token_prefix, profile, superseded_use, limits })
    };
    fields.finish(words())
}

fn superseded_use(fields: &mut Fields, number: i32) -> Option<SupersededUse> {
    let then = match v1::SupersededUse::try_from(number) {
        Ok(v1::SupersededUse::Unspecified | v1::SupersededUse::Count) => Ok(SupersededUse::Count),
        Ok(v1::SupersededUse::Revoke) => Ok(SupersededUse::Revoke),
        Err(_) => Err(Invalid::Malformed("COUNT or REVOKE")),
    };
    fields.take("workspace.superseded_use", then)
}

pub(in crate::rpc) fn get_workspace_profile(
    request: v1::GetWorkspaceProfileRequest,
) -> Result<WorkspaceId, Error> {
    WorkspaceId::parse(request.id).map_err(|invalid| Error::field("id", invalid))
}

pub(in crate::rpc) fn invalidate_workspace(
    request: v1::InvalidateWorkspaceTokensRequest,
) -> Result<Invalidation, Error> {
    let mut fields = Fields::default();
    let id = fields.take("id", WorkspaceId::parse(request.id));
    let reason = fields.take("reason", Reason::parse(request.reason));
    let initiator = fields.optional("initiator", request.initiator, Initiator::parse);
    let awaited = fields.awaited(request.wait);
    let (dry_run, precondition) = (request.dry_run, precondition(request.etag));
    let words = || {
        let (id, reason, initiator) = (id?, reason?, initiator?);
        Some(Invalidation { id, dry_run, precondition, reason, initiator, awaited: awaited? })
    };
    fields.finish(words())
}
