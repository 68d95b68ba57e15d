//! Ending many tokens at once: a dry run first, then one change, however many they are, that leaves all others alone.

use std::time::{Duration, Instant};

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::{InactiveReason, TokenState};
use tonic::{Code, Status};

use crate::clients::{Client, Refusal, refusal, refused};
use crate::harness::{Database, Server};
use crate::sidecars::{Sidecar, Told, told};
use crate::watchers::Watcher;

async fn server() -> (Server, Client) {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    operator.create_workspace("other").await;
    (server, operator)
}

fn named(prefix: &str) -> v1::BulkRevokeTokensRequest {
    v1::BulkRevokeTokensRequest {
        workspace: "acme".to_owned(),
        filter: Some(v1::TokenFilter { name_prefix: prefix.to_owned(), ..Default::default() }),
        reason: "the build server was broken into".to_owned(),
        initiator: "mia".to_owned(),
        wait: v1::RevocationWait::Fleet.into(),
        ..Default::default()
    }
}

async fn ask(
    client: &mut Client,
    request: v1::BulkRevokeTokensRequest,
) -> Result<v1::BulkRevokeTokensResponse, Status> {
    Ok(client.tokens.bulk_revoke_tokens(request).await?.into_inner())
}

/// Tokens with their secrets, so many at once as a server likes.
async fn tokens(operator: &Client, count: usize, name: &str) -> Vec<(v1::Token, String)> {
    let mut made = Vec::new();
    while made.len() < count {
        let mut creations = tokio::task::JoinSet::new();
        for number in made.len()..count.min(made.len() + 20) {
            let (mut operator, name) = (operator.clone(), format!("{name}{number:05}"));
            creations.spawn(async move { operator.create_token("acme", &name, &["a"]).await });
        }
        made.extend(creations.join_all().await);
    }
    made
}

/// How each of many tokens is told.
async fn told_of(client: &mut Client, tokens: &[(v1::Token, String)]) -> Vec<Told> {
    use v1::introspection_outcome::Outcome;
    let mut all = Vec::new();
    for some in tokens.chunks(200) {
        let request =
            |secret: &String| v1::IntrospectTokenRequest { token: secret.clone(), ..Default::default() };
        let requests = some.iter().map(|(_, secret)| request(secret)).collect();
        let outcomes = client.introspect_all(requests).await.unwrap();
        all.extend(outcomes.into_iter().map(|outcome| match outcome {
            Outcome::Answer(answer) => Told::from(Ok(answer)),
            Outcome::Failure(failure) => panic!("{failure:?}"),
        }));
    }
    all
}

async fn knows(client: &mut Client, tokens: &[(v1::Token, String)]) {
    for told in told_of(client, tokens).await {
        assert_eq!(told, Told::Active);
    }
}

