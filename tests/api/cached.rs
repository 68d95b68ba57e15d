//! Answers from the cache: no database is asked, and nothing is answered that is not so any more.

use std::time::{Duration, Instant};

use tokenkeep::proto::v1;
use tonic::Code;

use crate::clients::{Client, refusal, refused};
use crate::harness::{Server, eventually};

const READS: &str = "tokenkeep_credential_reads_total";
const CACHED: &str = "tokenkeep_cached_answers_total";

/// A server with a token that it knows, and the operator, who is known too.
pub async fn scene(server: &Server, scopes: &[&str]) -> (Client, v1::Token, String) {
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    let (token, secret) = operator.create_token("acme", "known", scopes).await;
    known(server, &secret).await;
    (operator, token, secret)
}

/// Waits until a server answers without the database.
async fn known(server: &Server, secret: &str) {
    let operator = server.operator().await;
    eventually("the token is known", || {
        let (mut operator, secret) = (operator.clone(), secret.to_owned());
        async move {
            let before = server.metric(READS).await;
            assert!(operator.introspect(&secret).await.unwrap().active);
            server.metric(READS).await == before
        }
    })
    .await;
}

async fn ask(client: &mut Client, ask: v1::IntrospectTokenRequest) -> v1::IntrospectTokenResponse {
    client.tokens.introspect_token(ask).await.unwrap().into_inner()
}

