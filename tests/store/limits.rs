//! What workspaces limit is counted only as far as it must be, and by the database's clock.

use std::time::{Duration, SystemTime};

use tokenkeep::store::limits::{self, Room};
use tokenkeep::store::{Store, StoreError};
use tokenkeep::text::PrincipalId;
use tokenkeep::token::Expiry;
use tokenkeep::workspace::WorkspaceId;

use crate::harness::Database;
use crate::samples::{create, enrol, principal, revoke, token, workspace};

async fn room(store: &Store, principal: Option<&PrincipalId>, counted_until: Option<SystemTime>) -> Room {
    let system = workspace(WorkspaceId::SYSTEM);
    let mut transaction = store.begin().await.unwrap();
    limits::lock(&mut transaction, &system).await.unwrap();
    let room = limits::room(&mut transaction, &system, principal, counted_until).await;
    transaction.finish(room).await.unwrap()
}

async fn issue(store: &Store) -> Option<Duration> {
    let mut transaction = store.begin().await.unwrap();
    let issued = limits::issue(&mut transaction, &workspace(WorkspaceId::SYSTEM), 60).await;
    transaction.finish(issued).await.unwrap()
}

#[tokio::test]
async fn tokens_count_that_are_neither_revoked_nor_expired_and_no_more_than_one_too_many() {
    let database = Database::new().await;
    let store = database.store();
    let bot = enrol(&store, principal("bot")).await;
    for number in 0..6 {
        let mut new = token();
        new.principal = Some(bot.clone()).filter(|_| number % 2 == 0);
        new.expiry = if number < 4 { Expiry::Never } else { Expiry::After(Duration::from_hours(1)) };
        create(&store, new).await;
    }
    let dead = create(&store, token()).await;
    revoke(&store, dead.id).await;
    let mut brief = token();
    brief.expiry = Expiry::After(Duration::from_millis(1));
    create(&store, brief).await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    let admin = database.admin().await;
    let unlimited = room(&store, Some(&bot), None).await;
    assert_eq!((unlimited.most, unlimited.tokens, unlimited.tokens_of_principal), (None, 0, 0));
    for (most, counted, of_principal) in [(100, 6, 3), (6, 6, 3), (2, 3, 3), (1, 2, 2)] {
        let set = format!("UPDATE workspaces SET max_tokens = {most}, max_tokens_per_principal = {most}");
        admin.batch_execute(&set).await.unwrap();
        let found = room(&store, Some(&bot), None).await;
        assert_eq!(
            (found.most, found.tokens, found.tokens_of_principal),
            (Some(most), counted, of_principal)
        );
        assert_eq!(room(&store, None, None).await.tokens_of_principal, 0);
    }
    let counts_already = room(&store, None, Some(SystemTime::now() + Duration::from_mins(1))).await;
    assert_eq!((counts_already.adds, counts_already.tokens), (false, 0));
    let over = room(&store, None, Some(SystemTime::UNIX_EPOCH)).await;
    assert_eq!((over.adds, over.tokens), (true, 2));
}

#[tokio::test]
async fn a_bucket_gives_what_it_holds_and_fills_with_time() {
    let database = Database::new().await;
    let store = database.store();
    let admin = database.admin().await;
    for _ in 0..60 {
        assert_eq!(issue(&store).await, None);
    }
    admin.batch_execute("UPDATE issuance_buckets SET issues_left = 0").await.unwrap();
    admin.batch_execute("UPDATE issuance_buckets SET fill_time = statement_timestamp()").await.unwrap();
    let wait = issue(&store).await.expect("it is empty");
    assert!(wait <= Duration::from_secs(1), "one comes each second: {wait:?}");
    admin
        .batch_execute("UPDATE issuance_buckets SET fill_time = fill_time - interval '2 seconds'")
        .await
        .unwrap();
    assert_eq!((issue(&store).await, issue(&store).await), (None, None));
    assert!(issue(&store).await.is_some());
    let ages = "UPDATE issuance_buckets SET fill_time = fill_time - interval '1 year'";
    admin.batch_execute(ages).await.unwrap();
    assert_eq!(issue(&store).await, None);
    let left: f64 = admin.query_one("SELECT issues_left FROM issuance_buckets", &[]).await.unwrap().get(0);
    assert!((58.9..=59.1).contains(&left), "no more than a minute's gather: {left}");
}

#[tokio::test]
async fn who_issues_in_a_workspace_waits_for_whoever_does_and_nobody_else_does() {
    let database = Database::new().await;
    let store = database.store();
    let mut first = store.begin().await.unwrap();
    limits::lock(&mut first, &workspace("acme")).await.unwrap();
    let mut second = store.begin().await.unwrap();
    limits::lock(&mut second, &workspace("other")).await.unwrap();
    let waiting = tokio::spawn(async move {
        let locked = limits::lock(&mut second, &workspace("acme")).await;
        second.finish(locked).await
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!waiting.is_finished());
    first.finish::<_, StoreError>(Ok(())).await.unwrap();
    waiting.await.unwrap().unwrap();
}
