//! Who may do what: the whole matrix of role × RPC × workspace, from one table.

use std::collections::BTreeSet;

use tokenkeep::proto::v1;
use tonic::Code;

use crate::calls::Call;
use crate::clients::{Client, refusal, refused};
use crate::harness::{Database, Server};
use crate::right_requests::{create_workspace, profiles, right_request};

/// Each RPC, the scopes that its request needs, and whether its request names a token or a workspace.
const RPCS: [(&str, &[&str], Named); 35] = [
    ("CreateToken", &["tokenkeep:tokens:create"], Named::Workspace),
    ("GetToken", &["tokenkeep:tokens:read"], Named::Token),
    ("ListTokens", &["tokenkeep:tokens:read"], Named::Workspace),
    ("CountTokens", &["tokenkeep:tokens:read"], Named::Workspace),
    ("UpdateToken", &["tokenkeep:tokens:update"], Named::Token),
    ("RegenerateToken", &["tokenkeep:tokens:regenerate"], Named::Token),
    ("EndOverlap", &["tokenkeep:tokens:regenerate"], Named::Token),
    ("RevokeToken", &["tokenkeep:tokens:revoke"], Named::Token),
    ("SuspendToken", &["tokenkeep:tokens:suspend"], Named::Token),
    ("ResumeToken", &["tokenkeep:tokens:suspend"], Named::Token),
    ("ListAuditEvents", &["tokenkeep:audit:read"], Named::Workspace),
    ("BulkRevokeTokens", &["tokenkeep:tokens:revoke"], Named::Workspace),
    ("RevokeSecret", &["tokenkeep:tokens:revoke-secret"], Named::Nothing),
    ("IntrospectToken", &["tokenkeep:introspect"], Named::Workspace),
    ("BatchIntrospectTokens", &["tokenkeep:introspect"], Named::Nothing),
    ("WaitForRevision", &["tokenkeep:tokens:read"], Named::Nothing),
    ("WatchRevocations", &["tokenkeep:revocations:watch"], Named::Workspace),
    ("CreateWorkspace", &["tokenkeep:workspaces:create"], Named::Nothing),
    ("GetWorkspace", &["tokenkeep:workspaces:read"], Named::Workspace),
    ("ListWorkspaces", &["tokenkeep:workspaces:read"], Named::Nothing),
    ("UpdateWorkspace", &["tokenkeep:workspaces:update"], Named::Workspace),
    ("InvalidateWorkspaceTokens", &["tokenkeep:workspaces:invalidate"], Named::Workspace),
    ("GetWorkspaceProfile", &["tokenkeep:workspaces:read"], Named::Workspace),
    ("CreatePrincipal", &["tokenkeep:principals:create"], Named::Workspace),
    ("GetPrincipal", &["tokenkeep:principals:read"], Named::Workspace),
    ("ListPrincipals", &["tokenkeep:principals:read"], Named::Workspace),
    ("UpdatePrincipal", &["tokenkeep:principals:update"], Named::Workspace),
    ("DeletePrincipal", &["tokenkeep:principals:delete", "tokenkeep:tokens:revoke"], Named::Workspace),
    ("RenewLease", &["tokenkeep:sidecar"], Named::Nothing),
    ("AcknowledgeRevision", &["tokenkeep:sidecar"], Named::Nothing),
    ("ResolveTokens", &["tokenkeep:sidecar"], Named::Nothing),
    ("RevalidateTokens", &["tokenkeep:sidecar"], Named::Nothing),
    ("GetProfiles", &["tokenkeep:sidecar"], Named::Nothing),
    ("ReportUsage", &["tokenkeep:sidecar"], Named::Nothing),
    ("Check", &["tokenkeep:introspect"], Named::Workspace),
];

#[derive(Clone, Copy, PartialEq)]
enum Named {
    Token,
    Workspace,
    Nothing,
}

/// A caller that holds exactly one scope, or none.
async fn caller(server: &Server, operator: &mut Client, workspace: &str, scopes: &[&str]) -> Client {
    let (_, secret) = operator.create_token(workspace, "caller", scopes).await;
    server.client(&secret).await
}

#[test]
fn every_rpc_is_listed_with_what_it_needs() {
    let paths = tokenkeep::proto::method_paths().unwrap();
    let ours = paths.iter().filter(|path| path.starts_with("/tokenkeep.v1.") || path.starts_with("/envoy."));
    let mut ours: Vec<&str> = ours.map(|path| path.rsplit('/').next().unwrap()).collect();
    let mut listed = RPCS.map(|(rpc, _, _)| rpc);
    ours.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed[..], ours);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_role_may_do_exactly_what_its_scopes_and_workspace_say() {
    let (database, profiles) = (Database::fresh().await, profiles());
    let server = Server::start_with(database, |command| command.arg("--profiles").arg(profiles.path())).await;
    let mut operator = server.operator().await;
    create_workspace(&mut operator, "own").await;
    create_workspace(&mut operator, "other").await;
    // None, those that an RPC needs, and of two only one.
    let mut roles: BTreeSet<&[&str]> = RPCS.iter().map(|(_, scopes, _)| *scopes).collect();
    roles.extend([&[][..], &["tokenkeep:principals:delete"]]);
    for role in roles {
        let one = caller(&server, &mut operator, "own", role).await;
        let every = caller(&server, &mut operator, "tokenkeep", role).await;
        for (rpc, needed, named) in RPCS {
            for workspace in ["own", "other"] {
                let told = |got: &Result<(), tonic::Status>| match got {
                    Ok(()) => "OK".to_owned(),
                    Err(status) => refusal(status).reason,
                };
                let holds = needed.iter().all(|scope| role.contains(scope));
                let expected = if holds { "OK" } else { "SCOPE_REQUIRED" };
                let bound_answer = match (holds, named) {
                    (false, _) => "SCOPE_REQUIRED",
                    (true, Named::Nothing) if rpc == "CreateWorkspace" => "WORKSPACE_DENIED",
                    (true, Named::Token) if workspace == "other" => "TOKEN_NOT_FOUND",
                    (true, Named::Workspace) if workspace == "other" => "WORKSPACE_DENIED",
                    (true, _) => "OK",
                };
                let place = format!("{role:?} of own → {rpc} on {workspace}");
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
    let head = server.database.head().await;
    operator.revoke(&foreign.id).await.unwrap();
    let (mine, _) = operator.create_token("own", "mine", &[]).await;
    operator.revoke(&mine.id).await.unwrap();
    loop {
        let frame = stream.message().await.unwrap().unwrap();
        if let Some(v1::watch_revocations_response::Frame::Event(event)) = frame.frame {
            assert_eq!((event.token_id, frame.revision), (mine.id, head + 2));
            break;
        }
    }
}
