//! Whatever happens to a caller or to the database, the next caller gets a sound session, and knows what happened.

use std::path::Path;
use std::time::{Duration, Instant};

use secrecy::SecretString;
use tokenkeep::store::{DatabaseOptions, Store, StoreError, log, tokens, workspaces};

use crate::harness::{Database, within};
use crate::samples::{create, find, new_workspace, token, workspace};

/// How many sessions of the store hold a transaction open and do nothing.
async fn idle_in_transaction(admin: &tokio_postgres::Client) -> i64 {
    let query = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND state LIKE 'idle in transaction%'";
    admin.query_one(query, &[]).await.unwrap().get(0)
}

/// The processes that serve the store.
async fn backends(admin: &tokio_postgres::Client) -> Vec<i32> {
    let query = "SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'tokenkeep'";
    admin.query(query, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

async fn insert_workspace(transaction: &mut tokenkeep::store::Transaction) -> Result<(), StoreError> {
    let inserted = workspaces::insert(transaction.connection(), &new_workspace("acme")).await;
    inserted.map(|inserted| assert!(inserted.is_some()))
}

async fn acme_is_there(store: &Store) -> bool {
    let mut connection = store.connection().await.unwrap();
    workspaces::find(&mut connection, &workspace("acme")).await.unwrap().is_some()
}

/// Slows every commit that inserts a workspace, after its last statement was answered.
async fn slow_commits(database: &Database, seconds: &str) {
    let trigger = format!(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep({seconds}); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON workspaces
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait()"
    );
    database.admin().await.batch_execute(&trigger).await.unwrap();
}

#[tokio::test]
async fn a_transaction_that_is_dropped_leaves_nothing_behind() {
    let database = Database::new().await;
    let (store, admin) = (database.store(), database.admin().await);
    let mut transaction = store.begin().await.unwrap();
    insert_workspace(&mut transaction).await.unwrap();
    assert_eq!(idle_in_transaction(&admin).await, 1);
    let dropped = Instant::now();
    drop(transaction);
    within("the transaction ends", || async { (idle_in_transaction(&admin).await == 0).then_some(()) }).await;
    assert!(dropped.elapsed() < Duration::from_secs(4), "only PostgreSQL's own timeout ended it");
    assert!(!acme_is_there(&store).await);
}

#[tokio::test]
async fn a_transaction_that_fails_is_rolled_back_and_its_session_is_kept() {
    let database = Database::new().await;
    let (store, admin) = (database.store(), database.admin().await);
    let mut transaction = store.begin().await.unwrap();
    let before = backends(&admin).await;
    insert_workspace(&mut transaction).await.unwrap();
    let failed: Result<(), _> = transaction.finish(Err(StoreError::Overloaded)).await;
    assert!(matches!(failed, Err(StoreError::Overloaded)));
    assert!(!acme_is_there(&store).await);
    assert_eq!(backends(&admin).await, before);
}

/// PostgreSQL answers such a COMMIT without an error, though it rolls back.
#[tokio::test]
async fn a_transaction_in_which_a_statement_failed_is_not_called_committed() {
    let database = Database::new().await;
    let store = database.store();
    let mut transaction = store.begin().await.unwrap();
    insert_workspace(&mut transaction).await.unwrap();
    let mut orphan = token();
    orphan.workspace = workspace("nowhere");
    drop(tokens::insert(transaction.connection(), orphan).await.unwrap_err());
    let finished: Result<(), StoreError> = transaction.finish(Ok(())).await;
    assert!(matches!(finished, Err(StoreError::Aborted)), "{finished:?}");
    assert!(!acme_is_there(&store).await);
}

/// A commit waits for the disk and the standby only if its transaction has an id, and so wrote.
#[tokio::test]
async fn what_was_read_is_confirmed_by_a_commit_that_writes() {
    let database = Database::new().await;
    let (store, admin) = (database.store(), database.admin().await);
    let mut transaction = store.begin().await.unwrap();
    workspaces::find(transaction.connection(), &workspace("acme")).await.unwrap();
    let own_id = "SELECT backend_xid::text FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'tokenkeep' AND backend_xid IS NOT NULL";
    assert!(admin.query_opt(own_id, &[]).await.unwrap().is_none(), "to read is not to write");
    transaction.confirm_what_was_read().await.unwrap();
    let id: String = admin.query_one(own_id, &[]).await.unwrap().get(0);
    transaction.finish::<_, StoreError>(Ok(())).await.unwrap();
    let outcome = format!("SELECT pg_xact_status('{id}'::xid8)");
    assert_eq!(admin.query_one(&outcome, &[]).await.unwrap().get::<_, &str>(0), "committed");
}

#[tokio::test]
async fn a_connection_that_breaks_during_commit_leaves_the_outcome_unknown() {
    let database = Database::new().await;
    slow_commits(&database, "60").await;
    let (store, admin) = (database.store(), database.admin().await);
    let mut transaction = store.begin().await.unwrap();
    insert_workspace(&mut transaction).await.unwrap();
    let finishing = tokio::spawn(transaction.finish::<_, StoreError>(Ok(())));
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND query = 'COMMIT' AND state = 'active'";
    within("the commit is under way", || async {
        (!admin.query(end, &[]).await.unwrap().is_empty()).then_some(())
    })
    .await;
    let finished = finishing.await.unwrap();
    assert!(matches!(finished, Err(StoreError::CommitUnknown { .. })), "{finished:?}");
}

#[tokio::test]
async fn a_slow_commit_outlasts_the_statement_timeout() {
    let database = Database::new().await;
    slow_commits(&database, "0.5").await;
    let mut options = database.options();
    options.statement_timeout = Duration::from_millis(100);
    let store = Store::new(&options).unwrap();
    let mut transaction = store.begin().await.unwrap();
    let inserted = insert_workspace(&mut transaction).await;
    transaction.finish(inserted).await.unwrap();
    assert!(acme_is_there(&store).await);
}

#[tokio::test]
async fn a_query_that_is_dropped_midway_does_not_hold_up_the_next_caller() {
    let database = Database::new().await;
    let id = create(&database.store(), token()).await.id;
    let mut holder = database.store().begin().await.unwrap();
    tokens::lock(&mut holder, &[id]).await.unwrap();
    let mut options = database.options();
    options.connections = 1;
    options.lock_timeout = Duration::from_secs(3);
    let store = Store::new(&options).unwrap();
    let mut waiting = store.begin().await.unwrap();
    let locking = tokio::time::timeout(Duration::from_millis(50), tokens::lock(&mut waiting, &[id])).await;
    assert!(locking.is_err(), "the lock was not held");
    drop(waiting);
    let begun = Instant::now();
    assert!(find(&store, id).await.is_some());
    assert!(begun.elapsed() < Duration::from_secs(2), "the next caller waited for the dropped query");
}

#[tokio::test]
async fn a_lock_that_does_not_come_free_is_an_unavailable_database() {
    let database = Database::new().await;
    let mut options = database.options();
    options.lock_timeout = Duration::from_millis(50);
    let store = Store::new(&options).unwrap();
    let id = create(&store, token()).await.id;
    let mut holder = store.begin().await.unwrap();
    tokens::lock(&mut holder, &[id]).await.unwrap();
    let refused = tokens::lock(&mut store.begin().await.unwrap(), &[id]).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable { .. }), "{refused:?}");
}

