//! One right request of each RPC, on things of its own in a workspace with a profile.

use tempfile::TempDir;
use tokenkeep::proto::envoy::service::auth::v3::attribute_context::{HttpRequest, Request};
use tokenkeep::proto::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use tokenkeep::proto::v1;
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::calls::Call;
use crate::clients::Client;

/// A profile that allows everything.
const PROFILE: &str = r#"
name = "anything"
version = 1
title = "Anything"
tenancy_noun = "workspace"
[presentation]
header = "authorization"
scheme = "Bearer"
[[types]]
type = "custom"
label = "Custom"
[responses]
missing = { status = 401, headers = { www-authenticate = "Bearer" }, body = "" }
invalid = { status = 401, headers = { www-authenticate = "Bearer" }, body = "" }
forbidden = { status = 403, body = "" }
"#;

/// The directory with the profile that workspaces must have for every request to be right.
pub fn profiles() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("anything.toml"), PROFILE).unwrap();
    directory
}

/// Creates a workspace that has that profile.
pub async fn create_workspace(operator: &mut Client, id: &str) {
    let (id, name, profile) = (id.to_owned(), id.to_owned(), "anything".to_owned());
    let workspace = Some(v1::Workspace { id, name, profile, ..Default::default() });
    operator
        .workspaces
        .create_workspace(v1::CreateWorkspaceRequest { workspace, ..Default::default() })
        .await
        .unwrap();
}

/// A right request of an RPC.
pub async fn right_request(rpc: &str, workspace: &str, operator: &mut Client) -> Call {
    let of_workspace = of_workspace(rpc, workspace.to_owned());
    if let Some(call) = of_workspace {
        return call;
    }
    if rpc.ends_with("Principal") || rpc == "ListPrincipals" {
        return of_principal(rpc, workspace.to_owned(), operator).await;
    }
    let (token, secret) = operator.create_token(workspace, "target", &["articles:read"]).await;
    match of_token(rpc, token, &secret, workspace) {
        Ok(call) => call,
        Err(id) => of_sidecar(rpc, id, secret, operator).await,
    }
}

/// On a workspace, or on nothing.
fn of_workspace(rpc: &str, workspace: String) -> Option<Call> {
    let named =
        |id: String, name: &str| Some(v1::Workspace { id, name: name.to_owned(), ..Default::default() });
    Some(match rpc {
        "CreateToken" => {
            let name = "new".to_owned();
            Call::CreateToken(v1::CreateTokenRequest { workspace, name, ..Default::default() })
        }
        "ListAuditEvents" => {
            Call::ListAuditEvents(v1::ListAuditEventsRequest { workspace, ..Default::default() })
        }
        "ListTokens" => Call::ListTokens(v1::ListTokensRequest { workspace, ..Default::default() }),
        "CountTokens" => Call::CountTokens(v1::CountTokensRequest { workspace, ..Default::default() }),
        "BulkRevokeTokens" => {
            let filter = Some(v1::TokenFilter::default());
            let dry = v1::BulkRevokeTokensRequest { workspace, filter, dry_run: true, ..Default::default() };
            Call::BulkRevokeTokens(dry)
        }
        "RevokeSecret" => {
            let secrets = vec!["no secret of ours".to_owned()];
            Call::RevokeSecret(v1::RevokeSecretRequest { secrets, ..Default::default() })
        }
        "WaitForRevision" => Call::WaitForRevision(v1::WaitForRevisionRequest { revision: 1 }),
        "WatchRevocations" => {
            Call::WatchRevocations(v1::WatchRevocationsRequest { workspace, ..Default::default() })
        }
        "CreateWorkspace" => {
            let workspace = named(format!("w-{}", Uuid::new_v4()), "fresh");
            Call::CreateWorkspace(v1::CreateWorkspaceRequest { workspace, ..Default::default() })
        }
        "GetWorkspace" => Call::GetWorkspace(v1::GetWorkspaceRequest { id: workspace }),
        "ListWorkspaces" => Call::ListWorkspaces(v1::ListWorkspacesRequest::default()),
        "UpdateWorkspace" => {
            let workspace = named(workspace, "renamed");
            Call::UpdateWorkspace(v1::UpdateWorkspaceRequest { workspace, ..Default::default() })
        }
        "InvalidateWorkspaceTokens" => {
            let dry =
                v1::InvalidateWorkspaceTokensRequest { id: workspace, dry_run: true, ..Default::default() };
            Call::InvalidateWorkspaceTokens(dry)
        }
        "GetWorkspaceProfile" => Call::GetWorkspaceProfile(v1::GetWorkspaceProfileRequest { id: workspace }),
        _ => return None,
    })
}

