//! Rotation without an outage: two secrets of one token work side by side, and the old one ends when it was said to.

use std::time::{Duration, Instant, SystemTime};

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::InactiveReason;
use tonic::{Code, Status};

use crate::clients::{Client, refusal, refused};
use crate::harness::{Database, Server, eventually};
use crate::sidecars::{Sidecar, Told, told};
use crate::watchers::Watcher;

const SUPERSEDED: Told = Told::Inactive(InactiveReason::Superseded);

/// Time enough for a test.
const LONG: Duration = Duration::from_hours(1);

async fn acme(server: &Server) -> Client {
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    operator
}

fn regeneration(id: &str, overlap: Duration) -> v1::RegenerateTokenRequest {
    let overlap = Some(overlap.try_into().unwrap());
    v1::RegenerateTokenRequest { id: id.to_owned(), etag: "*".to_owned(), overlap, ..Default::default() }
}

/// Regenerates a token; gives it, and its new secret.
async fn regenerate(client: &mut Client, id: &str, overlap: Duration) -> (v1::Token, String) {
    let answer = client.tokens.regenerate_token(regeneration(id, overlap)).await.unwrap().into_inner();
    (answer.token.unwrap(), answer.secret)
}

async fn try_end_overlap(
    client: &mut Client,
    request: v1::EndOverlapRequest,
) -> Result<v1::EndOverlapResponse, Status> {
    Ok(client.tokens.end_overlap(request).await?.into_inner())
}

async fn end_overlap(client: &mut Client, id: &str, wait: v1::RevocationWait) -> v1::EndOverlapResponse {
    let request = v1::EndOverlapRequest { id: id.to_owned(), wait: wait.into(), ..Default::default() };
    try_end_overlap(client, request).await.unwrap()
}

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

/// The generation that an active secret is told to be of.
async fn generation(client: &mut Client, secret: &str) -> i32 {
    let answer = client.introspect(secret).await.unwrap();
    assert!(answer.active, "{answer:?}");
    answer.generation
}

async fn verifications(server: &Server) -> f64 {
    server.metric("tokenkeep_argon2_runs_total{purpose=\"verify\"}").await
}

/// At the server that made the change, at another one, and at a sidecar, from what they know and from what they look up.
#[tokio::test(flavor = "multi_thread")]
async fn both_secrets_work_during_an_overlap_and_the_old_one_ends_on_time_everywhere_without_an_event() {
    let (here, there) = Server::two_with(&[]).await;
    let mut operator = acme(&here).await;
    let sidecar = Sidecar::beside(&[&there]).await;
    let mut clients = [here.operator().await, there.operator().await, sidecar.client().await];
    let (token, old) = operator.create_token("acme", "rotated", &["a"]).await;
    for client in &mut clients {
        assert_eq!(generation(client, &old).await, 1);
    }
    let overlap = Duration::from_secs(4);
    let begun = Instant::now();
    let (token, new) = regenerate(&mut operator, &token.id, overlap).await;
    let made = Instant::now();
    let previous = token.previous_secret.clone().unwrap();
    assert_eq!((token.generation, previous.generation), (2, 1));
    assert!(old.ends_with(&previous.obfuscated_secret[previous.obfuscated_secret.len() - 4..]));
    assert_eq!(operator.get_token(&token.id).await.unwrap(), token);
    let head = here.database.head().await;
    while begun.elapsed() < overlap - Duration::from_millis(500) {
        for client in &mut clients {
            assert_eq!((generation(client, &old).await, generation(client, &new).await), (1, 2));
            let answer = client.introspect(&old).await.unwrap();
            assert_eq!(answer.exp, previous.expire_time.map(|end| end.seconds), "it ends with the overlap");
            assert_eq!(client.introspect(&new).await.unwrap().exp, None);
        }
    }
    assert!(sidecar.answers("cache").await > 20.0, "the sidecar has asked about each request");
    for client in &mut clients {
        while told(client, &old).await == Told::Active {
            assert!(made.elapsed() < overlap + Duration::from_millis(500), "it has not ended");
        }
        assert!(begun.elapsed() > overlap - Duration::from_millis(300), "it has ended before its time");
        assert_eq!(told(client, &old).await, SUPERSEDED);
        assert_eq!(generation(client, &new).await, 2);
    }
    assert_eq!(here.database.head().await, head, "nothing was logged of that");
    let after = operator.get_token(&token.id).await.unwrap();
    assert_eq!((after.previous_secret, after.etag), (None, token.etag));
}

