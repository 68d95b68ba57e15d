//! Server keys are listed once, one of them mints, and one that is retired issues nothing any more.

use tokenkeep::store::keys::{self, KeyState, ServerKeyRow};
use tokenkeep::store::minted::{self, Minted};
use tokenkeep::store::{StoreError, credentials, tokens};
use tokenkeep::token::{Kid, Revision, TokenId, TokenState};

use crate::harness::Database;
use crate::samples::{create, find, replacement, revoke, token};

const ONE: &str = "00000000000000000000000000000001";
const TWO: &str = "00000000000000000000000000000002";

fn kid(text: &str) -> Kid {
    Kid::parse(text).unwrap()
}

async fn register(database: &Database, keys: &[(Kid, &str)]) -> Result<Vec<ServerKeyRow>, StoreError> {
    let mut transaction = database.store().begin().await.unwrap();
    let registered = keys::register(&mut transaction, keys).await;
    transaction.finish(registered).await
}

#[tokio::test]
async fn the_first_key_mints_and_later_ones_only_live() {
    let database = Database::new().await;
    for keys in [&[(kid("b0"), TWO), (kid("a0"), ONE)] as &[_], &[(kid("a0"), ONE)]] {
        let listed = register(&database, keys).await.unwrap();
        let told: Vec<_> = listed.iter().map(|key| (key.kid, &*key.fingerprint, key.state)).collect();
        assert_eq!(told, [(kid("a0"), ONE, KeyState::Live), (kid("b0"), TWO, KeyState::Minting)]);
    }
}

async fn set_state(database: &Database, name: &str, state: KeyState) -> Result<(), StoreError> {
    let mut transaction = database.store().begin().await.unwrap();
    keys::lock(&mut transaction).await.unwrap();
    let set = keys::set_state(&mut transaction, kid(name), state).await;
    transaction.finish(set).await
}

#[tokio::test]
async fn never_two_keys_mint() {
    let database = Database::new().await;
    register(&database, &[(kid("a0"), ONE), (kid("b0"), TWO)]).await.unwrap();
    let refused = set_state(&database, "b0", KeyState::Minting).await.unwrap_err();
    assert!(matches!(refused, StoreError::Conflict { .. }), "{refused:?}");
    set_state(&database, "a0", KeyState::Live).await.unwrap();
    set_state(&database, "b0", KeyState::Minting).await.unwrap();
}

#[tokio::test]
async fn no_secret_is_written_that_a_retired_key_issued() {
    let database = Database::new().await;
    let (store, key) = (database.store(), Kid::FIRST.to_string());
    register(&database, &[(Kid::FIRST, ONE)]).await.unwrap();
    let there = create(&store, token()).await;
    set_state(&database, &key, KeyState::Retired).await.unwrap();
    assert_eq!(find(&store, there.id).await.unwrap().state, TokenState::Invalidated);
    let mut connection = store.connection().await.unwrap();
    let new = tokens::insert(&mut connection, token()).await.unwrap_err();
    let mut transaction = store.begin().await.unwrap();
    let replaced =
        tokens::replace_secret(transaction.connection(), &there, replacement(7, None), Revision(1)).await;
    let anew = transaction.finish(replaced).await.unwrap_err();
    for refused in [new, anew] {
        assert!(matches!(refused, StoreError::KeyRetired(Kid::FIRST)), "{refused:?}");
    }
}

/// Reads every page.
async fn minted(database: &Database, limit: usize) -> (Vec<Minted>, usize) {
    let store = database.store();
    let mut connection = store.connection().await.unwrap();
    let (mut after, mut all, mut pages) = (None, Vec::new(), 0);
    loop {
        let page = minted::page(&mut connection, after, limit).await.unwrap();
        if page.last.is_none() {
            return (all, pages);
        }
        all.extend(page.minted);
        after = page.last;
        pages += 1;
    }
}

#[tokio::test]
async fn what_a_key_minted_is_counted_page_by_page_and_only_what_lives() {
    let database = Database::new().await;
    let store = database.store();
    let mut made = Vec::new();
    for number in 0..5 {
        let mut new = token();
        new.secret.kid = kid(if number == 3 { "b0" } else { "a0" });
        made.push(create(&store, new).await.id);
    }
    made.sort();
    revoke(&store, made[0]).await;
    let admin = database.admin().await;
    let past = format!("UPDATE tokens SET expire_time = now() - interval '1 s' WHERE id = '{}'", made[1]);
    admin.batch_execute(&past).await.unwrap();
    let (whole, pages) = minted(&database, 100).await;
    assert_eq!(pages, 1);
    let told: Vec<_> = whole.iter().map(|minted| (minted.kid, minted.live, minted.newest.clone())).collect();
    let of_a0 = made.iter().skip(2).copied();
    let b0 = credentials::read(&mut store.connection().await.unwrap(), &made).await.unwrap().of;
    let b0: Vec<TokenId> =
        b0.values().filter(|it| it.present.kid == kid("b0")).map(|it| it.token.id).collect();
    let a0: Vec<TokenId> = of_a0.filter(|id| !b0.contains(id)).rev().collect();
    assert_eq!(told, [(kid("a0"), 2, a0), (kid("b0"), 1, b0)]);
    let (parts, pages) = minted(&database, 2).await;
    assert_eq!(pages, 3);
    let live = |all: &[Minted], name: &str| -> i64 {
        all.iter().filter(|minted| minted.kid == kid(name)).map(|minted| minted.live).sum()
    };
    assert_eq!((live(&parts, "a0"), live(&parts, "b0")), (2, 1));
    admin.batch_execute("UPDATE workspaces SET epoch = epoch + 1").await.unwrap();
    let (ended, _) = minted(&database, 100).await;
    assert_eq!((live(&ended, "a0"), live(&ended, "b0")), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_start_at_once_agree_on_the_key_that_mints() {
    let database = Database::new().await;
    let starting = ["a0", "b0", "c0", "d0"].into_iter().enumerate().map(|(number, name)| {
        let store = database.store();
        tokio::spawn(async move {
            let fingerprint = format!("{number:032x}");
            let mut transaction = store.begin().await?;
            let registered = keys::register(&mut transaction, &[(kid(name), &fingerprint)]).await;
            transaction.finish(registered).await
        })
    });
    for server in starting.collect::<Vec<_>>() {
        server.await.unwrap().unwrap();
    }
    let listed = register(&database, &[]).await.unwrap();
    assert_eq!(listed.len(), 4);
    assert_eq!(listed.iter().filter(|key| key.state == KeyState::Minting).count(), 1);
}

#[tokio::test]
async fn a_key_file_under_another_name_is_refused_and_one_that_changed_is_shown() {
    let database = Database::new().await;
    register(&database, &[(kid("a0"), ONE)]).await.unwrap();
    let refused = register(&database, &[(kid("b0"), ONE)]).await.unwrap_err();
    assert!(matches!(refused, StoreError::Conflict { .. }), "{refused:?}");
    let listed = register(&database, &[(kid("a0"), TWO)]).await.unwrap();
    assert_eq!(listed[0].fingerprint, ONE);
}
