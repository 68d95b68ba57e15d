//! Rotation without an outage: two secrets of one token work side by side, and the old one ends when it was said to.

use std::time::{Duration, Instant};

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::InactiveReason;
use tonic::{Code, Status};

use crate::clients::{Client, refusal, refused};
use crate::harness::{Database, Server, eventually};
use crate::sidecars::{Sidecar, Told, told};
use crate::watchers::Watcher;

pub const SUPERSEDED: Told = Told::Inactive(InactiveReason::Superseded);

/// Time enough for a test.
pub const LONG: Duration = Duration::from_hours(1);

pub async fn acme(server: &Server) -> Client {
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    operator
}

pub fn regeneration(id: &str, overlap: Duration) -> v1::RegenerateTokenRequest {
    let overlap = Some(overlap.try_into().unwrap());
    v1::RegenerateTokenRequest { id: id.to_owned(), etag: "*".to_owned(), overlap, ..Default::default() }
}

/// Regenerates a token; gives it, and its new secret.
pub async fn regenerate(client: &mut Client, id: &str, overlap: Duration) -> (v1::Token, String) {
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

/// The generation that an active secret is told to be of.
pub async fn generation(client: &mut Client, secret: &str) -> i32 {
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
    while begun.elapsed() + Duration::from_millis(500) < overlap {
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
        assert!(begun.elapsed() + Duration::from_millis(300) > overlap, "it has ended before its time");
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
    assert!(made.elapsed() + Duration::from_millis(500) > overlap, "it has ended before its time");
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
