//! Who may do what: the whole matrix of role × RPC × workspace, from one table.

use tokenkeep::proto::v1;
use tokio::sync::OnceCell;
use tonic::Code;

use crate::calls::Call;
use crate::clients::{Client, refusal, refused};
use crate::harness::Server;

/// Each RPC, the one scope that it needs, and whether its request names a token or a workspace.
const RPCS: [(&str, &str, Named); 23] = [
    ("CreateToken", "tokenkeep:tokens:create", Named::Workspace),
    ("GetToken", "tokenkeep:tokens:read", Named::Token),
    ("ListTokens", "tokenkeep:tokens:read", Named::Workspace),
    ("UpdateToken", "tokenkeep:tokens:update", Named::Token),
    ("RegenerateToken", "tokenkeep:tokens:regenerate", Named::Token),
    ("RevokeToken", "tokenkeep:tokens:revoke", Named::Token),
    ("IntrospectToken", "tokenkeep:introspect", Named::Workspace),
    ("WatchRevocations", "tokenkeep:revocations:watch", Named::Workspace),
    ("CreateWorkspace", "tokenkeep:workspaces:create", Named::Nothing),
    ("GetWorkspace", "tokenkeep:workspaces:read", Named::Workspace),
    ("ListWorkspaces", "tokenkeep:workspaces:read", Named::Nothing),
    ("UpdateWorkspace", "tokenkeep:workspaces:update", Named::Workspace),
    ("InvalidateWorkspaceTokens", "tokenkeep:workspaces:invalidate", Named::Workspace),
    ("CreatePrincipal", "tokenkeep:principals:create", Named::Workspace),
    ("GetPrincipal", "tokenkeep:principals:read", Named::Workspace),
    ("ListPrincipals", "tokenkeep:principals:read", Named::Workspace),
    ("UpdatePrincipal", "tokenkeep:principals:update", Named::Workspace),
    ("BatchIntrospectTokens", "tokenkeep:introspect", Named::Nothing),
    ("RenewLease", "tokenkeep:sidecar", Named::Nothing),
    ("AcknowledgeRevision", "tokenkeep:sidecar", Named::Nothing),
    ("ResolveTokens", "tokenkeep:sidecar", Named::Nothing),
    ("RevalidateTokens", "tokenkeep:sidecar", Named::Nothing),
    ("ReportUsage", "tokenkeep:sidecar", Named::Nothing),
];

#[derive(Clone, Copy, PartialEq)]
enum Named {
    Token,
    Workspace,
    Nothing,
}

/// A right request of each RPC, on a fresh token of a workspace.
async fn right_request(rpc: &str, workspace: &str, operator: &mut Client) -> Call {
    let (token, secret) = operator.create_token(workspace, "target", &["articles:read"]).await;
    let (id, workspace) = (token.id.clone(), workspace.to_owned());
    let named = v1::Workspace { id: workspace.clone(), name: "renamed".to_owned(), ..Default::default() };
    let fresh = v1::Workspace { id: format!("w-{id}"), name: "fresh".to_owned(), ..Default::default() };
    match rpc {
        "CreateToken" => Call::CreateToken(v1::CreateTokenRequest {
            workspace,
            name: "new".to_owned(),
            ..Default::default()
        }),
        "GetToken" => Call::GetToken(v1::GetTokenRequest { id }),
        "ListTokens" => Call::ListTokens(v1::ListTokensRequest { workspace, ..Default::default() }),
        "UpdateToken" => {
            let token = v1::Token { id, name: "renamed".to_owned(), ..Default::default() };
            Call::UpdateToken(v1::UpdateTokenRequest { token: Some(token), ..Default::default() })
        }
        "RegenerateToken" => Call::RegenerateToken(v1::RegenerateTokenRequest {
            id,
            etag: token.etag.clone(),
            ..Default::default()
        }),
        "RevokeToken" => Call::RevokeToken(v1::RevokeTokenRequest { id, ..Default::default() }),
        "IntrospectToken" => Call::IntrospectToken(v1::IntrospectTokenRequest {
            token: secret,
            workspace,
            ..Default::default()
        }),
        "WatchRevocations" => {
            Call::WatchRevocations(v1::WatchRevocationsRequest { workspace, ..Default::default() })
        }
        "CreateWorkspace" => Call::CreateWorkspace(v1::CreateWorkspaceRequest { workspace: Some(fresh) }),
        "GetWorkspace" => Call::GetWorkspace(v1::GetWorkspaceRequest { id: workspace }),
        "ListWorkspaces" => Call::ListWorkspaces(v1::ListWorkspacesRequest::default()),
        "UpdateWorkspace" => {
            Call::UpdateWorkspace(v1::UpdateWorkspaceRequest { workspace: Some(named), ..Default::default() })
        }
        "BatchIntrospectTokens" => {
            let ask = v1::IntrospectTokenRequest { token: secret, workspace, ..Default::default() };
            Call::BatchIntrospectTokens(v1::BatchIntrospectTokensRequest { requests: vec![ask] })
        }
        "InvalidateWorkspaceTokens" => {
            let dry =
                v1::InvalidateWorkspaceTokensRequest { id: workspace, dry_run: true, ..Default::default() };
            Call::InvalidateWorkspaceTokens(dry)
        }
        "CreatePrincipal" | "GetPrincipal" | "ListPrincipals" | "UpdatePrincipal" => {
            right_request_of_principal(rpc, id, workspace, operator).await
        }
        _ => right_request_of_sidecar(rpc, id, secret, operator).await,
    }
}

