//! What a watcher is told besides events: confirmed by heartbeats alone, sooner where events are left out; and what
//! happens to those who come back when the log no longer reaches so far.

use std::time::{Duration, Instant};

use secrecy::SecretString;
use tokenkeep::proto::v1;
use tokenkeep::proto::v1::watch_revocations_response::Frame;
use tokenkeep::store::{DatabaseOptions, Store, log};
use tonic::{Code, Streaming};
use tonic_types::StatusExt as _;

use crate::clients::{refusal, refused};
use crate::fleet::{server, tokens};
use crate::harness::{Database, Server, eventually};
use crate::watchers::{Watcher, fill_log, revisions};

type Frames = Streaming<v1::WatchRevocationsResponse>;

/// The next progress, if one comes in time: its revision, and whether it is confirmed.
async fn progress(frames: &mut Frames, patience: Duration) -> Option<(i64, bool)> {
    let begun = Instant::now();
    loop {
        let left = patience.checked_sub(begun.elapsed())?;
        let message = tokio::time::timeout(left, frames.message()).await.ok()?.unwrap().unwrap();
        if let Some(Frame::Progress(progress)) = message.frame {
            return Some((message.revision, progress.confirmed));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_confirmed_only_by_heartbeats_that_commit() {
    let database = Database::fresh().await;
    let server = server(&database, &[]).await;
    let (mut operator, ids) = tokens(&server, 1).await;
    let head = database.head().await;
    let mut frames = operator.watch("", "").await.unwrap();
    let soon = Duration::from_secs(2);
    assert_eq!(progress(&mut frames, soon).await, Some((head, false)), "where the stream begins");
    assert_eq!(progress(&mut frames, soon).await, Some((head, true)));
    let mut locker = database.connect().await;
    let transaction = locker.transaction().await.unwrap();
    transaction.batch_execute("LOCK TABLE servers IN EXCLUSIVE MODE").await.unwrap();
    // One may have been on its way.
    progress(&mut frames, Duration::from_millis(700)).await;
    operator.revoke(&ids[0]).await.unwrap();
    assert_eq!(progress(&mut frames, soon).await, None, "the log is read, and nothing is confirmed");
    transaction.rollback().await.unwrap();
    assert_eq!(progress(&mut frames, 2 * soon).await, Some((head + 1, true)));
}

/// A cache of one workspace must learn at once that the log went on without it.
#[tokio::test(flavor = "multi_thread")]
async fn who_sees_one_workspace_is_told_at_once_that_others_changed() {
    let database = Database::fresh().await;
    let server = server(&database, &[]).await;
    let (mut operator, ids) = tokens(&server, 10).await;
    operator.create_workspace("other").await;
    let mut frames = operator.watch("other", "").await.unwrap();
    let mut waits = Vec::new();
    for id in ids {
        let revision = operator.revoke(&id).await.unwrap().revision;
        let begun = Instant::now();
        while progress(&mut frames, Duration::from_secs(5)).await.unwrap().0 < revision {}
        waits.push(begun.elapsed());
    }
    waits.sort_unstable();
    assert!(waits[2] < Duration::from_millis(60), "{waits:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sees_one_workspace_is_not_told_of_every_change_elsewhere() {
    let database = Database::fresh().await;
    let server = server(&database, &[]).await;
    let (mut operator, _) = tokens(&server, 0).await;
    operator.create_workspace("other").await;
    let mut frames = operator.watch("other", "").await.unwrap();
    let (head, _) = progress(&mut frames, Duration::from_secs(2)).await.unwrap();
    fill_log(&database, "acme", 20_000, 1).await;
    let (begun, mut told) = (Instant::now(), 1);
    while progress(&mut frames, Duration::from_secs(5)).await.unwrap().0 < head + 20_000 {
        told += 1;
    }
    let most = 3 + begun.elapsed().as_millis() / 20;
    assert!(told <= most, "{told} frames in {:?}", begun.elapsed());
}

/// Deletes all events up to a revision, as if they had grown old.
async fn compact(database: &Database, revision: i64) {
    let age = format!(
        "UPDATE revisions SET event_time = event_time - interval '8 days' WHERE revision <= {revision}"
    );
    database.connect().await.batch_execute(&age).await.unwrap();
    let store = Store::new(&DatabaseOptions::new(SecretString::from(database.url.clone()))).unwrap();
    let mut transaction = store.begin().await.unwrap();
    let deleted = log::compact(&mut transaction, Duration::from_hours(7 * 24), 1_000).await;
    transaction.finish(deleted).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_before_what_is_kept_is_out_of_range_and_one_at_its_edge_is_not() {
    let database = Database::fresh().await;
    let server = server(&database, &[]).await;
    let (operator, _) = tokens(&server, 0).await;
    let mut live = Watcher::at_head(&operator).await;
    let head = live.revision.unwrap();
    fill_log(&database, "acme", 10, 1).await;
    let mut cursors = vec![live.cursor.clone()];
    while live.revision < Some(head + 10) {
        live.event().await;
        cursors.push(live.cursor.clone());
    }
    compact(&database, head + 5).await;
    let status = Watcher::try_open(&operator, "", &cursors[4]).await.map(drop).unwrap_err();
    assert_eq!(refusal(&status), refused(Code::OutOfRange, "REVISION_COMPACTED"));
    let metadata = status.get_error_details().error_info().unwrap().metadata.clone();
    let named = |name: &str| metadata.get(name).map(String::as_str);
    let (compacted, last) = ((head + 5).to_string(), (head + 10).to_string());
    let expected = (Some(compacted.as_str()), Some(last.as_str()));
    assert_eq!((named("compacted_revision"), named("head_revision")), expected);
    for kept in [5, 6, 10] {
        let mut watcher = Watcher::open(&operator, &cursors[kept]).await;
        let expected: Vec<i64> = (head + i64::try_from(kept).unwrap() + 1..=head + 10).collect();
        let told = if kept == 10 { vec![] } else { revisions(&watcher.until(head + 10).await) };
        assert_eq!(told, expected, "from {kept}");
    }
    // Who has been told everything goes on.
    fill_log(&database, "acme", 1, 1).await;
    assert_eq!(live.event().await.0, head + 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_deletes_what_is_older_than_it_keeps_but_never_the_last() {
    let database = Database::fresh().await;
    let younger = server(&database, &["--revision-retention", "3m"]).await;
    let (mut operator, ids) = tokens(&younger, 1).await;
    fill_log(&database, "acme", 30, 1).await;
    let head = database.head().await;
    let age = "UPDATE revisions SET event_time = event_time - interval '2 minutes'";
    database.connect().await.batch_execute(age).await.unwrap();
    let kept = || async {
        let rows = database.connect().await.query("SELECT revision FROM revisions", &[]).await.unwrap();
        rows.iter().map(|row| row.get::<_, i64>(0)).collect::<Vec<_>>()
    };
    let _other = server(&database, &["--revision-retention", "3m"]).await;
    assert!(kept().await.into_iter().eq(1..=head));
    let _older = server(&database, &["--revision-retention", "1m"]).await;
    eventually("the old events are deleted", || async { kept().await == [head] }).await;
    assert_eq!(operator.revoke(&ids[0]).await.unwrap().revision, head + 1, "and counting goes on");
}

/// A server that could not read the log for longer than it is kept has missed what nobody can tell it any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_missed_what_was_deleted_follows_anew_and_its_watchers_are_told() {
    let database = Database::fresh().await;
    let server = server(&database, &["--lease", "1s"]).await;
    let (operator, _) = tokens(&server, 0).await;
    let mut watcher = Watcher::at_head(&operator).await;
    let head = watcher.revision.unwrap();
    server.signal("STOP");
    fill_log(&database, "acme", 10, 1).await;
    compact(&database, head + 5).await;
    server.signal("CONT");
    let (events, end) = watcher.end().await;
    assert_eq!((events, end), (vec![], refused(Code::OutOfRange, "REVISION_COMPACTED")));
    follows_anew(&server, head + 10).await;
}

async fn follows_anew(server: &Server, revision: i64) {
    let revision = f64::from(i32::try_from(revision).unwrap());
    eventually("the server holds its lease again", || async {
        crate::fleet::leads(server).await && server.metric("tokenkeep_log_revision").await == revision
    })
    .await;
}