/// It holds a lease for longer than the overlap lasts, and hears nothing more.
#[tokio::test(flavor = "multi_thread")]
async fn the_old_secret_ends_on_time_in_a_sidecar_that_is_cut_off() {
    let server =
        Server::start_with(Database::fresh().await, |command| command.args(["--lease", "12s"])).await;
    let mut operator = acme(&server).await;
    let sidecar = Sidecar::beside(&[&server]).await;
    let mut client = sidecar.client().await;
    let (token, old) = operator.create_token("acme", "rotated", &[]).await;
    let overlap = Duration::from_secs(4);
    let (_, new) = regenerate(&mut operator, &token.id, overlap).await;
    let made = Instant::now();
    eventually("both are known", || {
        let (mut client, old, new) = (client.clone(), old.clone(), new.clone());
        let sidecar = &sidecar;
        async move {
            let asked = sidecar.calls("resolve").await;
            assert_eq!((generation(&mut client, &old).await, generation(&mut client, &new).await), (1, 2));
            sidecar.calls("resolve").await == asked
        }
    })
    .await;
    server.signal("STOP");
    while told(&mut client, &old).await == Told::Active {
        assert!(made.elapsed() < overlap + Duration::from_millis(100), "it has not ended");
    }
    assert!(made.elapsed() > overlap - Duration::from_millis(500), "it has ended before its time");
    assert_eq!(generation(&mut client, &new).await, 2, "what is known of the other secret is still good");
    assert!(matches!(told(&mut client, &old).await, Told::Unknown(_)), "nobody knows more of the old one");
    server.signal("CONT");
}