/// On a principal of its own.
async fn right_request_of_principal(rpc: &str, id: String, workspace: String, operator: &mut Client) -> Call {
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
        other => panic!("no request for {other}"),
    }
}

async fn right_request_of_sidecar(rpc: &str, id: String, secret: String, operator: &Client) -> Call {
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
        "ResolveTokens" => Call::ResolveTokens(v1::ResolveTokensRequest {
            tokens: vec![secret],
            history,
            ..Default::default()
        }),
        "RevalidateTokens" => Call::RevalidateTokens(v1::RevalidateTokensRequest {
            tokens: vec![v1::TokenGeneration { token_id: id, generation: 1 }],
            history,
            min_revision: 0,
        }),
        "ReportUsage" => {
            let used = v1::TokenUse { token_id: id, age: Some(prost_types::Duration::default()) };
            Call::ReportUsage(v1::ReportUsageRequest { uses: vec![used] })
        }
        other => panic!("no request for {other}"),
    }
}

/// A caller that holds exactly one scope, or none.
async fn caller(server: &Server, operator: &mut Client, workspace: &str, scopes: &[&str]) -> Client {
    let (_, secret) = operator.create_token(workspace, "caller", scopes).await;
    server.client(&secret).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_may_do_exactly_what_its_scope_and_workspace_say() {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("own").await;
    operator.create_workspace("other").await;
    for (role, scope) in [("none", None)].into_iter().chain(RPCS.map(|(rpc, scope, _)| (rpc, Some(scope)))) {
        let scopes: Vec<&str> = scope.into_iter().collect();
        let one = caller(&server, &mut operator, "own", &scopes).await;
        let every = caller(&server, &mut operator, "tokenkeep", &scopes).await;
        for (rpc, needed, named) in RPCS {
            for workspace in ["own", "other"] {
                let told = |got: &Result<(), tonic::Status>| match got {
                    Ok(()) => "OK".to_owned(),
                    Err(status) => refusal(status).reason,
                };
                let holds = scope == Some(needed);
                let expected = if holds { "OK" } else { "SCOPE_REQUIRED" };
                let bound_answer = match (holds, named) {
                    (false, _) => "SCOPE_REQUIRED",
                    (true, Named::Nothing) if rpc == "CreateWorkspace" => "WORKSPACE_DENIED",
                    (true, Named::Token) if workspace == "other" => "TOKEN_NOT_FOUND",
                    (true, Named::Workspace) if workspace == "other" => "WORKSPACE_DENIED",
                    (true, _) => "OK",
                };
                let place = format!("{role} of own → {rpc} on {workspace}");
                let call = right_request(rpc, workspace, &mut operator).await;
                assert_eq!(told(&call.by(&one).await), bound_answer, "{place}");
                let call = right_request(rpc, workspace, &mut operator).await;
                assert_eq!(told(&call.by(&every).await), expected, "{place}, acting on every workspace");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_live_credential_no_rpc_answers() {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("own").await;
    let (token, revoked) = operator.create_token("own", "caller", &["tokenkeep:*"]).await;
    operator.revoke(&token.id).await.unwrap();
    let altered = format!("{}x", &revoked[..revoked.len() - 1]);
    let anonymous = server.anonymous().await;
    for (rpc, _, _) in RPCS {
        let call = right_request(rpc, "own", &mut operator).await;
        let missing = call.by(&anonymous).await.unwrap_err();
        assert_eq!(refusal(&missing), refused(Code::Unauthenticated, "CREDENTIAL_MISSING"), "{rpc}");
        for dead in [&revoked, &altered, "nonsense"] {
            let invalid = call.by(&server.client(dead).await).await.unwrap_err();
            assert_eq!(refusal(&invalid), refused(Code::Unauthenticated, "CREDENTIAL_INVALID"), "{rpc}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn permission_is_denied_whether_or_not_a_thing_exists() {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("own").await;
    operator.create_workspace("other").await;
    let (there, _) = operator.create_token("other", "target", &[]).await;
    let nowhere = "01890a5d-ac96-774b-bcce-b302099a8057";
    let mut reader =
        caller(&server, &mut operator, "own", &["tokenkeep:tokens:read", "tokenkeep:workspaces:read"]).await;
    let mut nobody = caller(&server, &mut operator, "own", &[]).await;
    for id in [there.id.as_str(), nowhere] {
        let status = reader.get_token(id).await.unwrap_err();
        assert_eq!(refusal(&status), refused(Code::NotFound, "TOKEN_NOT_FOUND"));
        assert_eq!(status.message(), format!("there is no token `{id}`"));
        let status = nobody.get_token(id).await.unwrap_err();
        assert_eq!(refusal(&status), refused(Code::PermissionDenied, "SCOPE_REQUIRED"));
    }
    for id in ["other", "nowhere"] {
        let request = v1::GetWorkspaceRequest { id: id.to_owned() };
        let status = reader.workspaces.get_workspace(request).await.unwrap_err();
        assert_eq!(refusal(&status), refused(Code::PermissionDenied, "WORKSPACE_DENIED"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_makes_or_takes_a_token_mightier_than_their_own() {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("own").await;
    let (mighty, _) = operator.create_token("own", "mighty", &["tokenkeep:*"]).await;
    let (weak, _) = operator.create_token("own", "weak", &["articles:*", "*"]).await;
    let scopes = ["tokenkeep:tokens:create", "tokenkeep:tokens:update", "tokenkeep:tokens:regenerate"];
    let clerk = caller(&server, &mut operator, "own", &scopes).await;
    let escalation = refused(Code::PermissionDenied, "SCOPE_ESCALATION");

    for scope in ["tokenkeep:*", "tokenkeep:tokens:*", "tokenkeep:tokens:read"] {
        let request = v1::CreateTokenRequest {
            workspace: "own".to_owned(),
            name: "more".to_owned(),
            scopes: vec![scope.to_owned()],
            ..Default::default()
        };
        assert_eq!(refusal(&Call::CreateToken(request).by(&clerk).await.unwrap_err()), escalation, "{scope}");
        let token = v1::Token { id: weak.id.clone(), scopes: vec![scope.to_owned()], ..Default::default() };
        let request = v1::UpdateTokenRequest { token: Some(token), ..Default::default() };
        assert_eq!(refusal(&Call::UpdateToken(request).by(&clerk).await.unwrap_err()), escalation, "{scope}");
    }
    let request = v1::RegenerateTokenRequest { id: mighty.id, etag: "*".to_owned(), ..Default::default() };
    assert_eq!(refusal(&Call::RegenerateToken(request).by(&clerk).await.unwrap_err()), escalation);
    let request = v1::RegenerateTokenRequest { id: weak.id, etag: "*".to_owned(), ..Default::default() };
    Call::RegenerateToken(request).by(&clerk).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_leaves_power_behind_that_outlives_their_own() {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("own").await;
    let hours = |hours: i64| {
        let lifetime = prost_types::Duration { seconds: hours * 3_600, nanos: 0 };
        Some(v1::create_token_request::Expiration::Lifetime(lifetime))
    };
    let request = |scope: &str, expiration| v1::CreateTokenRequest {
        workspace: "own".to_owned(),
        name: "clerk".to_owned(),
        scopes: vec![scope.to_owned()],
        expiration,
        ..Default::default()
    };
    let clerk = operator.tokens.create_token(request("tokenkeep:*", hours(2))).await.unwrap().into_inner();
    let (own, clerk) = (clerk.token.unwrap(), server.client(&clerk.secret).await);
    let escalation = refused(Code::PermissionDenied, "LIFETIME_ESCALATION");
    for expiration in [None, hours(3)] {
        let call = Call::CreateToken(request("tokenkeep:tokens:read", expiration));
        assert_eq!(refusal(&call.by(&clerk).await.unwrap_err()), escalation);
    }
    Call::CreateToken(request("tokenkeep:tokens:read", hours(1))).by(&clerk).await.unwrap();
    Call::CreateToken(request("articles:read", None)).by(&clerk).await.unwrap();
    let for_ever = v1::UpdateTokenRequest {
        token: Some(v1::Token { id: own.id.clone(), ..Default::default() }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["expire_time".to_owned()] }),
        ..Default::default()
    };
    assert_eq!(refusal(&Call::UpdateToken(for_ever).by(&clerk).await.unwrap_err()), escalation);
    let (lasting, _) = operator.create_token("own", "lasting", &["tokenkeep:tokens:read"]).await;
    let request = v1::RegenerateTokenRequest { id: lasting.id, etag: "*".to_owned(), ..Default::default() };
    assert_eq!(refusal(&Call::RegenerateToken(request).by(&clerk).await.unwrap_err()), escalation);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_products_wildcard_gives_no_power_over_tokenkeep() {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("own").await;
    let everything = caller(&server, &mut operator, "own", &["*"]).await;
    let call = right_request("ListTokens", "own", &mut operator).await;
    let status = call.by(&everything).await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::PermissionDenied, "SCOPE_REQUIRED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_never_sees_anothers_tokens() {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("own").await;
    operator.create_workspace("other").await;
    let mut own = caller(&server, &mut operator, "own", &["tokenkeep:*"]).await;
    let (foreign, secret) = operator.create_token("other", "foreign", &[]).await;

    let mut stream = own.watch("", "").await.unwrap();
    stream.message().await.unwrap();
    // Whatever state it is in, it is unknown, and looking costs no argon2.
    let (dead, dead_secret) = operator.create_token("other", "dead", &[]).await;
    operator.revoke(&dead.id).await.unwrap();
    let (replaced, old_secret) = operator.create_token("other", "replaced", &[]).await;
    operator.regenerate(&replaced.id, "*").await.unwrap();
    own.introspect("warm").await.unwrap();
    let runs = "tokenkeep_argon2_runs_total{purpose=\"verify\"}";
    let runs_before = server.metric(runs).await;
    for secret in [&secret, &dead_secret, &old_secret] {
        let judged = own.introspect(secret).await.unwrap();
        assert!(!judged.active);
        assert_eq!(judged.inactive_reason(), v1::InactiveReason::Unknown);
        assert_eq!(judged.jti, "");
    }
    assert_eq!(server.metric(runs).await, runs_before);
    let listed =
        own.workspaces.list_workspaces(v1::ListWorkspacesRequest::default()).await.unwrap().into_inner();
    assert_eq!(listed.workspaces.iter().map(|found| found.id.as_str()).collect::<Vec<_>>(), ["own"]);

    // What happens next door comes by as progress only; what happens here comes as an event.
    operator.revoke(&foreign.id).await.unwrap();
    let (mine, _) = operator.create_token("own", "mine", &[]).await;
    operator.revoke(&mine.id).await.unwrap();
    loop {
        let frame = stream.message().await.unwrap().unwrap();
        if let Some(v1::watch_revocations_response::Frame::Event(event)) = frame.frame {
            assert_eq!((event.token_id, frame.revision), (mine.id, 4));
            break;
        }
    }
}