fn edit(id: &str, scopes: &[&str]) -> v1::UpdateTokenRequest {
    let scopes = scopes.iter().map(ToString::to_string).collect();
    let token = v1::Token { id: id.to_owned(), scopes, ..Default::default() };
    v1::UpdateTokenRequest { token: Some(token), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_token_is_judged_without_the_database() {
    let server = Server::start().await;
    let (mut operator, _, secret) = scene(&server, &[]).await;
    let (reads, cached) = (server.metric(READS).await, server.metric(CACHED).await);
    for _ in 0..50 {
        assert!(operator.introspect(&secret).await.unwrap().active);
    }
    assert_eq!(server.metric(READS).await, reads);
    // The caller's token, and the presented one.
    assert_eq!(server.metric(CACHED).await, cached + 100.0);
}

/// "The token becomes immediately invalid": at the server that revoked it when the call returns, at every other one when a
/// call returns that waited for the fleet.
#[tokio::test(flavor = "multi_thread")]
async fn the_token_becomes_immediately_invalid() {
    let (here, there) = Server::two_with(&[]).await;
    let (mut operator, token, secret) = scene(&here, &[]).await;
    let mut elsewhere = there.operator().await;
    known(&there, &secret).await;
    operator.revoke(&token.id).await.unwrap();
    let told = operator.introspect(&secret).await.unwrap();
    assert_eq!((told.active, told.inactive_reason()), (false, v1::InactiveReason::Revoked));
    let revoked = Instant::now();
    while elsewhere.introspect(&secret).await.unwrap().active {}
    assert!(revoked.elapsed() < Duration::from_secs(3), "{:?}", revoked.elapsed());

    let (token, secret) = operator.create_token("acme", "another", &[]).await;
    known(&there, &secret).await;
    let wait = v1::RevocationWait::Fleet.into();
    let request = v1::RevokeTokenRequest { id: token.id, wait, ..Default::default() };
    assert!(operator.tokens.revoke_token(request).await.unwrap().into_inner().fleet_confirmed);
    assert!(!elsewhere.introspect(&secret).await.unwrap().active);
    assert!(!operator.introspect(&secret).await.unwrap().active);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_seen_at_once_where_it_was_made_and_soon_elsewhere() {
    let (here, there) = Server::two_with(&[]).await;
    let (mut operator, token, secret) = scene(&here, &["before"]).await;
    let elsewhere = there.operator().await;
    known(&there, &secret).await;
    let head = here.database.head().await;
    operator.tokens.update_token(edit(&token.id, &["after"])).await.unwrap();
    let told = operator.introspect(&secret).await.unwrap();
    assert_eq!((told.scope.as_str(), told.revision), ("after", head + 1));
    eventually("the other server sees the edit", || {
        let (mut elsewhere, secret) = (elsewhere.clone(), secret.clone());
        async move { elsewhere.introspect(&secret).await.unwrap().scope == "after" }
    })
    .await;

    let new = operator.regenerate(&token.id, "*").await.unwrap().secret;
    let told = operator.introspect(&secret).await.unwrap();
    assert_eq!((told.active, told.inactive_reason()), (false, v1::InactiveReason::Superseded));
    assert!(operator.introspect(&new).await.unwrap().active);
    eventually("the other server sees the new secret", || {
        let (mut elsewhere, secret) = (elsewhere.clone(), secret.clone());
        async move { !elsewhere.introspect(&secret).await.unwrap().active }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expiry_ends_a_cached_answer_on_time() {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    let lifetime = prost_types::Duration { seconds: 3, nanos: 0 };
    let request = v1::CreateTokenRequest {
        workspace: "acme".to_owned(),
        name: "short".to_owned(),
        expiration: Some(v1::create_token_request::Expiration::Lifetime(lifetime)),
        ..Default::default()
    };
    let begun = Instant::now();
    let secret = operator.tokens.create_token(request).await.unwrap().into_inner().secret;
    let created = Instant::now();
    known(&server, &secret).await;
    let (reads, mut asked) = (server.metric(READS).await, 0.0);
    while operator.introspect(&secret).await.unwrap().active {
        assert!(created.elapsed() < Duration::from_secs(4), "it outlives its expiry");
        asked += 1.0;
    }
    assert!(begun.elapsed() > Duration::from_secs(2), "it ends before its expiry");
    let reads = server.metric(READS).await - reads;
    assert!(reads < asked / 4.0, "{reads} of {asked} were answered by the database");
    assert_eq!(operator.introspect(&secret).await.unwrap().inactive_reason(), v1::InactiveReason::Expired);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_is_revoked_is_refused_at_once() {
    let server = Server::start().await;
    let (mut operator, _, secret) = scene(&server, &[]).await;
    let (token, credential) = operator.create_token("acme", "caller", &["tokenkeep:introspect"]).await;
    let mut caller = server.client(&credential).await;
    let mut known = 0;
    while known < 3 {
        let reads = server.metric(READS).await;
        assert!(caller.introspect(&secret).await.unwrap().active);
        known += u32::from(server.metric(READS).await == reads);
    }
    operator.revoke(&token.id).await.unwrap();
    let status = caller.introspect(&secret).await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::Unauthenticated, "CREDENTIAL_INVALID"));
}

/// Without the doorbell another server hears of a change only by its poll; whoever asks for more gets it at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_strong_answer_and_one_from_a_revision_on_are_never_from_before() {
    let (here, there) = Server::two_with(&["--doorbell", "false"]).await;
    let (mut operator, ..) = scene(&here, &[]).await;
    let mut elsewhere = there.operator().await;
    for round in 0..8 {
        let (token, secret) = operator.create_token("acme", "doomed", &[]).await;
        known(&there, &secret).await;
        let revision = operator.revoke(&token.id).await.unwrap().revision;
        let (min_revision, strong) = if round % 2 == 0 { (revision, false) } else { (0, true) };
        let request =
            v1::IntrospectTokenRequest { token: secret, min_revision, strong, ..Default::default() };
        let asked = Instant::now();
        let told = ask(&mut elsewhere, request).await;
        assert!(!told.active, "strong: {strong}");
        assert!(asked.elapsed() < Duration::from_secs(1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_has_reached_is_not_answered() {
    let server = Server::start().await;
    let (mut operator, token, secret) = scene(&server, &[]).await;
    let next = server.database.head().await + 1;
    let from = |min_revision| v1::IntrospectTokenRequest {
        token: secret.clone(),
        min_revision,
        ..Default::default()
    };
    let asked = Instant::now();
    let status = operator.tokens.introspect_token(from(next)).await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::Unavailable, "REVISION_NOT_REACHED"));
    assert!(asked.elapsed() < Duration::from_secs(3));
    operator.tokens.update_token(edit(&token.id, &["a"])).await.unwrap();
    assert_eq!(ask(&mut operator, from(next)).await.revision, next);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_judged_by_itself_on_one_record() {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    operator.create_workspace("other").await;
    let request = v1::CreateTokenRequest {
        workspace: "acme".to_owned(),
        name: "reader".to_owned(),
        scopes: vec!["articles:*".to_owned()],
        metadata: [("team".to_owned(), "red".to_owned())].into(),
        ..Default::default()
    };
    let token = operator.tokens.create_token(request).await.unwrap().into_inner().secret;
    known(&server, &token).await;
    let reads = server.metric(READS).await;
    let plain = v1::IntrospectTokenRequest { token: token.clone(), ..Default::default() };
    for _ in 0..2 {
        let told = ask(&mut operator, plain.clone()).await;
        assert!(told.active && told.metadata.is_empty());
        let wanted = v1::IntrospectTokenRequest { include_metadata: true, ..plain.clone() };
        assert_eq!(ask(&mut operator, wanted).await.metadata["team"], "red");
        let scopes = vec!["articles:find".to_owned(), "users:find".to_owned()];
        let short = v1::IntrospectTokenRequest { required_scopes: scopes, ..plain.clone() };
        let told = ask(&mut operator, short).await;
        assert_eq!((told.decision(), told.missing_scopes.len()), (v1::Decision::DenyScope, 1));
        let elsewhere = v1::IntrospectTokenRequest { workspace: "other".to_owned(), ..plain.clone() };
        let told = ask(&mut operator, elsewhere).await;
        assert_eq!((told.active, told.inactive_reason()), (false, v1::InactiveReason::OtherWorkspace));
    }
    assert_eq!(server.metric(READS).await, reads);

    // What a caller does not act on is unknown to it, and looked for as if it were.
    let (_, credential) = operator
        .create_token("other", "foreigner", &["tokenkeep:introspect:*", "tokenkeep:introspect"])
        .await;
    let mut foreigner = server.client(&credential).await;
    foreigner.introspect("warm").await.unwrap();
    let reads = server.metric(READS).await;
    let told = foreigner.introspect(&token).await.unwrap();
    assert_eq!((told.active, told.inactive_reason()), (false, v1::InactiveReason::Unknown));
    assert_eq!(server.metric(READS).await, reads + 1.0);
}
