//! Invalidating a workspace: every secret that was issued before is dead, in one step, and no other tenant notices.

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::InactiveReason;
use tonic::Code;

use crate::clients::{Client, refusal, refused};
use crate::harness::Server;
use crate::sidecars::{Sidecar, Told, told};
use crate::watchers::Watcher;

async fn server() -> (Server, Client) {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    operator.create_workspace("other").await;
    (server, operator)
}

fn request() -> v1::InvalidateWorkspaceTokensRequest {
    v1::InvalidateWorkspaceTokensRequest {
        id: "acme".to_owned(),
        reason: "the salt has changed".to_owned(),
        initiator: "mia".to_owned(),
        wait: v1::RevocationWait::Fleet.into(),
        ..Default::default()
    }
}

async fn invalidate(
    client: &mut Client,
    request: v1::InvalidateWorkspaceTokensRequest,
) -> v1::InvalidateWorkspaceTokensResponse {
    client.workspaces.invalidate_workspace_tokens(request).await.unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_secret_of_the_workspace_dies_and_none_of_another() {
    let (server, mut operator) = server().await;
    let sidecar = Sidecar::beside(&[&server]).await;
    let mut clients = [server.operator().await, sidecar.client().await];
    let mut secrets = Vec::new();
    for number in 0..3 {
        secrets.push(operator.create_token("acme", &format!("token {number}"), &["a"]).await.1);
    }
    let (_, others) = operator.create_token("other", "untouched", &["a"]).await;
    for client in &mut clients {
        for secret in secrets.iter().chain([&others]) {
            assert_eq!(told(client, secret).await, Told::Active);
        }
    }
    let head = server.database.head().await;
    let answer = invalidate(&mut operator, request()).await;
    assert_eq!((answer.token_count, answer.fleet_confirmed), (3, true));
    assert_eq!(answer.workspace.unwrap().revision, head + 1);
    for client in &mut clients {
        for secret in &secrets {
            assert_eq!(told(client, secret).await, Told::Inactive(InactiveReason::Invalidated));
        }
        assert_eq!(told(client, &others).await, Told::Active);
    }
    let (_, fresh) = operator.create_token("acme", "fresh", &["a"]).await;
    assert_eq!(told(&mut operator, &fresh).await, Told::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_counts_what_works_and_changes_nothing() {
    let (_server, mut operator) = server().await;
    let (_, secret) = operator.create_token("acme", "works", &[]).await;
    let (dead, _) = operator.create_token("acme", "revoked", &[]).await;
    operator.revoke(&dead.id).await.unwrap();
    let dry = v1::InvalidateWorkspaceTokensRequest { dry_run: true, ..request() };
    let answer = invalidate(&mut operator, dry).await;
    assert_eq!((answer.token_count, answer.fleet_confirmed), (1, false));
    assert_eq!(told(&mut operator, &secret).await, Told::Active);
    let stale = v1::InvalidateWorkspaceTokensRequest { etag: "v9".to_owned(), ..request() };
    let stale = operator.workspaces.invalidate_workspace_tokens(stale).await.unwrap_err();
    assert_eq!(refusal(&stale), refused(Code::Aborted, "ETAG_MISMATCH"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalidated_token_stays_and_lives_again_once_it_is_regenerated() {
    let (_server, mut operator) = server().await;
    let (token, old) = operator.create_token("acme", "ci", &["a"]).await;
    let (revoked, _) = operator.create_token("acme", "revoked", &["a"]).await;
    operator.revoke(&revoked.id).await.unwrap();
    invalidate(&mut operator, request()).await;
    let read = operator.get_token(&token.id).await.unwrap();
    assert_eq!((read.state(), read.generation), (v1::TokenState::Invalidated, 1));
    assert_eq!(operator.get_token(&revoked.id).await.unwrap().state(), v1::TokenState::Revoked);
    let filter = v1::TokenFilter { states: vec![v1::TokenState::Invalidated.into()], ..Default::default() };
    let list =
        v1::ListTokensRequest { workspace: "acme".to_owned(), filter: Some(filter), ..Default::default() };
    let listed = operator.tokens.list_tokens(list).await.unwrap().into_inner().tokens;
    assert_eq!(listed.iter().map(|token| &token.id).collect::<Vec<_>>(), [&token.id]);
    let answer = operator.regenerate(&token.id, &read.etag).await.unwrap();
    assert_eq!(answer.token.unwrap().state(), v1::TokenState::Active);
    assert_eq!(told(&mut operator, &answer.secret).await, Told::Active);
    assert_eq!(told(&mut operator, &old).await, Told::Inactive(InactiveReason::Superseded));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_tells_of_it_with_its_reason_to_those_who_watch_the_workspace() {
    use v1::watch_revocations_response::Frame;
    let (server, mut operator) = server().await;
    for number in 0..3 {
        operator.create_token("acme", &format!("token {number}"), &[]).await;
    }
    let head = server.database.head().await;
    let mut stream = operator.watch("acme", "").await.unwrap();
    let mut elsewhere = operator.watch("other", "").await.unwrap();
    invalidate(&mut operator, request()).await;
    let event = loop {
        if let Some(Frame::Event(event)) = stream.message().await.unwrap().unwrap().frame {
            break event;
        }
    };
    assert_eq!(event.kind(), v1::RevocationKind::WorkspaceInvalidated);
    assert_eq!((event.reason.as_str(), event.initiator.as_str()), ("the salt has changed", "mia"));
    assert_eq!((event.workspace.as_str(), event.token_id.as_str()), ("acme", ""));
    loop {
        let frame = elsewhere.message().await.unwrap().unwrap();
        assert!(matches!(frame.frame, Some(Frame::Progress(_))), "{frame:?}");
        if frame.revision > head {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_whose_workspace_is_invalidated_is_a_caller_no_more() {
    let (server, mut operator) = server().await;
    let (_, secret) = operator.create_token("acme", "watcher", &["tokenkeep:revocations:watch"]).await;
    let mut watcher = Watcher::at_head(&server.client(&secret).await).await;
    invalidate(&mut operator, request()).await;
    let (_, ended) = watcher.end().await;
    assert_eq!(ended, refused(Code::Unauthenticated, "CREDENTIAL_INVALID"));
}