#[tokio::test(flavor = "multi_thread")]
async fn once_the_fleet_has_confirmed_the_end_of_an_overlap_the_old_secret_works_nowhere() {
    let (here, there) = Server::two_with(&[]).await;
    let mut operator = acme(&here).await;
    let sidecars = [Sidecar::beside(&[&here]).await, Sidecar::beside(&[&there]).await];
    let mut clients =
        [operator.clone(), there.operator().await, sidecars[0].client().await, sidecars[1].client().await];
    for number in 0..10 {
        let (token, old) = operator.create_token("acme", &format!("rotated {number}"), &[]).await;
        let (token, new) = regenerate(&mut operator, &token.id, LONG).await;
        for client in &mut clients {
            assert_eq!((generation(client, &old).await, generation(client, &new).await), (1, 2));
        }
        let ended = end_overlap(&mut operator, &token.id, v1::RevocationWait::Fleet).await;
        assert!(ended.fleet_confirmed);
        for client in &mut clients {
            assert_eq!(told(client, &old).await, SUPERSEDED);
            assert_eq!(generation(client, &new).await, 2);
        }
        let ended = ended.token.unwrap();
        assert_eq!((ended.generation, ended.previous_secret.clone()), (2, None));
        assert!(ended.revision > token.revision && ended.etag != token.etag);
        // Again, with whatever etag: the same answer, and no second revision.
        let (id, etag, wait) = (token.id, token.etag, v1::RevocationWait::Fleet.into());
        let again = v1::EndOverlapRequest { id, etag, wait, ..Default::default() };
        let again = try_end_overlap(&mut operator, again).await.unwrap();
        assert_eq!((again.token, again.fleet_confirmed), (Some(ended), true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_most_one_old_secret_is_alive() {
    let server = Server::start().await;
    let mut operator = acme(&server).await;
    let (token, first) = operator.create_token("acme", "rotated", &[]).await;
    let (_, second) = regenerate(&mut operator, &token.id, LONG).await;
    assert_eq!(generation(&mut operator, &first).await, 1);
    let (again, third) = regenerate(&mut operator, &token.id, LONG).await;
    assert_eq!(again.previous_secret.unwrap().generation, 2);
    for _ in 0..2 {
        assert_eq!(told(&mut operator, &first).await, SUPERSEDED);
        assert_eq!(generation(&mut operator, &second).await, 2);
        assert_eq!(generation(&mut operator, &third).await, 3);
    }
    let (alone, fourth) = regenerate(&mut operator, &token.id, Duration::ZERO).await;
    assert_eq!(alone.previous_secret, None);
    for old in [&first, &second, &third] {
        assert_eq!(told(&mut operator, old).await, SUPERSEDED);
    }
    assert_eq!(generation(&mut operator, &fourth).await, 4);
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
    assert!(left <= longest && left > longest - Duration::from_mins(1), "{left:?}");
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
    let expect = async |clients: &mut [Client], revision: i64, expected: &Told, scope: &str| {
        for client in clients {
            for token in &secrets {
                let (token, min_revision) = (token.clone(), revision);
                let ask = v1::IntrospectTokenRequest { token, min_revision, ..Default::default() };
                let answer = client.tokens.introspect_token(ask).await.unwrap().into_inner();
                assert_eq!(answer.scope, scope);
                assert_eq!(Told::from(Ok(answer)), *expected);
            }
        }
    };

    let narrower = v1::Principal {
        workspace: "acme".to_owned(),
        id: "robot".to_owned(),
        scopes: vec!["a".to_owned()],
        ..Default::default()
    };
    let request = v1::UpdatePrincipalRequest { principal: Some(narrower), ..Default::default() };
    let narrowed = operator.principals.update_principal(request).await.unwrap().into_inner();
    expect(&mut clients, narrowed.principal.unwrap().revision, &Told::Active, "a").await;

    let request = v1::SuspendTokenRequest { id: id.clone(), ..Default::default() };
    let suspended = operator.tokens.suspend_token(request).await.unwrap().into_inner().token.unwrap();
    assert!(suspended.previous_secret.is_some());
    expect(&mut clients, suspended.revision, &Told::Inactive(InactiveReason::Suspended), "").await;
    let request = v1::ResumeTokenRequest { id: id.clone(), ..Default::default() };
    let resumed = operator.tokens.resume_token(request).await.unwrap().into_inner().token.unwrap();
    expect(&mut clients, resumed.revision, &Told::Active, "a").await;

    let revoked = operator.revoke(&id).await.unwrap();
    assert_eq!(revoked.previous_secret, None);
    expect(&mut clients, revoked.revision, &Told::Inactive(InactiveReason::Revoked), "").await;
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

/// Without the doorbell another server hears of a change only by its poll.
#[tokio::test(flavor = "multi_thread")]
async fn a_strong_answer_and_one_from_a_revision_on_know_of_the_end_of_an_overlap() {
    let (here, there) = Server::two_with(&["--doorbell", "false"]).await;
    let mut operator = acme(&here).await;
    let mut elsewhere = there.operator().await;
    for round in 0..6 {
        let (token, old) = operator.create_token("acme", "rotated", &[]).await;
        let (token, _) = regenerate(&mut operator, &token.id, LONG).await;
        let ask = v1::IntrospectTokenRequest {
            token: old,
            min_revision: token.revision,
            strong: round % 3 == 0,
            ..Default::default()
        };
        let answer = elsewhere.tokens.introspect_token(ask.clone()).await.unwrap().into_inner();
        assert_eq!((answer.active, answer.generation), (true, 1));
        let ended = end_overlap(&mut operator, &token.id, v1::RevocationWait::Commit).await;
        assert!(!ended.fleet_confirmed);
        let (min_revision, strong) =
            if round % 2 == 0 { (ended.token.unwrap().revision, false) } else { (0, true) };
        let ask = v1::IntrospectTokenRequest { min_revision, strong, ..ask };
        let answer = elsewhere.tokens.introspect_token(ask).await.unwrap().into_inner();
        assert_eq!(answer.inactive_reason(), InactiveReason::Superseded, "strong: {strong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_secret_buys_argon2_once_and_a_dead_one_never() {
    let server = Server::start().await;
    let mut operator = acme(&server).await;
    let (token, first) = operator.create_token("acme", "rotated", &[]).await;
    operator.introspect("warm").await.unwrap();
    let before = verifications(&server).await;
    let (_, second) = regenerate(&mut operator, &token.id, LONG).await;
    for _ in 0..5 {
        assert_eq!(
            (generation(&mut operator, &first).await, generation(&mut operator, &second).await),
            (1, 2)
        );
    }
    assert_eq!(verifications(&server).await, before + 2.0);
    // Whatever makes them be looked up again.
    let (token, third) = regenerate(&mut operator, &token.id, LONG).await;
    for _ in 0..5 {
        assert_eq!(
            (generation(&mut operator, &second).await, generation(&mut operator, &third).await),
            (2, 3)
        );
        assert_eq!(told(&mut operator, &first).await, SUPERSEDED);
    }
    end_overlap(&mut operator, &token.id, v1::RevocationWait::Commit).await;
    for _ in 0..5 {
        assert_eq!(told(&mut operator, &first).await, SUPERSEDED);
        assert_eq!(told(&mut operator, &second).await, SUPERSEDED);
    }
    assert_eq!(verifications(&server).await, before + 3.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_tells_each_secret_for_what_it_is() {
    let server = Server::start().await;
    let mut operator = acme(&server).await;
    let (token, first) = operator.create_token("acme", "rotated", &[]).await;
    let (_, second) = regenerate(&mut operator, &token.id, LONG).await;
    let (_, third) = regenerate(&mut operator, &token.id, LONG).await;
    let ask = |token: &String| v1::IntrospectTokenRequest { token: token.clone(), ..Default::default() };
    for _ in 0..2 {
        let outcomes = operator.introspect_all([&third, &first, &second].map(ask).into()).await.unwrap();
        let told: Vec<i32> = outcomes
            .into_iter()
            .map(|outcome| match outcome {
                v1::introspection_outcome::Outcome::Answer(answer) => answer.generation,
                v1::introspection_outcome::Outcome::Failure(failure) => panic!("{failure:?}"),
            })
            .collect();
        assert_eq!(told, [3, 0, 2]);
    }
    let reads = server.metric("tokenkeep_credential_reads_total").await;
    assert_eq!((generation(&mut operator, &second).await, generation(&mut operator, &third).await), (2, 3));
    assert_eq!(server.metric("tokenkeep_credential_reads_total").await, reads, "both are known by now");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stream_tells_of_the_overlap_and_of_its_end() {
    let server = Server::start().await;
    let mut operator = acme(&server).await;
    let (token, _) = operator.create_token("acme", "rotated", &[]).await;
    let mut watcher = Watcher::at_head(&operator).await;
    let (token, _) = regenerate(&mut operator, &token.id, LONG).await;
    let (revision, event) = watcher.event().await;
    assert_eq!(
        (revision, event.kind(), event.generation),
        (token.revision, v1::RevocationKind::SecretReplaced, 2)
    );
    assert_eq!(event.overlap_end_time, token.previous_secret.unwrap().expire_time);
    let id = token.id.clone();
    let request = v1::EndOverlapRequest { id, initiator: "mia".to_owned(), ..Default::default() };
    let ended = try_end_overlap(&mut operator, request).await.unwrap().token.unwrap();
    let (revision, event) = watcher.event().await;
    assert_eq!(
        (revision, event.kind(), event.generation),
        (ended.revision, v1::RevocationKind::SecretReplaced, 2)
    );
    assert_eq!((event.overlap_end_time, event.initiator.as_str()), (None, "mia"));
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

#[tokio::test(flavor = "multi_thread")]
async fn an_overlap_is_ended_only_by_who_could_have_begun_it_and_in_the_version_they_know() {
    let server = Server::start().await;
    let mut operator = acme(&server).await;
    let (token, old) = operator.create_token("acme", "mighty", &["tokenkeep:tokens:read"]).await;
    let (token, _) = regenerate(&mut operator, &token.id, LONG).await;
    let request = v1::EndOverlapRequest { id: token.id.clone(), ..Default::default() };

    let stale = v1::EndOverlapRequest { etag: "r0".to_owned(), ..request.clone() };
    let status = try_end_overlap(&mut operator, stale).await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::Aborted, "ETAG_MISMATCH"));
    let (_, weak) = operator.create_token("acme", "weak", &["tokenkeep:tokens:regenerate"]).await;
    let status = try_end_overlap(&mut server.client(&weak).await, request.clone()).await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::PermissionDenied, "SCOPE_ESCALATION"));
    operator.create_workspace("other").await;
    let (_, foreign) = operator.create_token("other", "foreign", &["tokenkeep:tokens:*"]).await;
    let status = try_end_overlap(&mut server.client(&foreign).await, request.clone()).await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::NotFound, "TOKEN_NOT_FOUND"));
    let nonsense = v1::EndOverlapRequest { id: "x".to_owned(), wait: 9, ..Default::default() };
    let status = try_end_overlap(&mut operator, nonsense).await.unwrap_err();
    assert_eq!(refusal(&status).fields, ["id", "wait"]);
    assert_eq!(generation(&mut operator, &old).await, 1, "none of these has ended it");

    let right = v1::EndOverlapRequest { etag: token.etag, ..request.clone() };
    assert_eq!(try_end_overlap(&mut operator, right).await.unwrap().token.unwrap().previous_secret, None);
    operator.revoke(&token.id).await.unwrap();
    let status = try_end_overlap(&mut operator, request).await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::FailedPrecondition, "TOKEN_REVOKED"));
}

/// Two servers, one that begins overlaps and one that ends them: whoever is told that the token has one secret again is
/// told the truth.
#[tokio::test(flavor = "multi_thread")]
async fn an_overlap_that_begins_while_one_is_ended_is_not_missed() {
    let (here, there) = Server::two_with(&[]).await;
    let mut operator = acme(&here).await;
    let (token, _) = operator.create_token("acme", "rotated", &[]).await;
    let mut elsewhere = there.operator().await;
    for _ in 0..30 {
        let (begun, ended) = tokio::join!(
            regenerate(&mut operator, &token.id, LONG),
            end_overlap(&mut elsewhere, &token.id, v1::RevocationWait::Commit),
        );
        let ended = ended.token.unwrap();
        assert_eq!(ended.previous_secret, None);
        let now = operator.get_token(&token.id).await.unwrap();
        let is_over = ended.generation == begun.0.generation;
        assert_eq!(now.previous_secret.is_none(), is_over, "{ended:?} after {:?}", begun.0);
    }
}
