//! Suspending a token: it is felt as a revocation is, and taken back.

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::{InactiveReason, RevocationKind, TokenState};
use tonic::Code;

use crate::clients::{Client, refusal, refused};
use crate::harness::Server;
use crate::sidecars::{Sidecar, Told, told};
use crate::watchers::Watcher;

async fn server() -> (Server, Client) {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    (server, operator)
}

async fn suspend(client: &mut Client, id: &str, reason: &str) -> v1::SuspendTokenResponse {
    let request = v1::SuspendTokenRequest {
        id: id.to_owned(),
        reason: reason.to_owned(),
        wait: v1::RevocationWait::Fleet.into(),
        ..Default::default()
    };
    client.tokens.suspend_token(request).await.unwrap().into_inner()
}

async fn resume(client: &mut Client, id: &str) -> v1::Token {
    let request = v1::ResumeTokenRequest { id: id.to_owned(), ..Default::default() };
    client.tokens.resume_token(request).await.unwrap().into_inner().token.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_token_works_nowhere_until_it_is_resumed() {
    let (server, mut operator) = server().await;
    let sidecar = Sidecar::beside(&[&server]).await;
    let mut clients = [server.operator().await, sidecar.client().await];
    let (token, secret) = operator.create_token("acme", "odd", &["a"]).await;
    for client in &mut clients {
        assert_eq!(told(client, &secret).await, Told::Active);
    }
    let answer = suspend(&mut operator, &token.id, "strange hours").await;
    assert!(answer.fleet_confirmed);
    let suspended = answer.token.unwrap();
    assert_eq!(
        (suspended.state(), suspended.suspend_reason.as_str()),
        (TokenState::Suspended, "strange hours")
    );
    assert!(suspended.suspend_time.is_some() && suspended.revoke_time.is_none());
    for client in &mut clients {
        assert_eq!(told(client, &secret).await, Told::Inactive(InactiveReason::Suspended));
    }
    let resumed = resume(&mut operator, &token.id).await;
    assert_eq!(
        (resumed.state(), resumed.suspend_time, resumed.suspend_reason.as_str()),
        (TokenState::Active, None, "")
    );
    operator.wait_for_revision(resumed.revision, std::time::Duration::from_secs(5)).await.unwrap();
    for client in &mut clients {
        assert_eq!(told(client, &secret).await, Told::Active);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn suspending_or_resuming_again_changes_nothing_and_watchers_hear_of_each_once() {
    let (_server, mut operator) = server().await;
    let (token, _) = operator.create_token("acme", "odd", &[]).await;
    let mut watcher = Watcher::at_head(&operator).await;
    assert_eq!(resume(&mut operator, &token.id).await.revision, token.revision);
    let first = suspend(&mut operator, &token.id, "first").await.token.unwrap();
    let again = suspend(&mut operator, &token.id, "again").await.token.unwrap();
    assert_eq!((again.revision, again.suspend_reason.as_str()), (first.revision, "first"));
    let resumed = resume(&mut operator, &token.id).await;
    for (kind, reason, revision) in [
        (RevocationKind::Suspended, "first", first.revision),
        (RevocationKind::Resumed, "", resumed.revision),
    ] {
        let (at, event) = watcher.event().await;
        assert_eq!((event.kind(), event.reason.as_str(), at), (kind, reason, revision));
        assert_eq!((&event.token_id, event.generation), (&token.id, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_outlives_a_new_secret_and_a_revocation_outlives_it() {
    let (_server, mut operator) = server().await;
    let (token, _) = operator.create_token("acme", "odd", &[]).await;
    suspend(&mut operator, &token.id, "").await;
    let fresh = operator.regenerate(&token.id, "*").await.unwrap();
    assert_eq!(fresh.token.unwrap().state(), TokenState::Suspended);
    assert_eq!(told(&mut operator, &fresh.secret).await, Told::Inactive(InactiveReason::Suspended));
    assert_eq!(operator.revoke(&token.id).await.unwrap().state(), TokenState::Revoked);
    let request = v1::ResumeTokenRequest { id: token.id.clone(), ..Default::default() };
    let late = operator.tokens.resume_token(request).await.unwrap_err();
    assert_eq!(refusal(&late), refused(Code::FailedPrecondition, "TOKEN_REVOKED"));
}

/// Whoever could resume a token mightier than its own could use it.
#[tokio::test(flavor = "multi_thread")]
async fn resuming_a_token_takes_power_over_what_it_may_do() {
    let (server, mut operator) = server().await;
    let (_, secret) = operator.create_token("acme", "guard", &["tokenkeep:tokens:suspend"]).await;
    let (mighty, _) = operator.create_token("acme", "mighty", &["tokenkeep:tokens:*"]).await;
    let mut guard = server.client(&secret).await;
    suspend(&mut guard, &mighty.id, "").await;
    let request = v1::ResumeTokenRequest { id: mighty.id, ..Default::default() };
    let refused_it = guard.tokens.resume_token(request).await.unwrap_err();
    assert_eq!(refusal(&refused_it), refused(Code::PermissionDenied, "SCOPE_ESCALATION"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_caller_is_refused_everywhere_and_loses_its_streams() {
    let (here, there) = Server::two_with(&[]).await;
    let mut operator = here.operator().await;
    operator.create_workspace("acme").await;
    let (caller, secret) = operator.create_token("acme", "caller", &["tokenkeep:*"]).await;
    let mut clients = [here.client(&secret).await, there.client(&secret).await];
    for client in &mut clients {
        client.get_token(&caller.id).await.unwrap();
    }
    let mut watchers =
        [Watcher::try_open(&clients[0], "acme", "").await, Watcher::try_open(&clients[1], "acme", "").await];
    let invalid = refused(Code::Unauthenticated, "CREDENTIAL_INVALID");
    assert!(suspend(&mut operator, &caller.id, "").await.fleet_confirmed);
    for client in &mut clients {
        assert_eq!(refusal(&client.get_token(&caller.id).await.unwrap_err()), invalid);
        let request = v1::ResumeTokenRequest { id: caller.id.clone(), ..Default::default() };
        let by_itself = client.tokens.resume_token(request).await.unwrap_err();
        assert_eq!(refusal(&by_itself), invalid);
    }
    for watcher in &mut watchers {
        assert_eq!(watcher.as_mut().unwrap().end().await.1, invalid);
    }
    let resumed = resume(&mut operator, &caller.id).await;
    operator.wait_for_revision(resumed.revision, std::time::Duration::from_secs(5)).await.unwrap();
    for client in &mut clients {
        client.get_token(&caller.id).await.unwrap();
    }
}
