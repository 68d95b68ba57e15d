//! How a stream ends: never in silence, never OK, and never later than the caller's rights.

use std::time::{Duration, Instant};

use secrecy::SecretString;
use tokenkeep::proto::v1;
use tokenkeep::revocation::{HistoryId, Position};
use tokenkeep::store::{DatabaseOptions, Store, log};
use tokenkeep::token::Revision;
use tonic::Code;
use tonic::transport::Endpoint;

use crate::clients::{Client, refusal, refused};
use crate::harness::{Database, Run, Server, eventually};
use crate::watchers::{Watcher, fill_log, revisions};

const WATCH: &str = "tokenkeep:revocations:watch";

async fn server() -> (Server, Client) {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    (server, operator)
}

/// A caller that may watch `acme`.
async fn caller(server: &Server, operator: &mut Client) -> (v1::Token, Client) {
    let (token, secret) = operator.create_token("acme", "watcher", &[WATCH]).await;
    (token, server.client(&secret).await)
}

async fn set_scopes(operator: &mut Client, id: &str, scopes: &[&str]) {
    let scopes = scopes.iter().map(ToString::to_string).collect();
    let token = v1::Token { id: id.to_owned(), scopes, ..Default::default() };
    let update_mask = Some(prost_types::FieldMask { paths: vec!["scopes".to_owned()] });
    let request = v1::UpdateTokenRequest { token: Some(token), update_mask, ..Default::default() };
    operator.tokens.update_token(request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_is_revoked_narrowed_or_regenerated_loses_its_stream() {
    let (server, mut operator) = server().await;
    let invalid = || refused(Code::Unauthenticated, "CREDENTIAL_INVALID");
    for (change, expected) in [
        ("revoked", invalid()),
        ("regenerated", invalid()),
        ("narrowed", refused(Code::PermissionDenied, "SCOPE_REQUIRED")),
    ] {
        let (token, client) = caller(&server, &mut operator).await;
        let mut watcher = Watcher::try_open(&client, "", "").await.unwrap();
        assert_eq!(watcher.frame().await.unwrap(), None);
        match change {
            "revoked" => drop(operator.revoke(&token.id).await.unwrap()),
            "regenerated" => drop(operator.regenerate(&token.id, "*").await.unwrap()),
            _ => set_scopes(&mut operator, &token.id, &["articles:read"]).await,
        }
        let (events, end) = watcher.end().await;
        assert_eq!((events, end), (vec![], expected), "{change}");
    }
    let forbidden = "tokenkeep_watchers_ended_total{reason=\"forbidden\"}";
    assert_eq!(server.metric(forbidden).await, 3.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_is_edited_and_still_may_keeps_its_stream_and_is_told() {
    let (server, mut operator) = server().await;
    let (token, client) = caller(&server, &mut operator).await;
    let mut watcher = Watcher::at_head(&client).await;
    let head = watcher.revision.unwrap();
    set_scopes(&mut operator, &token.id, &[WATCH, "articles:read"]).await;
    assert_eq!(watcher.event().await.1.token_id, token.id);
    fill_log(&server.database, "acme", 1, 1).await;
    assert_eq!(watcher.event().await.0, head + 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_expires_loses_its_stream_though_nothing_happens() {
    let (server, mut operator) = server().await;
    let lifetime = prost_types::Duration { seconds: 2, nanos: 0 };
    let request = v1::CreateTokenRequest {
        workspace: "acme".to_owned(),
        name: "short".to_owned(),
        scopes: vec![WATCH.to_owned()],
        expiration: Some(v1::create_token_request::Expiration::Lifetime(lifetime)),
        ..Default::default()
    };
    let begun = Instant::now();
    let secret = operator.tokens.create_token(request).await.unwrap().into_inner().secret;
    let mut watcher = Watcher::at_head(&server.client(&secret).await).await;
    let (_, end) = watcher.end().await;
    let lived = begun.elapsed();
    assert_eq!(end, refused(Code::Unauthenticated, "CREDENTIAL_INVALID"));
    assert!(lived > Duration::from_millis(1_900) && lived < Duration::from_secs(4), "{lived:?}");
}

/// Takes a caller's scope away and appends that to the log, with so many other revocations before and after.
async fn narrow_amidst(database: &Database, id: &str, before: i32, after: i32) {
    let mut connection = database.connect().await;
    let transaction = connection.transaction().await.unwrap();
    let statement = format!(
        "UPDATE tokens SET scopes = '{{}}' WHERE id = '{id}'; \
         INSERT INTO revisions (revision, kind, workspace, token, generation, reason, initiator) \
         SELECT head + number, CASE WHEN own THEN 'updated' ELSE 'revoked' END, 'acme', \
                CASE WHEN own THEN '{id}' ELSE gen_random_uuid() END, 1, CASE WHEN own THEN NULL ELSE '' END, 'test' \
         FROM (SELECT number, number = {before} + 1 AS own \
               FROM generate_series(1, {before} + 1 + {after}) number) numbers, \
              (SELECT coalesce(max(revision), 0) AS head FROM revisions) heads"
    );
    transaction.batch_execute(&statement).await.unwrap();
    transaction.commit().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_loses_its_rights_gets_everything_before_and_nothing_from_then_on() {
    let (server, mut operator) = server().await;
    let (token, client) = caller(&server, &mut operator).await;
    let mut watcher = Watcher::at_head(&client).await;
    let head = watcher.revision.unwrap();
    narrow_amidst(&server.database, &token.id, 20, 20).await;
    let (events, end) = watcher.end().await;
    assert_eq!(revisions(&events), (head + 1..=head + 20).collect::<Vec<_>>());
    assert_eq!(end, refused(Code::PermissionDenied, "SCOPE_REQUIRED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_loses_its_rights_while_the_stream_begins_gets_none() {
    let (server, mut operator) = server().await;
    let (token, client) = caller(&server, &mut operator).await;
    // From here on nobody reads the log, so the caller is proved but waits for the head.
    let mut connection = server.database.connect().await;
    let lock = connection.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE histories").await.unwrap();
    let begun = tokio::spawn(async move { Watcher::try_open(&client, "", "").await.map(drop) });
    let looker = server.database.connect().await;
    let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'histories'::regclass";
    eventually("the tail and the watcher wait for the head", || async {
        looker.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) >= 2
    })
    .await;
    narrow_amidst(&server.database, &token.id, 0, 0).await;
    lock.commit().await.unwrap();
    let status = begun.await.unwrap().unwrap_err();
    assert_eq!(refusal(&status), refused(Code::PermissionDenied, "SCOPE_REQUIRED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_was_altered_anywhere_is_refused() {
    let (_server, operator) = server().await;
    let cursor = Watcher::at_head(&operator).await.cursor;
    for position in 0..cursor.len() {
        let mut altered = cursor.clone();
        let other = if &cursor[position..=position] == "A" { "B" } else { "A" };
        altered.replace_range(position..=position, other);
        let status = Watcher::try_open(&operator, "", &altered).await.map(drop).unwrap_err();
        let expected = refused(Code::InvalidArgument, "INVALID_CURSOR");
        assert_eq!(refusal(&status), expected, "altered at {position}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_another_history_is_refused_and_an_open_stream_ends_when_it_begins() {
    let (server, mut operator) = server().await;
    let mut watcher = Watcher::at_head(&operator).await;
    let cursor = watcher.cursor.clone();
    let database = server.database.connect().await;
    database.batch_execute("UPDATE histories SET id = gen_random_uuid()").await.unwrap();
    let foreign = refused(Code::FailedPrecondition, "CURSOR_FOREIGN");
    assert_eq!(watcher.end().await, (vec![], foreign.clone()));
    let status = Watcher::try_open(&operator, "", &cursor).await.map(drop).unwrap_err();
    assert_eq!(refusal(&status), foreign);
    // Without a cursor it begins anew.
    let mut anew = Watcher::at_head(&operator).await;
    let (token, _) = operator.create_token("acme", "new", &[]).await;
    operator.revoke(&token.id).await.unwrap();
    assert_eq!(anew.event().await.1.token_id, token.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_read_of_another_history_than_the_one_asked_for() {
    let database = Database::fresh().await;
    fill_log(&database, "acme", 3, 1).await;
    let store = Store::new(&DatabaseOptions::new(SecretString::from(database.url.clone()))).unwrap();
    let mut connection = store.connection().await.unwrap();
    let head = log::head(&mut connection).await.unwrap().position;
    for (history, expected) in [(head.history, 2), (HistoryId(uuid::Uuid::nil()), 0)] {
        let after = Position { history, revision: Revision(1) };
        let segment = log::read_after(&mut connection, after, 10).await.unwrap();
        assert_eq!(segment.events.len(), expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_from_a_copy_that_went_on_is_ahead() {
    // Both are copies of one database, so their histories have the same name.
    let (_behind, mut operator) = server().await;
    let (ahead, elsewhere) = server().await;
    let mut watcher = Watcher::at_head(&elsewhere).await;
    let head = watcher.revision.unwrap();
    fill_log(&ahead.database, "acme", 3, 1).await;
    watcher.until(head + 3).await;
    let expected = refused(Code::FailedPrecondition, "CURSOR_AHEAD");
    let status = Watcher::try_open(&operator, "", &watcher.cursor).await.map(drop).unwrap_err();
    assert_eq!(refusal(&status), expected);
    let (token, _) = operator.create_token("acme", "new", &[]).await;
    operator.revoke(&token.id).await.unwrap();
    let status = Watcher::try_open(&operator, "", &watcher.cursor).await.map(drop).unwrap_err();
    assert_eq!(refusal(&status), expected, "still ahead");
    // To the open stream there, losing the end of the log is the same.
    let database = ahead.database.connect().await;
    let lose = format!("DELETE FROM revisions WHERE revision > {head} + 1");
    database.batch_execute(&lose).await.unwrap();
    assert_eq!(watcher.end().await, (vec![], expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hole_in_the_log_is_never_passed_over() {
    let (server, operator) = server().await;
    let Watcher { cursor, revision, .. } = Watcher::at_head(&operator).await;
    let head = revision.unwrap();
    fill_log(&server.database, "acme", 5, 1).await;
    let database = server.database.connect().await;
    let lose = format!("DELETE FROM revisions WHERE revision = {head} + 3");
    database.batch_execute(&lose).await.unwrap();
    let mut watcher = Watcher::open(&operator, &cursor).await;
    let (events, end) = watcher.end().await;
    assert_eq!((revisions(&events), end), (vec![head + 1, head + 2], refused(Code::Internal, "INTERNAL")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_the_stream_and_another_server_goes_on() {
    let database = Database::fresh().await;
    let mut first = Server::start_with(database.clone(), |command| command).await;
    let second = Server::start_with(database.clone(), |command| command).await;
    let mut watcher = Watcher::at_head(&first.operator().await).await;
    let head = watcher.revision.unwrap();
    fill_log(&database, "acme", 3, 1).await;
    watcher.until(head + 2).await;
    first.signal("TERM");
    let (mut events, end) = watcher.end().await;
    assert_eq!(end, refused(Code::Unavailable, "DRAINING"));
    first.wait(Duration::from_secs(10)).await;
    let mut resumed = Watcher::open(&second.operator().await, &watcher.cursor).await;
    events.extend(resumed.until(head + 3).await);
    assert_eq!(revisions(&events), [head + 3]);
}

/// A client with the smallest window that HTTP/2 gives unasked, so that what it does not read soon fills it.
async fn narrow_client(server: &Server) -> Client {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    let endpoint = endpoint.initial_stream_window_size(65_535).initial_connection_window_size(65_535);
    Client::over(endpoint.connect().await.unwrap(), Some(&Run::get().operator_secret))
}

const TOO_SLOW: &str = "tokenkeep_watchers_ended_total{reason=\"too_slow\"}";

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_stops_reading_is_cut_resumes_and_misses_nothing() {
    let (server, operator) = server().await;
    let mut stalled = Watcher::at_head(&narrow_client(&server).await).await;
    let mut other = Watcher::at_head(&operator).await;
    let (begun, head) = (Instant::now(), other.revision.unwrap());
    fill_log(&server.database, "acme", 3_000, 256).await;
    assert_eq!(other.until(head + 3_000).await.len(), 3_000, "others are not held up");
    eventually("the watcher is cut", || async { server.metric(TOO_SLOW).await == 1.0 }).await;
    let lasted = begun.elapsed();
    assert!(lasted > Duration::from_secs(4) && lasted < Duration::from_secs(12), "{lasted:?}");
    assert_eq!(server.metric("tokenkeep_watchers").await, 1.0, "only the other is left");

    let (mut events, end) = stalled.end().await;
    assert_eq!(end, refused(Code::ResourceExhausted, "SLOW_CONSUMER"));
    assert!(events.len() < 1_000, "{} frames were kept for it", events.len());
    let mut resumed = Watcher::open(&operator, &stalled.cursor).await;
    events.extend(resumed.until(head + 3_000).await);
    assert_eq!(revisions(&events), (head + 1..=head + 3_000).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_reads_slowly_but_steadily_is_not_cut() {
    let (server, _operator) = server().await;
    let mut slow = Watcher::at_head(&narrow_client(&server).await).await;
    let head = slow.revision.unwrap();
    fill_log(&server.database, "acme", 3_000, 256).await;
    let begun = Instant::now();
    let mut read = 0;
    // Longer than a client may take nothing, and never all that there is.
    while begun.elapsed() < Duration::from_secs(8) {
        for _ in 0..30 {
            read += i32::from(slow.frame().await.unwrap().is_some());
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!(read < 2_000, "{read} events are not slowly read");
    slow.until(head + 3_000).await;
    assert_eq!(server.metric(TOO_SLOW).await, 0.0);
}
