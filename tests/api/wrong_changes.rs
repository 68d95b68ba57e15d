//! Wrong requests that change tokens, judge, watch, or touch workspaces, each with the refusal it deserves.

use prost_types::{FieldMask, Timestamp};
use tokenkeep::proto::v1;
use tonic::Code;

use crate::calls::Call;
use crate::clients::refused;
use crate::wrong_tokens::{NOWHERE, Row, field};

fn update(id: &str, change: impl FnOnce(&mut v1::Token), paths: &[&str]) -> Call {
    let mut token = v1::Token { id: id.to_owned(), ..Default::default() };
    change(&mut token);
    let mask = FieldMask { paths: paths.iter().map(ToString::to_string).collect() };
    Call::UpdateToken(v1::UpdateTokenRequest {
        token: Some(token),
        update_mask: Some(mask),
        ..Default::default()
    })
}

fn regenerate(id: &str, etag: &str) -> Call {
    let (id, etag) = (id.to_owned(), etag.to_owned());
    Call::RegenerateToken(v1::RegenerateTokenRequest { id, etag, ..Default::default() })
}

fn revoke(id: &str, change: impl FnOnce(&mut v1::RevokeTokenRequest)) -> Call {
    let mut request = v1::RevokeTokenRequest { id: id.to_owned(), ..Default::default() };
    change(&mut request);
    Call::RevokeToken(request)
}

pub fn edits(live: &str, dead: &str) -> Vec<Row> {
    let stale = || refused(Code::Aborted, "ETAG_MISMATCH");
    let missing = || refused(Code::NotFound, "TOKEN_NOT_FOUND");
    let past = Some(Timestamp { seconds: 1_000_000_000, nanos: 0 });
    let nothing = Call::UpdateToken(v1::UpdateTokenRequest::default());
    vec![
        ("an edit of no token", nothing, field("token")),
        ("an edit without an id", update("", |_| {}, &["description"]), field("token.id")),
        ("an edit of a token that is not there", update(NOWHERE, |_| {}, &["description"]), missing()),
        ("an edit of an unknown field", update(live, |_| {}, &["secret"]), field("update_mask.paths[0]")),
        ("an edit of what cannot be edited", update(live, |_| {}, &["state"]), field("update_mask.paths[0]")),
        (
            "an edit of more fields than there are",
            update(live, |_| {}, &["name"; 5_000]),
            field("update_mask.paths"),
        ),
        ("an edit of all and one more", update(live, |_| {}, &["*", "name"]), field("update_mask.paths[0]")),
        ("an edit that empties the name", update(live, |_| {}, &["name"]), field("token.name")),
        (
            "an edit to a wrong scope",
            update(live, |t| t.scopes = vec!["*:a".into()], &["scopes"]),
            field("token.scopes[0]"),
        ),
        (
            "an edit to an expiry in the past",
            update(live, |t| t.expire_time = past, &["expire_time"]),
            field("token.expire_time"),
        ),
        ("an edit with a stale etag", update(live, |t| t.etag = "r77".into(), &["description"]), stale()),
        (
            "an edit of a revoked token",
            update(dead, |t| t.name = "new".into(), &["name"]),
            refused(Code::FailedPrecondition, "TOKEN_REVOKED"),
        ),
    ]
}

pub fn changes(live: &str, dead: &str) -> Vec<Row> {
    let stale = || refused(Code::Aborted, "ETAG_MISMATCH");
    let missing = || refused(Code::NotFound, "TOKEN_NOT_FOUND");
    vec![
        ("a regenerate without an etag", regenerate(live, ""), field("etag")),
        ("a regenerate with a stale etag", regenerate(live, "r77"), stale()),
        ("a regenerate without an id", regenerate("", "*"), field("id")),
        ("a regenerate of a token that is not there", regenerate(NOWHERE, "*"), missing()),
        (
            "a regenerate of a revoked token",
            regenerate(dead, "*"),
            refused(Code::FailedPrecondition, "TOKEN_REVOKED"),
        ),
        ("a revoke without an id", revoke("", |_| {}), field("id")),
        ("a revoke of a token that is not there", revoke(NOWHERE, |_| {}), missing()),
        ("a revoke with a stale etag", revoke(live, |r| r.etag = "r77".into()), stale()),
        ("a revoke with too long a reason", revoke(live, |r| r.reason = "x".repeat(257)), field("reason")),
        ("a revoke for a reason of two lines", revoke(live, |r| r.reason = "a\nb".into()), field("reason")),
        (
            "a revoke by an initiator too long",
            revoke(live, |r| r.initiator = "x".repeat(257)),
            field("initiator"),
        ),
    ]
}

