//! The doorbell is heard by everybody, and its death is told.

use std::time::{Duration, Instant};

use tokenkeep::store::StoreError;
use tokenkeep::store::doorbell::Doorbell;
use tokio::time::timeout;

use crate::harness::{Database, within};

const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_ring_is_heard_over_every_connection_and_only_in_its_own_database() {
    let (database, other) = (Database::new().await, Database::new().await);
    let doorbell = Doorbell::new(&database.options()).unwrap();
    let (ringer, mut own) = doorbell.connect().await.unwrap();
    let (_, mut another) = doorbell.connect().await.unwrap();
    let (_, mut stranger) = Doorbell::new(&other.options()).unwrap().connect().await.unwrap();
    for _ in 0..3 {
        ringer.ring().await.unwrap();
        timeout(SOON, own.heard()).await.unwrap().unwrap();
        timeout(SOON, another.heard()).await.unwrap().unwrap();
    }
    assert!(timeout(Duration::from_millis(20), stranger.heard()).await.is_err());
}

#[tokio::test]
async fn rings_that_nobody_waited_for_are_heard_once() {
    let database = Database::new().await;
    let (ringer, mut listener) = Doorbell::new(&database.options()).unwrap().connect().await.unwrap();
    let (_, mut witness) = Doorbell::new(&database.options()).unwrap().connect().await.unwrap();
    for _ in 0..9 {
        ringer.ring().await.unwrap();
        timeout(SOON, witness.heard()).await.unwrap().unwrap();
    }
    timeout(SOON, listener.heard()).await.unwrap().unwrap();
    // One more could have been on its way at most.
    let more = timeout(Duration::from_millis(50), listener.heard()).await.is_ok();
    assert!(!more || timeout(Duration::from_millis(50), listener.heard()).await.is_err());
}

#[tokio::test]
async fn a_doorbell_whose_session_was_ended_says_so() {
    let database = Database::new().await;
    let (ringer, mut listener) = Doorbell::new(&database.options()).unwrap().connect().await.unwrap();
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'tokenkeep'";
    assert_eq!(database.admin().await.query(end, &[]).await.unwrap().len(), 1);
    let dead = timeout(SOON, listener.heard()).await.unwrap();
    assert!(matches!(dead, Err(StoreError::Unavailable { .. })), "{dead:?}");
    assert!(ringer.ring().await.is_err());
}

/// Stopped, its process neither answers nor hangs up, as a machine that is gone.
#[tokio::test]
async fn a_doorbell_that_hangs_is_found_out() {
    let database = Database::new().await;
    let (ringer, mut listener) = Doorbell::new(&database.options()).unwrap().connect().await.unwrap();
    let find = "SELECT pid FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'tokenkeep'";
    let pid: i32 = database.admin().await.query_one(find, &[]).await.unwrap().get(0);
    let process = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::STOP).unwrap();
    let begun = Instant::now();
    let ring = tokio::spawn(async move { ringer.ring().await });
    let mut dead = None;
    // Whoever waits beside other things gives up waiting again and again.
    while dead.is_none() && begun.elapsed() < Duration::from_secs(15) {
        dead = timeout(Duration::from_secs(3), listener.heard()).await.ok();
    }
    rustix::process::kill_process(process, rustix::process::Signal::CONT).unwrap();
    assert!(matches!(dead, Some(Err(StoreError::Unavailable { .. }))), "{dead:?}");
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(ring.await.unwrap().is_err());
}

#[tokio::test]
async fn dropping_the_listener_ends_the_session() {
    let database = Database::new().await;
    let admin = database.admin().await;
    let (ringer, listener) = Doorbell::new(&database.options()).unwrap().connect().await.unwrap();
    drop(listener);
    let count = "SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'tokenkeep'";
    within("the session is gone", || async {
        admin.query(count, &[]).await.unwrap().is_empty().then_some(())
    })
    .await;
    assert!(ringer.ring().await.is_err());
}
