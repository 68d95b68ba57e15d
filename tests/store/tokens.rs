//! One token's life in the store.

use std::time::{Duration, SystemTime};

use tokenkeep::store::tokens::{self, Locked, Replacement, Revocation};
use tokenkeep::store::{Store, StoreError, credentials, last_uses};
use tokenkeep::text::Metadata;
use tokenkeep::token::{
    Cidr, Cidrs, Expiry, Generation, Revision, Tag, Token, TokenEdit, TokenId, TokenState,
};

use crate::harness::{Database, within};
use crate::samples::{
    create, enrol, find, name, principal, reason, replacement, report, revoke, scopes, secret, token,
    workspace,
};

const HOUR: Duration = Duration::from_hours(1);

async fn update(store: &Store, id: TokenId, edit: TokenEdit) -> Token {
    tokens::update(&mut store.connection().await.unwrap(), id, edit, Revision(7)).await.unwrap()
}

#[tokio::test]
async fn a_token_is_found_as_it_was_written() {
    let database = Database::new().await;
    let store = database.store();
    let mut new = token();
    new.principal = Some(enrol(&store, principal("user:é")).await);
    new.scopes = scopes(&["b", "a:*"]);
    let labels = [("team".to_owned(), "red \"one\"".to_owned())];
    new.metadata = Metadata::parse(labels.into()).unwrap();
    let written = create(&store, new.clone()).await;
    assert_eq!(written.name, new.name);
    assert_eq!(written.description, new.description);
    assert_eq!(written.principal, new.principal);
    assert_eq!(written.scopes, new.scopes);
    assert_eq!(written.metadata, new.metadata);
    assert_eq!(written.create_time, written.update_time);
    assert_eq!((written.state, written.revision), (TokenState::Active, Revision::ZERO));
    assert_eq!(find(&store, new.id).await, Some(written));
    assert_eq!(find(&store, TokenId::generate()).await, None);
}

