//! Server keys are listed once, and one of them mints.

use tokenkeep::store::StoreError;
use tokenkeep::store::keys::{self, KeyState, ServerKeyRow};
use tokenkeep::token::Kid;

use crate::harness::Database;

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
    let listed = register(&database, &[(kid("b0"), TWO), (kid("a0"), ONE)]).await.unwrap();
    let told: Vec<_> = listed.iter().map(|key| (key.kid, key.state)).collect();
    assert_eq!(told, [(kid("a0"), KeyState::Live), (kid("b0"), KeyState::Minting)]);
    assert_eq!(register(&database, &[(kid("a0"), ONE)]).await.unwrap(), listed);
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