/// PostgreSQL locks a table before it knows what is asked of it, and then reports where in the statement the table stands.
#[tokio::test]
async fn a_table_that_does_not_come_free_is_an_unavailable_database() {
    let database = Database::new().await;
    let mut options = database.options();
    options.lock_timeout = Duration::from_millis(50);
    let store = Store::new(&options).unwrap();
    let admin = database.admin().await;
    admin.batch_execute("BEGIN; LOCK TABLE histories IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let refused = log::head(&mut store.connection().await.unwrap()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_session_that_postgresql_has_ended_is_not_given_out_again() {
    let database = Database::new().await;
    let (store, admin) = (database.store(), database.admin().await);
    let id = create(&store, token()).await.id;
    let [backend] = backends(&admin).await[..] else { panic!("one session") };
    admin.execute("SELECT pg_terminate_backend($1)", &[&backend]).await.unwrap();
    let process = format!("/proc/{backend}");
    within("the session's process is gone", || async { (!Path::new(&process).exists()).then_some(()) }).await;
    // A round trip, in which the closed socket is seen.
    assert!(backends(&admin).await.is_empty());
    assert!(find(&store, id).await.is_some());
}

#[tokio::test]
async fn a_database_that_hangs_is_given_up() {
    let database = Database::new().await;
    let admin = database.admin().await;
    // With patience, since the machine may be busy.
    let id = create(&database.store(), token()).await.id;
    let mut options = database.options();
    options.statement_timeout = Duration::from_millis(10);
    let store = Store::new(&options).unwrap();
    drop(store.connection().await.unwrap());
    let backend = within("only its session is there", || async {
        let [backend] = backends(&admin).await[..] else { return None };
        Some(backend)
    })
    .await;
    let process = rustix::process::Pid::from_raw(backend).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::STOP).unwrap();
    let found = tokens::find(&mut store.connection().await.unwrap(), id).await;
    rustix::process::kill_process(process, rustix::process::Signal::CONT).unwrap();
    assert!(matches!(found, Err(StoreError::Unavailable { .. })), "{found:?}");
}

#[tokio::test]
async fn a_caller_waits_only_so_long_for_a_connection() {
    let database = Database::new().await;
    let mut options = database.options();
    options.connections = 1;
    let store = Store::new(&options).unwrap();
    let held = store.connection().await.unwrap();
    let begun = Instant::now();
    let refused = store.connection().await.unwrap_err();
    assert!(matches!(refused, StoreError::Overloaded), "{refused:?}");
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert_eq!((store.pool_status().open, store.pool_status().idle), (1, 0));
    drop(held);
    assert!(store.connection().await.is_ok());
}

#[tokio::test]
async fn a_database_that_is_not_there_or_lets_nobody_in_is_unavailable() {
    let database = Database::new().await;
    let nowhere = DatabaseOptions::new(SecretString::from("postgres://u:hush@127.0.0.1:1/db"));
    let admin = database.cluster.try_admin("postgres").await.unwrap();
    let close = format!("ALTER DATABASE {} ALLOW_CONNECTIONS false", database.name);
    admin.batch_execute(&close).await.unwrap();
    for options in [nowhere, database.options()] {
        let refused = Store::new(&options).unwrap().connection().await.unwrap_err();
        assert!(matches!(refused, StoreError::Unavailable { .. }), "{refused:?}");
        assert!(!format!("{refused:?} {options:?}").contains("hush"));
    }
}

#[tokio::test]
async fn a_schema_that_does_not_fit_is_not_called_an_outage() {
    let database = Database::empty().await;
    let mut connection = database.store().connection().await.unwrap();
    let refused = tokens::find(&mut connection, token().id).await.unwrap_err();
    assert!(matches!(refused, StoreError::Mismatch { .. }), "{refused:?}");
}