#[tokio::test]
async fn of_tokens_that_are_added_together_those_are_left_out_whose_time_has_passed() {
    let database = Database::new().await;
    let store = database.store();
    let robot = enrol(&store, principal("robot")).await;
    let times = [Expiry::Never, Expiry::After(HOUR), Expiry::At(SystemTime::now() + HOUR)];
    let past = Expiry::At(SystemTime::now() - HOUR);
    let mut news = Vec::new();
    for (number, expiry) in times.into_iter().chain([past]).cycle().take(20).enumerate() {
        let mut new = token();
        new.scopes = scopes(&["a:*", "b", "c"][..number % 3]);
        new.allowed_cidrs = Cidrs::new(vec![Cidr::parse("10.0.0.0/8").unwrap(); number % 2]).unwrap();
        new.principal = (number % 2 == 0).then(|| robot.clone());
        new.expiry = expiry;
        news.push(new);
    }
    let mut connection = store.connection().await.unwrap();
    let written = tokens::insert_all(&mut connection, news.clone()).await.unwrap();
    assert_eq!(written.len(), 15);
    for new in news {
        let found = find(&store, new.id).await;
        assert_eq!(found.as_ref(), written.iter().find(|token| token.id == new.id));
        assert_eq!(found.is_some(), new.expiry != past);
        let Some(found) = found else { continue };
        assert_eq!((found.scopes, found.allowed_cidrs), (new.scopes, new.allowed_cidrs));
        assert_eq!(
            (found.principal, found.expire_time.is_some()),
            (new.principal, new.expiry != Expiry::Never)
        );
    }
    assert!(tokens::insert_all(&mut connection, Vec::new()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_lifetime_is_counted_by_the_clock_of_the_database() {
    let database = Database::new().await;
    let store = database.store();
    let mut new = token();
    new.expiry = Expiry::After(HOUR);
    let written = create(&store, new).await;
    assert_eq!(written.expire_time, Some(written.create_time + HOUR));
    assert_eq!(written.state, TokenState::Active);
    let moved = TokenEdit { expiry: Some(Expiry::At(SystemTime::now() - HOUR)), ..TokenEdit::default() };
    assert_eq!(update(&store, written.id, moved).await.state, TokenState::Expired);
    let freed = TokenEdit { expiry: Some(Expiry::Never), ..TokenEdit::default() };
    let freed = update(&store, written.id, freed).await;
    assert_eq!((freed.state, freed.expire_time), (TokenState::Active, None));
}

#[tokio::test]
async fn an_edit_changes_what_it_names_and_nothing_else() {
    let database = Database::new().await;
    let store = database.store();
    let before = create(&store, token()).await;
    let edit = TokenEdit { name: Some(name("another")), ..TokenEdit::default() };
    let after = update(&store, before.id, edit).await;
    let (name, update_time) = (after.name.clone(), after.update_time);
    assert_eq!((name.as_str(), after.revision), ("another", Revision(7)));
    assert_eq!(after, Token { name, update_time, revision: Revision(7), ..before });
}

#[tokio::test]
async fn a_new_secret_replaces_every_trace_of_the_old_one() {
    let database = Database::new().await;
    let store = database.store();
    let mut new = token();
    new.expiry = Expiry::After(HOUR);
    let before = create(&store, new).await;
    let mut connection = store.connection().await.unwrap();
    let after =
        tokens::replace_secret(&mut connection, &before, replacement(2, None), Revision(1)).await.unwrap();
    assert_eq!((after.generation, after.expire_time), (Generation(2), before.expire_time));
    let found = credentials::read(&mut connection, &[before.id]).await.unwrap();
    let credential = &found.of[&before.id];
    assert_eq!((credential.present.tag, &credential.present.hash), (Tag([2; 8]), &secret(2).hash));
    assert!(credential.previous.is_none());
    assert!(credential.read_time >= after.update_time);
    let renewed = Replacement { expiry: Some(Expiry::Never), ..replacement(3, None) };
    let third = tokens::replace_secret(&mut connection, &after, renewed, Revision(2)).await.unwrap();
    assert_eq!((third.generation, third.expire_time), (Generation(3), None));
}

#[tokio::test]
async fn revoked_tokens_tell_when_and_why_and_so_does_what_is_read_back() {
    let database = Database::new().await;
    let store = database.store();
    let ids = [create(&store, token()).await.id, create(&store, token()).await.id];
    let mut transaction = store.begin().await.unwrap();
    let locked = tokens::lock(&mut transaction, &[ids[1], TokenId::generate(), ids[0]]).await.unwrap();
    assert_eq!(locked.iter().map(|locked| locked.token.id).collect::<Vec<_>>(), ids, "in the order of ids");
    let ended = locked.into_iter().rev().zip(1..).map(|(Locked { token, .. }, number)| Revocation {
        token,
        reason: reason(&format!("reason {number}")),
        revision: Revision(number),
    });
    let revoked = tokens::revoke(&mut transaction, ended.collect()).await;
    let revoked = transaction.finish(revoked).await.unwrap();
    for (token, number) in revoked.into_iter().zip(1..) {
        let ended = token.ended.clone().unwrap();
        assert_eq!((ended.time, ended.reason), (token.update_time, reason(&format!("reason {number}"))));
        assert_eq!((token.state, token.revision), (TokenState::Revoked, Revision(number)));
        assert_eq!(find(&store, token.id).await, Some(token));
    }
}

#[tokio::test]
async fn a_first_use_is_recorded_while_the_token_is_locked() {
    let database = Database::new().await;
    let store = database.store();
    let id = create(&store, token()).await.id;
    let mut holder = store.begin().await.unwrap();
    tokens::lock(&mut holder, &[id]).await.unwrap();
    last_uses::record(&mut store.connection().await.unwrap(), &report(&[(id, moment(1))]), None)
        .await
        .unwrap();
    assert_eq!(find(&store, id).await.unwrap().last_use_time, Some(moment(1)));
}

#[tokio::test]
async fn revoking_what_is_not_there_is_an_error() {
    let database = Database::new().await;
    let store = database.store();
    let mut token = create(&store, token()).await;
    token.id = TokenId::generate();
    let mut transaction = store.begin().await.unwrap();
    let ended = vec![Revocation { token, reason: reason(""), revision: Revision(1) }];
    let refused = tokens::revoke(&mut transaction, ended).await.unwrap_err();
    assert!(matches!(refused, StoreError::Mismatch { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_token_of_no_workspace_is_refused_by_the_name_of_the_rule_alone() {
    let database = Database::new().await;
    let mut new = token();
    new.workspace = workspace("nowhere");
    let mut connection = database.store().connection().await.unwrap();
    let refused = tokens::insert(&mut connection, new).await.unwrap_err();
    assert!(
        matches!(&refused, StoreError::Conflict { constraint, .. } if constraint == "tokens_workspace_fkey")
    );
    assert!(!format!("{refused:?}").contains("nowhere"), "{refused:?}");
}

#[tokio::test]
async fn a_row_that_the_types_refuse_is_not_passed_on() {
    let database = Database::new().await;
    let store = database.store();
    let written = create(&store, token()).await;
    let admin = database.admin().await;
    admin.batch_execute("UPDATE tokens SET scopes = '{a b}'").await.unwrap();
    let refused = tokens::find(&mut store.connection().await.unwrap(), written.id).await.unwrap_err();
    assert!(matches!(refused, StoreError::Corrupt { what: "tokens.scopes" }), "{refused:?}");
}

/// A change that is not heap-only writes to every index of the table.
#[tokio::test]
async fn neither_use_nor_regenerating_nor_revoking_writes_to_an_index() {
    let database = Database::new().await;
    let store = database.store();
    let there = create(&store, token()).await;
    let id = there.id;
    let mut connection = store.connection().await.unwrap();
    for second in 1..9 {
        last_uses::record(&mut connection, &report(&[(id, moment(second))]), None).await.unwrap();
        tokens::replace_secret(&mut connection, &there, replacement(2, None), Revision(1)).await.unwrap();
    }
    revoke(&store, id).await;
    // A session tells what it did when it ends.
    store.close();
    drop(connection);
    let admin = database.admin().await;
    let told =
        "SELECT relname::text, n_tup_hot_upd FROM pg_stat_user_tables WHERE n_tup_hot_upd > 0 ORDER BY 1";
    within("the statistics tell of 7 uses and 9 changes", || async {
        let rows = admin.query(told, &[]).await.unwrap();
        let rows: Vec<(String, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        (rows == [("token_last_uses".to_owned(), 7), ("tokens".to_owned(), 9)]).then_some(())
    })
    .await;
}

fn moment(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}
