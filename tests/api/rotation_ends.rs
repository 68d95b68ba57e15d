//! What ends the overlap of two secrets besides its own end, how long it may be, and what the old secret can do meanwhile.

use std::time::{Duration, Instant, SystemTime};

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::InactiveReason;
use tonic::Code;

use crate::clients::{Client, refusal, refused};
use crate::harness::{Server, eventually};
use crate::rotation::{LONG, SUPERSEDED, acme, generation, regenerate, regeneration};
use crate::sidecars::{Sidecar, Told, told};
use crate::watchers::Watcher;

fn lifetime(lifetime: Duration) -> v1::CreateTokenRequest {
    let lifetime = v1::create_token_request::Expiration::Lifetime(lifetime.try_into().unwrap());
    v1::CreateTokenRequest {
        workspace: "acme".to_owned(),
        name: "short-lived".to_owned(),
        expiration: Some(lifetime),
        ..Default::default()
    }
}

fn time(time: Option<prost_types::Timestamp>) -> SystemTime {
    SystemTime::try_from(time.unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overlap_lasts_from_nothing_to_thirty_days() {
    let server = Server::start().await;
    let mut operator = acme(&server).await;
    let (token, _) = operator.create_token("acme", "rotated", &[]).await;
    let day = 86_400;
    for (seconds, nanos) in [(30 * day + 1, 0), (30 * day, 1), (-1, 0), (0, -1)] {
        let overlap = Some(prost_types::Duration { seconds, nanos });
        let request = v1::RegenerateTokenRequest { overlap, ..regeneration(&token.id, Duration::ZERO) };
        let status = operator.tokens.regenerate_token(request).await.unwrap_err();
        assert_eq!(refusal(&status).fields, ["overlap"], "{seconds} s and {nanos} ns");
        assert_eq!(refusal(&status).reason, "INVALID_FIELD");
    }
    let longest = Duration::from_hours(30 * 24);
    let (token, _) = regenerate(&mut operator, &token.id, longest).await;
    let end = time(token.previous_secret.unwrap().expire_time);
    let left = end.duration_since(time(token.update_time)).unwrap();
    assert!(left <= longest && left + Duration::from_mins(1) > longest, "{left:?}");
    // What PostgreSQL cannot keep is nothing.
    let (token, _) = regenerate(&mut operator, &token.id, Duration::from_nanos(999)).await;
    assert_eq!(token.previous_secret, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_overlap_outlives_its_token() {
    let server = Server::start().await;
    let mut operator = acme(&server).await;
    let created = operator.tokens.create_token(lifetime(Duration::from_secs(3))).await.unwrap().into_inner();
    let (id, old) = (created.token.unwrap().id, created.secret);
    let (token, new) = regenerate(&mut operator, &id, LONG).await;
    assert_eq!(token.previous_secret.unwrap().expire_time, token.expire_time);
    for secret in [&old, &new] {
        let answer = operator.introspect(secret).await.unwrap();
        assert_eq!((answer.active, answer.exp), (true, token.expire_time.map(|end| end.seconds)));
    }
    for (secret, reason) in [(&old, InactiveReason::Superseded), (&new, InactiveReason::Expired)] {
        eventually("the secret has ended", || {
            let (mut operator, secret) = (operator.clone(), secret.clone());
            async move { told(&mut operator, &secret).await != Told::Active }
        })
        .await;
        assert_eq!(told(&mut operator, secret).await, Told::Inactive(reason));
    }

    // A new expiry does not bring the old secret back, nor does a shorter one leave it behind.
    let expiration = Some(v1::regenerate_token_request::Expiration::Lifetime(LONG.try_into().unwrap()));
    let request = v1::RegenerateTokenRequest { expiration, ..regeneration(&id, LONG / 2) };
    let renewed = operator.tokens.regenerate_token(request).await.unwrap().into_inner();
    assert_eq!(told(&mut operator, &old).await, SUPERSEDED);
    assert_eq!(
        (generation(&mut operator, &new).await, generation(&mut operator, &renewed.secret).await),
        (2, 3)
    );
    let shorter = expire_in(&mut operator, &id, Duration::from_secs(1)).await;
    assert_eq!(shorter.previous_secret.unwrap().expire_time, shorter.expire_time);
    eventually("the old secret ends with its token", || {
        let (mut operator, new) = (operator.clone(), new.clone());
        async move { told(&mut operator, &new).await == Told::Inactive(InactiveReason::Expired) }
    })
    .await;
}

/// Moves the expiry of a token.
async fn expire_in(client: &mut Client, id: &str, time: Duration) -> v1::Token {
    let expire_time = Some((SystemTime::now() + time).into());
    let token = Some(v1::Token { id: id.to_owned(), expire_time, ..Default::default() });
    let request = v1::UpdateTokenRequest { token, ..Default::default() };
    client.tokens.update_token(request).await.unwrap().into_inner().token.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overlap_that_was_cut_by_an_expiry_grows_no_longer_with_it() {
    let server = Server::start().await;
    let mut operator = acme(&server).await;
    let created = operator.tokens.create_token(lifetime(Duration::from_mins(1))).await.unwrap().into_inner();
    let (token, _) = regenerate(&mut operator, &created.token.unwrap().id, LONG).await;
    let end = token.previous_secret.unwrap().expire_time;
    assert_eq!(end, token.expire_time);
    let later = expire_in(&mut operator, &token.id, LONG).await;
    assert_eq!(later.previous_secret.unwrap().expire_time, end);
    assert_eq!(operator.introspect(&created.secret).await.unwrap().exp, end.map(|end| end.seconds));
}

/// What everybody says of secrets, from a revision on.
async fn told_everywhere(
    clients: &mut [Client],
    secrets: &[String],
    min_revision: i64,
    (expected, scope): (&Told, &str),
) {
    for client in clients {
        for token in secrets.iter().cloned() {
            let ask = v1::IntrospectTokenRequest { token, min_revision, ..Default::default() };
            let answer = client.tokens.introspect_token(ask).await.unwrap().into_inner();
            assert_eq!(answer.scope, scope);
            assert_eq!(Told::from(Ok(answer)), *expected);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_a_token_ends_both_of_its_secrets() {
    let server = Server::start().await;
    let mut operator = acme(&server).await;
    operator.create_principal("acme", "robot", &["a", "b"]).await;
    let sidecar = Sidecar::beside(&[&server]).await;
    let mut clients = [operator.clone(), sidecar.client().await];
    let request = v1::CreateTokenRequest {
        workspace: "acme".to_owned(),
        name: "robot's".to_owned(),
        principal: "robot".to_owned(),
        scopes: vec!["a".to_owned(), "b".to_owned()],
        ..Default::default()
    };
    let created = operator.tokens.create_token(request).await.unwrap().into_inner();
    let (id, old) = (created.token.unwrap().id, created.secret);
    let (_, new) = regenerate(&mut operator, &id, LONG).await;
    let secrets = [old, new];
    for client in &mut clients {
        for secret in &secrets {
            assert_eq!(client.introspect(secret).await.unwrap().scope, "a b");
        }
    }
    let robot = v1::Principal {
        workspace: "acme".to_owned(),
        id: "robot".to_owned(),
        scopes: vec!["a".to_owned()],
        ..Default::default()
    };
    let request = v1::UpdatePrincipalRequest { principal: Some(robot), ..Default::default() };
    let narrowed = operator.principals.update_principal(request).await.unwrap().into_inner();
    told_everywhere(&mut clients, &secrets, narrowed.principal.unwrap().revision, (&Told::Active, "a")).await;

    let request = v1::SuspendTokenRequest { id: id.clone(), ..Default::default() };
    let suspended = operator.tokens.suspend_token(request).await.unwrap().into_inner().token.unwrap();
    assert!(suspended.previous_secret.is_some());
    told_everywhere(
        &mut clients,
        &secrets,
        suspended.revision,
        (&Told::Inactive(InactiveReason::Suspended), ""),
    )
    .await;
    let request = v1::ResumeTokenRequest { id: id.clone(), ..Default::default() };
    let resumed = operator.tokens.resume_token(request).await.unwrap().into_inner().token.unwrap();
    told_everywhere(&mut clients, &secrets, resumed.revision, (&Told::Active, "a")).await;

    let revoked = operator.revoke(&id).await.unwrap();
    assert_eq!(revoked.previous_secret, None);
    told_everywhere(&mut clients, &secrets, revoked.revision, (&Told::Inactive(InactiveReason::Revoked), ""))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invalidating_a_workspace_kills_both_secrets_and_regenerating_brings_none_back() {
    let server = Server::start().await;
    let mut operator = acme(&server).await;
    let (token, old) = operator.create_token("acme", "rotated", &[]).await;
    let (_, new) = regenerate(&mut operator, &token.id, LONG).await;
    assert_eq!((generation(&mut operator, &old).await, generation(&mut operator, &new).await), (1, 2));
    let request = v1::InvalidateWorkspaceTokensRequest { id: "acme".to_owned(), ..Default::default() };
    operator.workspaces.invalidate_workspace_tokens(request).await.unwrap();
    for secret in [&old, &new] {
        assert_eq!(told(&mut operator, secret).await, Told::Inactive(InactiveReason::Invalidated));
    }
    assert_eq!(operator.get_token(&token.id).await.unwrap().previous_secret, None);
    let mut watcher = Watcher::at_head(&operator).await;
    let (token, third) = regenerate(&mut operator, &token.id, LONG).await;
    assert_eq!(token.previous_secret, None, "a dead secret works on for no time");
    assert_eq!(watcher.event().await.1.overlap_end_time, None);
    assert_eq!(told(&mut operator, &new).await, SUPERSEDED);
    // From here on the token has a secret that was issued before the next invalidation, and one from after it.
    let (_, fourth) = regenerate(&mut operator, &token.id, LONG).await;
    assert_eq!((generation(&mut operator, &third).await, generation(&mut operator, &fourth).await), (3, 4));
}

/// A caller's own secret is a secret like any other.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_calls_and_watches_by_its_old_secret_until_that_ends() {
    let server = Server::start().await;
    let mut operator = acme(&server).await;
    let scopes = ["tokenkeep:revocations:watch", "tokenkeep:tokens:*", "a"];
    let (token, old) = operator.create_token("acme", "caller", &scopes).await;
    let mut caller = server.client(&old).await;
    let mut watcher = Watcher::at_head(&caller).await;
    let overlap = Duration::from_secs(3);
    let (token, _) = regenerate(&mut operator, &token.id, overlap).await;
    assert_eq!(watcher.event().await.1.overlap_end_time, token.previous_secret.unwrap().expire_time);
    let (doomed, _) = caller.create_token("acme", "made by the old secret", &[]).await;
    caller.revoke(&doomed.id).await.unwrap();
    assert_eq!(watcher.event().await.1.token_id, doomed.id);

    // What it leaves behind ends no later than it.
    let request = v1::CreateTokenRequest {
        workspace: "acme".to_owned(),
        name: "for ever".to_owned(),
        scopes: vec!["tokenkeep:tokens:read".to_owned()],
        ..Default::default()
    };
    let status = caller.tokens.create_token(request).await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::PermissionDenied, "LIFETIME_ESCALATION"));

    let begun = Instant::now();
    let (_, refusal_at_end) = watcher.end().await;
    assert_eq!(refusal_at_end, refused(Code::Unauthenticated, "CREDENTIAL_INVALID"));
    assert!(begun.elapsed() < overlap + Duration::from_secs(1));
    let status = caller.get_token(&token.id).await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::Unauthenticated, "CREDENTIAL_INVALID"));
}
