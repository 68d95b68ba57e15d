//! Requests of `WorkspaceService`.

use super::{Fields, mask, precondition};
use crate::profile::ProfileName;
use crate::proto::v1;
use crate::service::{Error, WorkspacePageRequest};
use crate::text::{Initiator, Invalid, Name, Reason};
use crate::workspace::{Invalidation, NewWorkspace, SupersededUse, TokenPrefix, WorkspaceEdit, WorkspaceId};

pub(in crate::rpc) fn create_workspace(request: v1::CreateWorkspaceRequest) -> Result<NewWorkspace, Error> {
    let mut fields = Fields::default();
    let Some(workspace) = request.workspace else { return Err(Error::field("workspace", Invalid::Missing)) };
    let id = fields.take("workspace.id", WorkspaceId::parse(workspace.id));
    let name = fields.take("workspace.name", Name::parse(workspace.name));
    let prefix = fields.optional("workspace.token_prefix", workspace.token_prefix, TokenPrefix::parse);
    let profile = fields.optional("workspace.profile", workspace.profile, ProfileName::parse);
    let superseded_use = superseded_use(&mut fields, workspace.superseded_use);
    let words = || {
        let (token_prefix, superseded_use) = (prefix?.unwrap_or_default(), superseded_use?);
        Some(NewWorkspace { id: id?, name: name?, token_prefix, profile: profile?, superseded_use })
    };
    fields.finish(words())
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

const WORKSPACE_PATHS: [&str; 4] = ["name", "token_prefix", "profile", "superseded_use"];

pub(in crate::rpc) fn update_workspace(request: v1::UpdateWorkspaceRequest) -> Result<WorkspaceEdit, Error> {
    let mut fields = Fields::default();
    let Some(workspace) = request.workspace else { return Err(Error::field("workspace", Invalid::Missing)) };
    let id = fields.take("workspace.id", WorkspaceId::parse(workspace.id));
    let set = [
        ("name", &workspace.name),
        ("token_prefix", &workspace.token_prefix),
        ("profile", &workspace.profile),
    ];
    let mut set: Vec<&str> =
        set.into_iter().filter(|(_, text)| !text.is_empty()).map(|(path, _)| path).collect();
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
    let precondition = precondition(workspace.etag);
    let words = || {
        let id = id?;
        Some(WorkspaceEdit { id, precondition, name, token_prefix, profile, superseded_use })
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
