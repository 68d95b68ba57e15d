//! The log forgets only what it may, never in silence, and begins anew where it may have lost something.

use std::time::Duration;

use tokenkeep::revocation::{Head, HistoryId, Position, TokenChange};
use tokenkeep::store::servers::{self, BeatRow, ServerId};
use tokenkeep::store::{Store, StoreError, log};
use tokenkeep::token::{Revision, TokenId};

use crate::harness::Database;
use crate::samples::{enter, event};

const DAY: Duration = Duration::from_hours(24);

/// A log of ten events, the first seven of which are two days old.
async fn ten_events(database: &Database) -> Store {
    let store = database.store();
    let mut transaction = store.begin().await.unwrap();
    let events = (0..10).map(|_| event(TokenId::generate(), TokenChange::Updated)).collect();
    let appended = log::append_all(&mut transaction, events, true).await;
    transaction.finish(appended).await.unwrap();
    let age = "UPDATE revisions SET event_time = event_time - interval '2 days' WHERE revision <= 7";
    database.admin().await.batch_execute(age).await.unwrap();
    store
}

async fn compact(store: &Store, older_than: Duration, batch: usize) -> usize {
    let mut transaction = store.begin().await.unwrap();
    let deleted = log::compact(&mut transaction, older_than, batch).await;
    transaction.finish(deleted).await.unwrap()
}

async fn head(store: &Store) -> Head {
    log::head(&mut store.connection().await.unwrap()).await.unwrap()
}

async fn renew(store: &Store, only_if_moved: bool) -> HistoryId {
    let mut transaction = store.begin().await.unwrap();
    let renewed = log::renew_history(&mut transaction, only_if_moved).await;
    transaction.finish(renewed).await.unwrap()
}

#[tokio::test]
async fn events_are_forgotten_in_order_and_no_younger_ones() {
    let database = Database::new().await;
    let store = ten_events(&database).await;
    assert_eq!(compact(&store, 3 * DAY, 100).await, 0);
    assert_eq!(head(&store).await.compacted, Revision::ZERO);
    assert_eq!(compact(&store, DAY, 5).await, 5);
    assert_eq!(head(&store).await.compacted, Revision(5));
    assert_eq!(compact(&store, DAY, 5).await, 2);
    assert_eq!(compact(&store, DAY, 5).await, 0);
    assert_eq!(head(&store).await.compacted, Revision(7));
}

#[tokio::test]
async fn the_last_event_stays_and_the_next_is_counted_from_it() {
    let database = Database::new().await;
    let store = ten_events(&database).await;
    assert_eq!(compact(&store, Duration::ZERO, 100).await, 9);
    assert_eq!(compact(&store, Duration::ZERO, 100).await, 0);
    let mut transaction = store.begin().await.unwrap();
    let next =
        log::append_all(&mut transaction, vec![event(TokenId::generate(), TokenChange::Updated)], false)
            .await;
    assert_eq!(transaction.finish(next).await.unwrap().events[0].revision, Revision(11));
}

#[tokio::test]
async fn a_reader_at_the_edge_gets_all_or_is_told_that_it_does_not() {
    let database = Database::new().await;
    let store = ten_events(&database).await;
    compact(&store, DAY, 100).await;
    let mut connection = store.connection().await.unwrap();
    let history = log::head(&mut connection).await.unwrap().position.history;
    for (after, told) in [(0, None), (6, None), (7, Some(8)), (8, Some(9))] {
        let after = Position { history, revision: Revision(after) };
        let segment = log::read_after(&mut connection, after, 100).await.unwrap();
        assert_eq!(segment.head.reaches_back_to(after), told.is_some(), "{after:?}");
        assert_eq!(segment.events.first().map(|event| event.revision.0), told, "{after:?}");
    }
}

/// The writer's lock is held all the while, and so is that of another one who compacts.
#[tokio::test]
async fn compaction_waits_for_nobody() {
    let database = Database::new().await;
    let store = ten_events(&database).await;
    let mut writer = store.begin().await.unwrap();
    let events = vec![event(TokenId::generate(), TokenChange::Updated)];
    log::append_all(&mut writer, events, false).await.unwrap();
    let mut first = store.begin().await.unwrap();
    assert_eq!(log::compact(&mut first, DAY, 1).await.unwrap(), 1);
    assert_eq!(compact(&store, DAY, 1).await, 0, "two compact at once");
    first.finish::<_, StoreError>(Ok(())).await.unwrap();
    assert_eq!(compact(&store, DAY, 1).await, 1);
    writer.finish::<_, StoreError>(Ok(())).await.unwrap();
    assert_eq!(head(&store).await.position.revision, Revision(11));
}

async fn beat(store: &Store, id: ServerId) -> BeatRow {
    let mut transaction = store.begin().await.unwrap();
    let beat = servers::beat(&mut transaction, id, None).await;
    transaction.finish(beat).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_history_goes_on_in_the_cluster_it_is_known_in_and_is_renewed_once_in_another() {
    let database = Database::new().await;
    let (store, admin) = (ten_events(&database).await, database.admin().await);
    let before = head(&store).await.position.history;
    let server = ServerId(uuid::Uuid::from_u128(1));
    enter(&store, server, DAY).await;
    assert!(!beat(&store, server).await.moved, "what was never recorded has not moved");
    assert!(!beat(&store, server).await.moved);
    assert_eq!(renew(&store, true).await, before);
    for elsewhere in ["timeline = 'FFFFFFFF'", "system_identifier = system_identifier + 1"] {
        let before = head(&store).await.position;
        let fake = format!("UPDATE histories SET {elsewhere}");
        admin.batch_execute(&fake).await.unwrap();
        assert!(beat(&store, server).await.moved, "{elsewhere}");
        let renewed = renew(&store, true).await;
        assert_ne!(renewed, before.history);
        assert_eq!(head(&store).await.position, Position { history: renewed, ..before });
        assert_eq!(renew(&store, true).await, renewed, "a second server renews it again");
        let beat = beat(&store, server).await;
        assert_eq!((beat.moved, beat.head.history), (false, renewed));
    }
}

#[tokio::test]
async fn a_history_is_renewed_on_demand() {
    let database = Database::new().await;
    let store = ten_events(&database).await;
    let before = head(&store).await.position;
    let renewed = renew(&store, false).await;
    assert_ne!(renewed, before.history);
    assert_eq!(head(&store).await.position, Position { history: renewed, ..before });
}

/// Under the old name, whoever follows a deposed primary would take it for something that it knows.
#[tokio::test]
async fn what_is_committed_in_another_cluster_is_of_a_new_history() {
    let database = Database::new().await;
    let (store, admin) = (ten_events(&database).await, database.admin().await);
    let server = ServerId(uuid::Uuid::from_u128(1));
    enter(&store, server, DAY).await;
    beat(&store, server).await;
    let before = head(&store).await.position;
    admin.batch_execute("UPDATE histories SET timeline = 'FFFFFFFF'").await.unwrap();
    let mut transaction = store.begin().await.unwrap();
    let one = vec![event(TokenId::generate(), TokenChange::Updated)];
    let appended = log::append_all(&mut transaction, one, false).await;
    let appended = transaction.finish(appended).await.unwrap();
    let after = head(&store).await.position;
    assert_eq!(appended.history, after.history);
    assert_ne!(after.history, before.history);
    assert_eq!(after.revision, Revision(11));
    assert!(!beat(&store, server).await.moved);
}
