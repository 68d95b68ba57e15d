//! Secrets that leaked: whoever holds them can end them, and learns nothing about them.

use std::time::{Duration, Instant};

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::{InactiveReason, TokenState};
use tonic::{Code, Status};

use crate::clients::{Client, Refusal, refusal, refused};
use crate::harness::{Server, eventually};
use crate::life::forge;
use crate::rotation::{LONG, SUPERSEDED, regenerate};
use crate::sidecars::{Told, told};

const SCANNER: &[&str] = &["tokenkeep:tokens:revoke-secret"];

async fn scene() -> (Server, Client, Client) {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    operator.create_workspace("other").await;
    let (_, secret) = operator.create_token("tokenkeep", "scanner", SCANNER).await;
    let scanner = server.client(&secret).await;
    (server, operator, scanner)
}

async fn report(client: &mut Client, secrets: &[&str]) -> Result<v1::RevokeSecretResponse, Status> {
    let request = v1::RevokeSecretRequest {
        secrets: secrets.iter().map(ToString::to_string).collect(),
        reason: "found in a public repository".to_owned(),
        initiator: "scanner 7".to_owned(),
    };
    Ok(client.tokens.revoke_secret(request).await?.into_inner())
}

async fn state(operator: &mut Client, id: &str) -> TokenState {
    operator.get_token(id).await.unwrap().state()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_whose_secret_is_presented_is_revoked_in_whatever_workspace() {
    let (_server, mut operator, mut scanner) = scene().await;
    let (one, first) = operator.create_token("acme", "one", &[]).await;
    let (_, second) = operator.create_token("other", "two", &[]).await;
    assert_eq!(told(&mut operator, &first).await, Told::Active);
    report(&mut scanner, &[&first, "no secret at all", "", &second, &first]).await.unwrap();
    for secret in [&first, &second] {
        assert_eq!(told(&mut operator, secret).await, Told::Inactive(InactiveReason::Revoked));
    }
    let read = operator.get_token(&one.id).await.unwrap();
    assert_eq!(read.revoke_reason, "found in a public repository");
    let again = report(&mut scanner, &[&first]).await.unwrap();
    assert_eq!(again, v1::RevokeSecretResponse {});
    assert_eq!(operator.get_token(&one.id).await.unwrap(), read);
}

/// It would work again as soon as somebody resumes, renews or enables.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_only_sleeps_is_ended_too() {
    let (_server, mut operator, mut scanner) = scene().await;
    operator.create_principal("acme", "bot", &["*"]).await;
    let (suspended, first) = operator.create_token("acme", "suspended", &[]).await;
    let request = v1::SuspendTokenRequest { id: suspended.id.clone(), ..Default::default() };
    operator.tokens.suspend_token(request).await.unwrap();
    let request = v1::CreateTokenRequest {
        workspace: "acme".to_owned(),
        name: "expired".to_owned(),
        principal: "bot".to_owned(),
        expiration: Some(v1::create_token_request::Expiration::Lifetime(prost_types::Duration {
            seconds: 1,
            nanos: 0,
        })),
        ..Default::default()
    };
    let expired = operator.tokens.create_token(request).await.unwrap().into_inner();
    let (expired, second) = (expired.token.unwrap(), expired.secret);
    eventually("the token expires", || async {
        state(&mut operator.clone(), &expired.id).await == TokenState::Expired
    })
    .await;
    report(&mut scanner, &[&first, &second]).await.unwrap();
    for id in [&suspended.id, &expired.id] {
        assert_eq!(state(&mut operator, id).await, TokenState::Revoked);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_or_forged_secret_harms_no_token_and_is_answered_alike() {
    let (server, mut operator, mut scanner) = scene().await;
    let (token, old) = operator.create_token("acme", "regenerated", &[]).await;
    let new = operator.regenerate(&token.id, "*").await.unwrap().secret;
    assert_eq!(told(&mut operator, &new).await, Told::Active);
    let head = server.database.head().await;
    let dead = report(&mut scanner, &[&old]).await.unwrap();
    let reads = server.metric("tokenkeep_credential_reads_total").await;
    let argon2 = server.metric("tokenkeep_argon2_seconds_count{purpose=\"verify\"}").await;
    let forged = report(&mut scanner, &[&forge(&new), "nothing"]).await.unwrap();
    assert_eq!(dead, forged);
    assert_eq!(server.metric("tokenkeep_credential_reads_total").await, reads, "a forged one is looked up");
    assert_eq!(server.metric("tokenkeep_argon2_seconds_count{purpose=\"verify\"}").await, argon2);
    assert_eq!(server.database.head().await, head);
    assert_eq!(told(&mut operator, &new).await, Told::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_only_an_overlap_keeps_alive_ends_alone() {
    let (server, mut operator, mut scanner) = scene().await;
    let (token, old) = operator.create_token("acme", "rotated", &[]).await;
    let (_, new) = regenerate(&mut operator, &token.id, LONG).await;
    for secret in [&old, &new] {
        assert_eq!(told(&mut operator, secret).await, Told::Active);
    }
    report(&mut scanner, &[&old]).await.unwrap();
    assert_eq!(told(&mut operator, &old).await, SUPERSEDED);
    assert_eq!(told(&mut operator, &new).await, Told::Active);
    let read = operator.get_token(&token.id).await.unwrap();
    assert_eq!((read.state(), read.previous_secret), (TokenState::Active, None));
    let head = server.database.head().await;
    report(&mut scanner, &[&old]).await.unwrap();
    assert_eq!(server.database.head().await, head, "it is dead already");
    // With the present one the token ends, in whatever order they are found.
    let (_, newest) = regenerate(&mut operator, &token.id, LONG).await;
    report(&mut scanner, &[&newest, &new]).await.unwrap();
    for secret in [&new, &newest] {
        assert_eq!(told(&mut operator, secret).await, Told::Inactive(InactiveReason::Revoked));
    }
}

/// Its tag alone, which anybody with the server's keys could make, is not the secret.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_proved_in_full() {
    let (server, mut operator, mut scanner) = scene().await;
    let (token, secret) = operator.create_token("acme", "one", &[]).await;
    let (_, other) = operator.create_token("acme", "two", &[]).await;
    let client = server.database.connect().await;
    // As if the tag were right and the secret were not.
    let swap = "UPDATE tokens SET secret_hash = (SELECT secret_hash FROM tokens WHERE name = 'two') WHERE name = 'one'";
    client.batch_execute(swap).await.unwrap();
    report(&mut scanner, &[&secret, &other]).await.unwrap();
    assert_eq!(state(&mut operator, &token.id).await, TokenState::Active);
    assert_eq!(told(&mut operator, &other).await, Told::Inactive(InactiveReason::Revoked));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_of_one_workspace_reaches_no_other_and_cannot_tell() {
    let (server, mut operator, _) = scene().await;
    let (own, first) = operator.create_token("acme", "own", &[]).await;
    let (foreign, second) = operator.create_token("other", "foreign", &[]).await;
    let (_, secret) = operator.create_token("acme", "scanner", SCANNER).await;
    let mut scanner = server.client(&secret).await;
    report(&mut scanner, &[&first, &second]).await.unwrap();
    assert_eq!(state(&mut operator, &own.id).await, TokenState::Revoked);
    assert_eq!(state(&mut operator, &foreign.id).await, TokenState::Active);
    let (_, secret) = operator.create_token("acme", "no scanner", &["tokenkeep:tokens:revoke"]).await;
    let status = report(&mut server.client(&secret).await, &[&first]).await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::PermissionDenied, "SCOPE_REQUIRED"));
}

/// A quarter of a second hides a look, argon2 and a commit.
#[tokio::test(flavor = "multi_thread")]
async fn the_time_of_an_answer_does_not_tell_a_live_secret_from_nonsense() {
    let (_server, mut operator, mut scanner) = scene().await;
    let mut times = Vec::new();
    for round in 0..6 {
        let (_, secret) = operator.create_token("acme", "live", &[]).await;
        let presented = if round % 2 == 0 { secret.as_str() } else { "nonsense" };
        let asked = Instant::now();
        report(&mut scanner, &[presented]).await.unwrap();
        times.push(asked.elapsed());
    }
    assert!(times.iter().all(|time| *time >= Duration::from_millis(250)), "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_presents_a_thousand_within_a_minute_and_no_more() {
    let (server, mut operator, mut scanner) = scene().await;
    let nonsense = vec!["nonsense"; 100];
    let mut reports = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let (mut scanner, nonsense) = (scanner.clone(), nonsense.clone());
        reports.spawn(async move { report(&mut scanner, &nonsense).await });
    }
    for outcome in reports.join_all().await {
        outcome.unwrap();
    }
    let (token, secret) = operator.create_token("acme", "live", &[]).await;
    let mut more = nonsense.clone();
    more[0] = &secret;
    let status = report(&mut scanner, &more).await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::ResourceExhausted, "REVOKE_SECRET_RATE_EXCEEDED"));
    assert_eq!(state(&mut operator, &token.id).await, TokenState::Active);
    let (_, another) = operator.create_token("tokenkeep", "scanner", SCANNER).await;
    report(&mut server.client(&another).await, &[&secret]).await.unwrap();
    assert_eq!(state(&mut operator, &token.id).await, TokenState::Revoked, "each caller has its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_to_a_hundred_secrets_are_taken() {
    let (_server, _, mut scanner) = scene().await;
    for secrets in [vec![], vec!["x"; 101]] {
        let status = report(&mut scanner, &secrets).await.unwrap_err();
        let fields = vec!["secrets".to_owned()];
        assert_eq!(refusal(&status), Refusal { fields, ..refused(Code::InvalidArgument, "INVALID_FIELD") });
    }
}
