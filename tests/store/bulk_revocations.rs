//! Many tokens end at once.

use tokenkeep::revocation::Change;
use tokenkeep::store::bulk_revocations::{self, Ended, Matching};
use tokenkeep::store::{Store, Transaction, log};
use tokenkeep::text::NamePrefix;
use tokenkeep::token::{Revision, Token, TokenFilter, TokenId, TokenState};
use tokenkeep::workspace::WorkspaceId;

use crate::harness::Database;
use crate::samples::{create, find, happened, name, reason, revoke, token, workspace};

fn named(prefix: &str) -> TokenFilter {
    TokenFilter { name_prefix: Some(NamePrefix::parse(prefix.to_owned()).unwrap()), ..TokenFilter::default() }
}

async fn make(store: &Store, title: &str) -> Token {
    let mut new = token();
    new.name = name(title);
    create(store, new).await
}

async fn end(transaction: &mut Transaction, filter: &TokenFilter) -> Ended {
    let (workspace, filter) = (workspace(WorkspaceId::SYSTEM), filter.clone());
    let matching = Matching { workspace, filter, rotation_due_after: None };
    bulk_revocations::end(transaction, &matching, &reason("lost")).await.unwrap()
}

/// Logs an end and settles it, as a service does.
async fn settle(transaction: &mut Transaction, ended: Ended) -> Revision {
    let (workspace, tokens) = (workspace(WorkspaceId::SYSTEM), ended.tokens.clone());
    let change = happened(Change::BulkRevoked { workspace, tokens, reason: reason("lost") });
    let revision = log::append_all(transaction, vec![change], false).await.unwrap().events[0].revision;
    bulk_revocations::settle(transaction, ended, revision).await.unwrap();
    revision
}

#[tokio::test]
async fn every_token_that_the_filter_matches_ends_with_the_revision_of_the_one_change() {
    let database = Database::new().await;
    let store = database.store();
    let (one, other) = (make(&store, "ci-1").await.id, make(&store, "ci-2").await.id);
    let (kept, dead) = (make(&store, "kept").await.id, make(&store, "ci-3").await.id);
    let before = revoke(&store, dead).await;
    let mut transaction = store.begin().await.unwrap();
    let head = log::head(transaction.connection()).await.unwrap().position;
    let ended = end(&mut transaction, &named("ci-")).await;
    assert_eq!((ended.count, ended.tokens.clone()), (2, Some(vec![one, other])));
    let revision = settle(&mut transaction, ended).await;
    transaction.finish::<_, tokenkeep::store::StoreError>(Ok(())).await.unwrap();
    for id in [one, other] {
        let token = find(&store, id).await.unwrap();
        assert_eq!((token.state, token.revision), (TokenState::Revoked, revision));
        assert_eq!(token.ended.unwrap().reason, reason("lost"));
    }
    assert_eq!(find(&store, kept).await.unwrap().state, TokenState::Active);
    assert_eq!(find(&store, dead).await.unwrap(), before);
    let read = log::read_after(&mut store.connection().await.unwrap(), head, 10).await.unwrap();
    assert_eq!(read.events.len(), 1);
    assert_eq!(read.events[0].event.change.tokens(), [one, other]);
}

/// With what was committed here and what others do meanwhile, since tokens are locked in one order.
#[tokio::test]
async fn two_that_end_the_same_tokens_wait_for_each_other_and_each_token_ends_once() {
    let database = Database::new().await;
    let store = database.store();
    let mut ids: Vec<TokenId> = Vec::new();
    for number in 0..200 {
        ids.push(make(&store, &format!("ci-{number}")).await.id);
    }
    let mut ends = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let store = store.clone();
        ends.spawn(async move {
            let mut transaction = store.begin().await.unwrap();
            let ended = end(&mut transaction, &named("ci-")).await;
            let count = ended.count;
            if count > 0 {
                settle(&mut transaction, ended).await;
            }
            transaction.finish::<_, tokenkeep::store::StoreError>(Ok(count)).await.unwrap()
        });
    }
    let counts = ends.join_all().await;
    assert_eq!((counts.iter().sum::<i64>(), counts.iter().max()), (200, Some(&200)), "{counts:?}");
}

#[tokio::test]
async fn of_more_than_a_thousand_none_is_named() {
    let database = Database::new().await;
    let store = database.store();
    make(&store, "ci").await;
    let columns = "workspace, name, description, creator, scopes, metadata, generation, obfuscated_secret, kid, tag, \
         secret_hash, type, audiences, allowed_cidrs, epoch";
    let copy = format!(
        "INSERT INTO tokens (id, {columns}) SELECT gen_random_uuid(), {columns} FROM tokens, generate_series(1, 1000)"
    );
    database.admin().await.batch_execute(&copy).await.unwrap();
    let mut transaction = store.begin().await.unwrap();
    let ended = end(&mut transaction, &named("ci")).await;
    assert_eq!((ended.count, ended.tokens.clone()), (1_001, None));
    let revision = settle(&mut transaction, ended).await;
    transaction.finish::<_, tokenkeep::store::StoreError>(Ok(())).await.unwrap();
    let before =
        tokenkeep::revocation::Position { revision: Revision(revision.0 - 1), ..history(&store).await };
    let read = log::read_after(&mut store.connection().await.unwrap(), before, 10).await.unwrap();
    assert!(matches!(read.events[0].event.change, Change::BulkRevoked { tokens: None, .. }));
}

async fn history(store: &Store) -> tokenkeep::revocation::Position {
    log::head(&mut store.connection().await.unwrap()).await.unwrap().position
}