const REVOKED: Told = Told::Inactive(InactiveReason::Revoked);

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_counts_shows_the_newest_and_changes_nothing() {
    let (server, mut operator) = server().await;
    let made = tokens(&operator, 12, "ci-").await;
    operator.create_token("acme", "untouched", &[]).await;
    let (dead, _) = operator.create_token("acme", "ci-dead", &[]).await;
    operator.revoke(&dead.id).await.unwrap();
    let head = server.database.head().await;
    let dry =
        ask(&mut operator, v1::BulkRevokeTokensRequest { dry_run: true, ..named("ci-") }).await.unwrap();
    assert_eq!((dry.token_count, dry.revision, dry.fleet_confirmed), (12, 0, false));
    let mut newest: Vec<&str> = made.iter().map(|(token, _)| token.id.as_str()).collect();
    newest.sort_unstable_by(|one, other| other.cmp(one));
    assert_eq!(dry.sample.iter().map(|token| token.id.as_str()).collect::<Vec<_>>(), newest[..10]);
    assert!(dry.sample.iter().all(|token| token.state() == TokenState::Active));
    assert_eq!(server.database.head().await, head);
    knows(&mut operator, &made).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_the_filter_matches_end_by_one_change_that_names_them() {
    let (server, mut operator) = server().await;
    let sidecar = Sidecar::beside(&[&server]).await;
    let mut clients = [server.operator().await, sidecar.client().await];
    let made = tokens(&operator, 40, "ci-").await;
    let others = [operator.create_token("acme", "untouched", &["a"]).await];
    let elsewhere = [operator.create_token("other", "ci-", &["a"]).await];
    for client in &mut clients {
        for some in [&made[..], &others, &elsewhere] {
            knows(client, some).await;
        }
    }
    let mut watcher = Watcher::at_head(&operator).await;
    let mut stranger = Watcher::try_open(&operator, "other", "").await.unwrap();
    let head = server.database.head().await;
    let answer = ask(&mut operator, named("ci-")).await.unwrap();
    assert_eq!((answer.token_count, answer.revision, answer.fleet_confirmed), (40, head + 1, true));
    assert_eq!((answer.sample.len(), answer.sample[0].state()), (10, TokenState::Active));
    for client in &mut clients {
        assert_eq!(told_of(client, &made).await, vec![REVOKED; 40]);
        knows(client, &others).await;
        knows(client, &elsewhere).await;
    }
    let (revision, event) = watcher.event().await;
    assert_eq!((revision, event.kind()), (head + 1, v1::RevocationKind::BulkRevoked));
    assert_eq!((event.workspace.as_str(), event.initiator.as_str()), ("acme", "mia"));
    assert_eq!((event.reason.as_str(), event.token_id.as_str()), ("the build server was broken into", ""));
    let mut ids: Vec<&String> = made.iter().map(|(token, _)| &token.id).collect();
    ids.sort_unstable();
    assert_eq!(event.token_ids.iter().collect::<Vec<_>>(), ids);
    assert!(stranger.until(head + 1).await.is_empty(), "who watches another workspace is told nothing");
    let read = operator.get_token(&made[7].0.id).await.unwrap();
    assert_eq!((read.state(), read.revision), (TokenState::Revoked, head + 1));
    assert_eq!(read.revoke_reason, "the build server was broken into");
    assert_ne!(read.etag, made[7].0.etag);
    let again = ask(&mut operator, named("ci-")).await.unwrap();
    assert_eq!((again.token_count, again.revision, again.sample.len()), (0, 0, 0));
    assert_eq!(server.database.head().await, head + 1, "what is revoked already is no change");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_thousand_end_everywhere_and_every_other_token_of_the_workspace_works_on() {
    let (here, there) = Server::two_with(&[]).await;
    let mut operator = here.operator().await;
    operator.create_workspace("acme").await;
    let sidecar = Sidecar::beside(&[&there]).await;
    let mut clients = [here.operator().await, there.operator().await, sidecar.client().await];
    let (made, others) = (tokens(&operator, 1_500, "ci-").await, tokens(&operator, 5, "kept-").await);
    for client in &mut clients {
        knows(client, &made).await;
        knows(client, &others).await;
    }
    let mut watcher = Watcher::at_head(&there.operator().await).await;
    let head = here.database.head().await;
    let answer = ask(&mut operator, named("ci-")).await.unwrap();
    assert_eq!((answer.token_count, answer.revision, answer.fleet_confirmed), (1_500, head + 1, true));
    for client in &mut clients {
        assert!(told_of(client, &made).await.iter().all(|told| *told == REVOKED));
        knows(client, &others).await;
    }
    let (revision, event) = watcher.event().await;
    assert_eq!((revision, event.kind()), (head + 1, v1::RevocationKind::BulkRevoked));
    assert!(event.token_ids.is_empty(), "none of so many is named");
    assert!(watcher.until(here.database.head().await).await.is_empty(), "one event tells of all");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_number_than_expected_ends_nothing() {
    let (server, mut operator) = server().await;
    let made = tokens(&operator, 3, "ci-").await;
    let head = server.database.head().await;
    for expected in [2, 4] {
        let request = v1::BulkRevokeTokensRequest { expected_count: Some(expected), ..named("ci-") };
        let status = ask(&mut operator, request).await.unwrap_err();
        assert_eq!(refusal(&status), refused(Code::FailedPrecondition, "COUNT_MISMATCH"));
    }
    assert_eq!(server.database.head().await, head);
    knows(&mut operator, &made).await;
    let request = v1::BulkRevokeTokensRequest { expected_count: Some(3), ..named("ci-") };
    assert_eq!(ask(&mut operator, request).await.unwrap().token_count, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_narrows_nothing_ends_all_and_none_is_no_filter() {
    let (_server, mut operator) = server().await;
    let made = tokens(&operator, 2, "ci-").await;
    let (suspended, _) = operator.create_token("acme", "suspended", &[]).await;
    let request = v1::SuspendTokenRequest { id: suspended.id, ..Default::default() };
    operator.tokens.suspend_token(request).await.unwrap();
    let missing = ask(&mut operator, v1::BulkRevokeTokensRequest { filter: None, ..named("") }).await;
    let invalid =
        Refusal { fields: vec!["filter".to_owned()], ..refused(Code::InvalidArgument, "INVALID_FIELD") };
    assert_eq!(refusal(&missing.unwrap_err()), invalid);
    let revoked = vec![TokenState::Revoked.into()];
    let filter = Some(v1::TokenFilter { states: revoked, ..Default::default() });
    let none = ask(&mut operator, v1::BulkRevokeTokensRequest { filter, ..named("") }).await.unwrap();
    assert_eq!(none.token_count, 0);
    assert_eq!(ask(&mut operator, named("")).await.unwrap().token_count, 3);
    assert_eq!(told_of(&mut operator, &made).await, vec![REVOKED; 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_ends_no_tokens_in_bulk_that_it_could_not_end_singly() {
    let (server, mut operator) = server().await;
    let made = tokens(&operator, 2, "ci-").await;
    for (workspace, scope, expected) in [
        ("other", "tokenkeep:tokens:revoke", refused(Code::PermissionDenied, "WORKSPACE_DENIED")),
        ("acme", "tokenkeep:tokens:update", refused(Code::PermissionDenied, "SCOPE_REQUIRED")),
    ] {
        let (_, secret) = operator.create_token(workspace, "caller", &[scope]).await;
        let mut caller = server.client(&secret).await;
        assert_eq!(refusal(&ask(&mut caller, named("ci-")).await.unwrap_err()), expected);
    }
    knows(&mut operator, &made).await;
}

/// While it works, single changes of other tokens come through, and the log is not held.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn a_hundred_thousand_end_in_one_call() {
    for count in [100_000_i64, 1_000_000] {
        let server = Server::start_with(Database::fresh().await, |command| command).await;
        let mut operator = server.operator().await;
        operator.create_workspace("acme").await;
        operator.create_workspace("other").await;
        let (_, secret) = operator.create_token("acme", "ci-one", &["a"]).await;
        assert_eq!(told(&mut operator, &secret).await, Told::Active);
        copy(&server.database, count - 1).await;
        let busy = tokio::spawn(busy(server.operator().await));
        let begun = Instant::now();
        let dry = ask(&mut operator, v1::BulkRevokeTokensRequest { dry_run: true, ..named("ci-") }).await;
        println!("{count} counted in {:?}: {:?}", begun.elapsed(), dry.map(|dry| dry.token_count));
        let begun = Instant::now();
        let answer = ask(&mut operator, named("ci-")).await;
        println!("{count} ended in {:?}: {:?}", begun.elapsed(), answer.map(|answer| answer.token_count));
        // Of a million the call does not wait for the end.
        while told(&mut operator, &secret).await != REVOKED {
            assert!(begun.elapsed() < Duration::from_mins(3), "it does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        println!(
            "ended after {:?}; the slowest single change took {:?}",
            begun.elapsed(),
            busy.await.unwrap()
        );
    }
}

/// Tokens by SQL, like the one that is there.
async fn copy(database: &Database, count: i64) {
    let columns = "workspace, name, description, creator, scopes, metadata, generation, obfuscated_secret, kid, tag, \
         secret_hash, type, audiences, allowed_cidrs, epoch";
    let copy = format!(
        "INSERT INTO tokens (id, {columns}) SELECT gen_random_uuid(), {columns} FROM tokens, generate_series(1, $1::bigint) \
         WHERE name = 'ci-one'"
    );
    let client = database.connect().await;
    client.execute(&copy, &[&count]).await.unwrap();
    client.batch_execute("VACUUM ANALYZE tokens").await.unwrap();
}

/// Changes tokens of another workspace for a while; gives the longest that one took.
async fn busy(mut operator: Client) -> Duration {
    let (begun, mut longest) = (Instant::now(), Duration::ZERO);
    while begun.elapsed() < Duration::from_secs(8) {
        let (token, _) = operator.create_token("other", "busy", &[]).await;
        let asked = Instant::now();
        operator.revoke(&token.id).await.unwrap();
        longest = longest.max(asked.elapsed());
    }
    longest
}