fn introspect(change: impl FnOnce(&mut v1::IntrospectTokenRequest)) -> Call {
    let mut request = v1::IntrospectTokenRequest { token: "presented".to_owned(), ..Default::default() };
    change(&mut request);
    Call::IntrospectToken(request)
}

pub fn watch(workspace: &str, cursor: &str) -> Call {
    let (workspace, cursor) = (workspace.to_owned(), cursor.to_owned());
    Call::WatchRevocations(v1::WatchRevocationsRequest { workspace, cursor })
}

pub fn judgements() -> Vec<Row> {
    let many = || vec!["a".to_owned(); 65];
    vec![
        ("an introspection of nothing", introspect(|r| r.token.clear()), field("token")),
        ("an introspection in no workspace", introspect(|r| r.workspace = "A".into()), field("workspace")),
        (
            "an empty required scope",
            introspect(|r| r.required_scopes = vec![String::new()]),
            field("required_scopes[0]"),
        ),
        (
            "a wrong required scope",
            introspect(|r| r.required_scopes = vec!["a*".into()]),
            field("required_scopes[0]"),
        ),
        ("too many required scopes", introspect(|r| r.required_scopes = many()), field("required_scopes")),
        ("a watch of a wrong workspace", watch("A", ""), field("workspace")),
        (
            "a watch of a workspace that is not there",
            watch("nowhere", ""),
            refused(Code::NotFound, "WORKSPACE_NOT_FOUND"),
        ),
        ("a watch from nonsense", watch("", "nonsense"), refused(Code::InvalidArgument, "INVALID_CURSOR")),
        ("a watch from one character", watch("", "0"), refused(Code::InvalidArgument, "INVALID_CURSOR")),
    ]
}

fn workspace(id: &str, name: &str, prefix: &str) -> v1::Workspace {
    v1::Workspace { id: id.into(), name: name.into(), token_prefix: prefix.into(), ..Default::default() }
}

pub fn workspaces() -> Vec<Row> {
    let new = |id, name, prefix| {
        let workspace = Some(workspace(id, name, prefix));
        Call::CreateWorkspace(v1::CreateWorkspaceRequest { workspace, ..Default::default() })
    };
    let edit = |workspace: v1::Workspace, paths: &[&str]| {
        let paths = paths.iter().map(ToString::to_string).collect();
        let (workspace, update_mask) = (Some(workspace), Some(FieldMask { paths }));
        Call::UpdateWorkspace(v1::UpdateWorkspaceRequest { workspace, update_mask, ..Default::default() })
    };
    let get = |id: &str| Call::GetWorkspace(v1::GetWorkspaceRequest { id: id.to_owned() });
    let stale = v1::Workspace { etag: "v9".into(), ..workspace("acme", "new", "") };
    let missing = || refused(Code::NotFound, "WORKSPACE_NOT_FOUND");
    vec![
        (
            "no workspace to create",
            Call::CreateWorkspace(v1::CreateWorkspaceRequest::default()),
            field("workspace"),
        ),
        ("a workspace without an id", new("", "n", ""), field("workspace.id")),
        ("a workspace beginning with a digit", new("1st", "n", ""), field("workspace.id")),
        ("a workspace without a name", new("fresh", "", ""), field("workspace.name")),
        ("a prefix too long", new("fresh", "n", "ninechars"), field("workspace.token_prefix")),
        ("a prefix ending in an underscore", new("fresh", "n", "sk_"), field("workspace.token_prefix")),
        ("a prefix with two underscores", new("fresh", "n", "s__k"), field("workspace.token_prefix")),
        ("a prefix in capitals", new("fresh", "n", "SK"), field("workspace.token_prefix")),
        (
            "a workspace that is there already",
            new("acme", "n", ""),
            refused(Code::AlreadyExists, "WORKSPACE_EXISTS"),
        ),
        ("no workspace to read", get(""), field("id")),
        ("a workspace to read that is not there", get("nowhere"), missing()),
        (
            "no workspace to edit",
            Call::UpdateWorkspace(v1::UpdateWorkspaceRequest::default()),
            field("workspace"),
        ),
        ("a workspace to edit that is not there", edit(workspace("nowhere", "n", ""), &["name"]), missing()),
        (
            "an edit of a workspace's id",
            edit(workspace("acme", "n", ""), &["id"]),
            field("update_mask.paths[0]"),
        ),
        (
            "an edit that empties its name",
            edit(workspace("acme", "", ""), &["name"]),
            field("workspace.name"),
        ),
        ("an edit of a workspace as it was", edit(stale, &["name"]), refused(Code::Aborted, "ETAG_MISMATCH")),
    ]
}
