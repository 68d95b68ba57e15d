//! The servers' rows: one for each life, beaten without leaving a mess, removed only when the heart has stopped.

use std::time::{Duration, SystemTime};

use tokenkeep::revocation::{Position, TokenChange};
use tokenkeep::store::servers::{self, BeatRow, ServerId, ServerRow};
use tokenkeep::store::{Store, StoreError, log};
use tokenkeep::token::{Revision, TokenId};

use crate::harness::{Database, within};
use crate::samples::{enter, event};

const LEASE: Duration = Duration::from_secs(3);
const ONE: ServerId = ServerId(uuid::Uuid::from_u128(1));
const TWO: ServerId = ServerId(uuid::Uuid::from_u128(2));

async fn register(store: &Store, id: ServerId) {
    enter(store, id, LEASE).await;
}

async fn beat(store: &Store, id: ServerId, acknowledged: Option<Position>) -> Option<BeatRow> {
    let mut transaction = store.begin().await.unwrap();
    let beat = servers::beat(&mut transaction, id, acknowledged).await;
    transaction.finish(beat).await.unwrap()
}

async fn list(store: &Store) -> Vec<ServerRow> {
    let mut rows = servers::list(&mut store.connection().await.unwrap()).await.unwrap();
    rows.sort_by_key(|row| row.id);
    rows
}

#[tokio::test]
async fn a_server_shows_what_it_was_told_to_and_acknowledges_nothing_at_first() {
    let database = Database::new().await;
    let store = database.store();
    register(&store, ONE).await;
    register(&store, TWO).await;
    let start = log::head(&mut store.connection().await.unwrap()).await.unwrap().position;
    let row = |id, beat, revision| ServerRow {
        id,
        beat,
        acknowledged: Position { revision: Revision(revision), ..start },
        lease: LEASE,
    };
    assert_eq!(list(&store).await, [row(ONE, 0, 0), row(TWO, 0, 0)]);
    let acknowledged = row(ONE, 0, 7).acknowledged;
    assert_eq!(beat(&store, ONE, Some(acknowledged)).await.unwrap().head, start);
    assert_eq!(beat(&store, ONE, None).await.unwrap().head, start);
    assert_eq!(list(&store).await, [row(ONE, 2, 7), row(TWO, 0, 0)]);
    let mut connection = store.connection().await.unwrap();
    servers::acknowledge(&mut connection, TWO, row(TWO, 0, 9).acknowledged).await.unwrap();
    servers::leave(&mut connection, ONE).await.unwrap();
    assert_eq!(list(&store).await, [row(TWO, 0, 9)]);
}

#[tokio::test]
async fn a_beat_without_a_row_is_none_and_one_with_a_row_tells_the_time() {
    let database = Database::new().await;
    let store = database.store();
    assert_eq!(beat(&store, ONE, None).await, None);
    assert!(list(&store).await.is_empty());
    register(&store, ONE).await;
    let before = SystemTime::now() - Duration::from_micros(1);
    let time = beat(&store, ONE, None).await.unwrap().time;
    assert!(before <= time && time <= SystemTime::now());
}

#[tokio::test]
async fn only_a_server_that_has_not_beaten_since_is_removed() {
    let database = Database::new().await;
    let store = database.store();
    register(&store, ONE).await;
    beat(&store, ONE, None).await.unwrap();
    let mut connection = store.connection().await.unwrap();
    assert!(!servers::remove(&mut connection, ONE, 0).await.unwrap());
    assert!(servers::remove(&mut connection, ONE, 1).await.unwrap());
    assert!(!servers::remove(&mut connection, ONE, 1).await.unwrap());
    assert_eq!(beat(&store, ONE, None).await, None);
}

/// A transaction that stays open keeps every dead version alive, so they must find room on the row's own page.
#[tokio::test]
async fn neither_a_beat_nor_an_acknowledgement_writes_to_an_index() {
    let database = Database::new().await;
    let (store, admin) = (database.store(), database.admin().await);
    register(&store, ONE).await;
    let position = beat(&store, ONE, None).await.unwrap().head;
    let mut dump = database.admin().await;
    let snapshot = dump.build_transaction().isolation_level(tokio_postgres::IsolationLevel::RepeatableRead);
    let snapshot = snapshot.start().await.unwrap();
    snapshot.query("SELECT FROM servers", &[]).await.unwrap();
    let mut connection = store.connection().await.unwrap();
    for _ in 0..20 {
        beat(&store, ONE, Some(position)).await.unwrap();
        servers::acknowledge(&mut connection, ONE, position).await.unwrap();
    }
    // A session tells what it did when it ends.
    store.close();
    drop(connection);
    let told = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'servers'";
    within("the statistics tell of 41 heap-only updates", || async {
        let row = admin.query_one(told, &[]).await.unwrap();
        ((row.get(0), row.get(1)) == (41_i64, 41_i64)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn after_a_renewal_no_session_from_before_is_used_again() {
    let database = Database::new().await;
    let (store, admin) = (database.store(), database.admin().await);
    let lent = store.connection().await.unwrap();
    drop(store.connection().await.unwrap());
    let told = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'tokenkeep'";
    let open = || async { admin.query_one(told, &[]).await.unwrap().get::<_, i64>(0) };
    assert_eq!((open().await, store.pool_status().idle), (2, 1));
    store.renew();
    within("the idle session is gone", || async { (open().await == 1).then_some(()) }).await;
    drop(lent);
    within("the one on loan is gone too", || async { (open().await == 0).then_some(()) }).await;
    drop(store.connection().await.unwrap());
    assert_eq!((open().await, store.pool_status().idle), (1, 1));
}

#[tokio::test]
async fn a_change_knows_the_longest_lease_of_whoever_joined_before_it_and_who_joins_waits_for_it() {
    let database = Database::new().await;
    let store = database.store();
    register(&store, ONE).await;
    let mut change = store.begin().await.unwrap();
    let one = vec![event(TokenId::generate(), TokenChange::Updated)];
    let appended = log::append_all(&mut change, one, true).await.unwrap();
    assert_eq!(appended.longest_lease, LEASE);
    let longer = 2 * LEASE;
    let joining = tokio::spawn({
        let store = store.clone();
        async move { enter(&store, TWO, longer).await }
    });
    let admin = database.admin().await;
    let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted \
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    within("the one who joins waits", || async {
        (admin.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 1).then_some(())
    })
    .await;
    assert_eq!(list(&store).await.len(), 1);
    change.finish::<_, StoreError>(Ok(())).await.unwrap();
    joining.await.unwrap();
    assert_eq!(beat(&store, TWO, None).await.unwrap().longest_lease, longer);
    let mut change = store.begin().await.unwrap();
    let one = vec![event(TokenId::generate(), TokenChange::Updated)];
    let appended = log::append_all(&mut change, one, true).await;
    assert_eq!(change.finish(appended).await.unwrap().longest_lease, longer);
}

/// As only a hand can make one: its sidecars would not be waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_lease_is_not_passed_over() {
    let database = Database::new().await;
    let store = database.store();
    register(&store, ONE).await;
    database.admin().await.batch_execute("DELETE FROM leases").await.unwrap();
    let told = servers::list(&mut store.connection().await.unwrap()).await.unwrap_err();
    assert!(matches!(told, StoreError::Corrupt { what: "leases.server" }), "{told:?}");
}