async fn of_principal(rpc: &str, workspace: String, operator: &mut Client) -> Call {
    let id = Uuid::new_v4().to_string();
    let principal = operator.create_principal(&workspace, &id, &["articles:read"]).await;
    let renamed = v1::Principal { name: "renamed".to_owned(), etag: String::new(), ..principal.clone() };
    let fresh = v1::Principal { id: format!("new-{id}"), handle: String::new(), ..principal };
    match rpc {
        "CreatePrincipal" => {
            let principal = Some(fresh);
            Call::CreatePrincipal(v1::CreatePrincipalRequest { principal, ..Default::default() })
        }
        "GetPrincipal" => {
            let key = Some(v1::get_principal_request::Key::Id(id));
            Call::GetPrincipal(v1::GetPrincipalRequest { workspace, key })
        }
        "ListPrincipals" => {
            Call::ListPrincipals(v1::ListPrincipalsRequest { workspace, ..Default::default() })
        }
        "UpdatePrincipal" => {
            let principal = Some(renamed);
            Call::UpdatePrincipal(v1::UpdatePrincipalRequest { principal, ..Default::default() })
        }
        "DeletePrincipal" => {
            let tokens = Some(v1::delete_principal_request::Tokens::RevokeReason("gone".to_owned()));
            Call::DeletePrincipal(v1::DeletePrincipalRequest { workspace, id, tokens, ..Default::default() })
        }
        other => panic!("no request for {other}"),
    }
}

/// On a token; its id, if the RPC is none of these.
fn of_token(rpc: &str, token: v1::Token, secret: &str, workspace: &str) -> Result<Call, String> {
    let v1::Token { id, etag, .. } = token;
    let presented = v1::IntrospectTokenRequest {
        token: secret.to_owned(),
        workspace: workspace.to_owned(),
        ..Default::default()
    };
    Ok(match rpc {
        "GetToken" => Call::GetToken(v1::GetTokenRequest { id }),
        "UpdateToken" => {
            let token = Some(v1::Token { id, name: "renamed".to_owned(), ..Default::default() });
            Call::UpdateToken(v1::UpdateTokenRequest { token, ..Default::default() })
        }
        "RegenerateToken" => {
            Call::RegenerateToken(v1::RegenerateTokenRequest { id, etag, ..Default::default() })
        }
        "EndOverlap" => Call::EndOverlap(v1::EndOverlapRequest { id, etag, ..Default::default() }),
        "RevokeToken" => Call::RevokeToken(v1::RevokeTokenRequest { id, ..Default::default() }),
        "SuspendToken" => Call::SuspendToken(v1::SuspendTokenRequest { id, ..Default::default() }),
        "ResumeToken" => Call::ResumeToken(v1::ResumeTokenRequest { id, ..Default::default() }),
        "IntrospectToken" => Call::IntrospectToken(presented),
        "BatchIntrospectTokens" => {
            Call::BatchIntrospectTokens(v1::BatchIntrospectTokensRequest { requests: vec![presented] })
        }
        "Check" => Call::Check(Box::new(check("anything", workspace, secret))),
        _ => return Err(id),
    })
}

/// What Envoy asks of a client that presents a secret on the way to a workspace.
pub fn check(profile: &str, workspace: &str, secret: &str) -> CheckRequest {
    let headers = [("authorization".to_owned(), format!("Bearer {secret}"))].into();
    let http = Some(HttpRequest { headers, ..HttpRequest::default() });
    let route = [("profile", profile), ("workspace", workspace)];
    let route = route.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let attributes = AttributeContext {
        request: Some(Request { http, time: None }),
        context_extensions: route.into(),
        ..AttributeContext::default()
    };
    CheckRequest { attributes: Some(attributes) }
}

async fn of_sidecar(rpc: &str, id: String, secret: String, operator: &Client) -> Call {
    // A renewal waits for a heartbeat, and all databases of a run are copies of one, the history included.
    static HISTORY: OnceCell<String> = OnceCell::const_new();
    let renewal = v1::RenewLeaseRequest { sidecar_id: id.clone(), ..Default::default() };
    let (mut sidecars, asked) = (operator.sidecars.clone(), renewal.clone());
    let renewed = || async move { sidecars.renew_lease(asked).await.unwrap().into_inner().history };
    let history = HISTORY.get_or_init(renewed).await.clone();
    match rpc {
        "RenewLease" => Call::RenewLease(renewal),
        "AcknowledgeRevision" => Call::AcknowledgeRevision(v1::AcknowledgeRevisionRequest {
            sidecar_id: id,
            history,
            released: true,
            ..Default::default()
        }),
        "ResolveTokens" => {
            let tokens = vec![secret];
            Call::ResolveTokens(v1::ResolveTokensRequest { tokens, history, ..Default::default() })
        }
        "RevalidateTokens" => {
            let tokens = vec![v1::TokenGeneration { token_id: id, generation: 1 }];
            Call::RevalidateTokens(v1::RevalidateTokensRequest { tokens, history, min_revision: 0 })
        }
        "GetProfiles" => Call::GetProfiles(v1::GetProfilesRequest { history, min_revision: 0 }),
        "ReportUsage" => {
            let used = v1::TokenUse { token_id: id, generation: 1, count: 1, ..Default::default() };
            let (sidecar_id, sequence) = (Uuid::new_v4().to_string(), 1);
            Call::ReportUsage(v1::ReportUsageRequest { uses: vec![used], sidecar_id, sequence })
        }
        other => panic!("no request for {other}"),
    }
}
