//! Every mutation that may be repeated, for the tests of that.

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::delete_principal_request::Tokens;

use crate::calls::Call;

/// Every way to change a token but those that issue, each under an id of its own.
pub fn changes_of(token: &v1::Token, request_id: fn() -> String) -> Vec<Call> {
    let edited = v1::Token { id: token.id.clone(), name: "renamed".to_owned(), ..Default::default() };
    let token_id = token.id.clone();
    vec![
        Call::UpdateToken(v1::UpdateTokenRequest {
            token: Some(edited),
            request_id: request_id(),
            ..Default::default()
        }),
        Call::EndOverlap(v1::EndOverlapRequest {
            id: token_id.clone(),
            request_id: request_id(),
            ..Default::default()
        }),
        Call::SuspendToken(v1::SuspendTokenRequest {
            id: token_id.clone(),
            request_id: request_id(),
            ..Default::default()
        }),
        Call::ResumeToken(v1::ResumeTokenRequest {
            id: token_id.clone(),
            request_id: request_id(),
            ..Default::default()
        }),
        Call::RevokeToken(v1::RevokeTokenRequest {
            id: token_id,
            request_id: request_id(),
            wait: v1::RevocationWait::Fleet.into(),
            ..Default::default()
        }),
    ]
}

/// Every way to change a workspace and who is in it.
pub fn changes_of_others(request_id: fn() -> String) -> Vec<Call> {
    let new = |name: &str| {
        Some(v1::Workspace { id: "new".to_owned(), name: name.to_owned(), ..Default::default() })
    };
    let (workspace, robot) = (|| "acme".to_owned(), || "robot".to_owned());
    let principal = v1::Principal {
        workspace: workspace(),
        id: robot(),
        kind: v1::PrincipalKind::ServiceAccount.into(),
        name: "Robot".to_owned(),
        scopes: vec!["*".to_owned()],
        ..Default::default()
    };
    let changed = v1::Principal { name: "Android".to_owned(), disabled: true, ..principal.clone() };
    vec![
        Call::CreateWorkspace(v1::CreateWorkspaceRequest { workspace: new("New"), request_id: request_id() }),
        Call::UpdateWorkspace(v1::UpdateWorkspaceRequest {
            workspace: new("Newer"),
            request_id: request_id(),
            ..Default::default()
        }),
        Call::CreatePrincipal(v1::CreatePrincipalRequest {
            principal: Some(principal),
            token: Some(v1::CreateTokenRequest {
                workspace: workspace(),
                name: "born with it".to_owned(),
                ..Default::default()
            }),
            request_id: request_id(),
            ..Default::default()
        }),
        Call::UpdatePrincipal(v1::UpdatePrincipalRequest {
            principal: Some(changed),
            request_id: request_id(),
            ..Default::default()
        }),
        Call::DeletePrincipal(v1::DeletePrincipalRequest {
            workspace: workspace(),
            id: robot(),
            tokens: Some(Tokens::RevokeReason(String::new())),
            request_id: request_id(),
            ..Default::default()
        }),
    ]
}

/// Every way to end many tokens at once.
pub fn ends_of_many(request_id: fn() -> String) -> Vec<Call> {
    let workspace = || "acme".to_owned();
    vec![
        Call::BulkRevokeTokens(v1::BulkRevokeTokensRequest {
            workspace: workspace(),
            filter: Some(v1::TokenFilter { name_prefix: "other".to_owned(), ..Default::default() }),
            request_id: request_id(),
            ..Default::default()
        }),
        Call::InvalidateWorkspaceTokens(v1::InvalidateWorkspaceTokensRequest {
            id: workspace(),
            request_id: request_id(),
            ..Default::default()
        }),
    ]
}
