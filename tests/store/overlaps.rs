//! Secrets that were replaced and work on: what is kept of them, and until when one counts.

use std::time::{Duration, SystemTime};

use tokenkeep::store::credentials::{self, Credential};
use tokenkeep::store::tokens;
use tokenkeep::store::{Store, previous_secrets};
use tokenkeep::token::{Generation, Kid, PreviousSecret, Revision, Tag, Token, TokenId, TokenState};

use crate::harness::Database;
use crate::samples::{create, find, replacement, revoke, secret, token};

async fn judged(store: &Store, id: TokenId) -> Credential {
    let found = credentials::read(&mut store.connection().await.unwrap(), &[id]).await.unwrap();
    found.of[&id].clone()
}

/// Replaces the secret of a token, which then works on for an hour; the new one bears a mark.
async fn replace(store: &Store, token: &Token, mark: u8) -> (Token, SystemTime) {
    let read = judged(store, token.id).await.read_time;
    let end = read + Duration::from_hours(1);
    let mut connection = store.connection().await.unwrap();
    let replacement = replacement(mark, Some(end));
    let replaced = tokens::replace_secret(&mut connection, token, replacement, Revision(1)).await;
    (replaced.unwrap(), end)
}

/// The generations of the secrets that have not ended, and what state each finds its token in.
async fn secrets(store: &Store, id: TokenId) -> Vec<(i32, TokenState)> {
    judged(store, id).await.secrets().map(|secret| (secret.generation.0, secret.state)).collect()
}

async fn shown(store: &Store, id: TokenId) -> Option<i32> {
    find(store, id).await.unwrap().previous_secret.map(|previous| previous.generation.0)
}

async fn rows(database: &Database) -> i64 {
    let count = "SELECT count(*) FROM previous_secrets";
    database.admin().await.query_one(count, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn all_that_proves_the_secret_before_is_kept_until_its_end() {
    let database = Database::new().await;
    let store = database.store();
    let before = create(&store, token()).await;
    let (after, end) = replace(&store, &before, 2).await;
    let obfuscated = before.obfuscated_secret.clone();
    let kept =
        PreviousSecret { generation: Generation(1), obfuscated, expire_time: end, last_use_time: None };
    assert_eq!((after.generation, after.previous_secret.as_ref()), (Generation(2), Some(&kept)));
    assert_eq!(find(&store, after.id).await, Some(after.clone()));
    let mut transaction = store.begin().await.unwrap();
    let locked = tokens::lock(&mut transaction, &[after.id]).await;
    assert_eq!(transaction.finish(locked).await.unwrap()[0].token, after);
    let credential = judged(&store, before.id).await;
    let previous = credential.previous.unwrap();
    assert_eq!((previous.generation, previous.kid, previous.tag), (Generation(1), Kid::FIRST, Tag([1; 8])));
    assert_eq!((&previous.hash, previous.expire_time), (&secret(1).hash, Some(end)));
    assert_eq!((credential.present.tag, credential.present.expire_time), (Tag([2; 8]), None));
}

#[tokio::test]
async fn of_a_token_only_the_secret_right_before_the_present_one_counts() {
    let database = Database::new().await;
    let store = database.store();
    let first = create(&store, token()).await;
    let (second, _) = replace(&store, &first, 2).await;
    let (third, _) = replace(&store, &second, 3).await;
    assert_eq!(secrets(&store, first.id).await, [(3, TokenState::Active), (2, TokenState::Active)]);
    // Somebody who does not know that there is one leaves it behind, and yet it is not one of two before.
    let unknowing = Token { previous_secret: None, ..third };
    let mut connection = store.connection().await.unwrap();
    let fourth = tokens::replace_secret(&mut connection, &unknowing, replacement(4, None), Revision(2)).await;
    assert_eq!((fourth.unwrap().previous_secret, rows(&database).await), (None, 1));
    assert_eq!(secrets(&store, first.id).await, [(4, TokenState::Active)]);
    let (fifth, _) = replace(&store, &find(&store, first.id).await.unwrap(), 5).await;
    tokens::replace_secret(&mut connection, &fifth, replacement(6, None), Revision(2)).await.unwrap();
    assert_eq!(rows(&database).await, 0, "whoever knows forgets it");
}

#[tokio::test]
async fn a_secret_that_has_ended_is_neither_judged_nor_shown_and_is_forgotten() {
    let database = Database::new().await;
    let store = database.store();
    let (over, lasting) = (create(&store, token()).await, create(&store, token()).await);
    for token in [&over, &lasting] {
        replace(&store, token, 2).await;
    }
    let ended = |ago: &str| {
        format!(
            "UPDATE previous_secrets SET expire_time = now() - interval '{ago}' WHERE token = '{}'",
            over.id
        )
    };
    let admin = database.admin().await;
    admin.batch_execute(&ended("0 minutes")).await.unwrap();
    assert_eq!((shown(&store, over.id).await, shown(&store, lasting.id).await), (None, Some(1)));
    assert_eq!(secrets(&store, over.id).await, [(2, TokenState::Active)]);
    let mut connection = store.connection().await.unwrap();
    assert_eq!(previous_secrets::forget_ended(&mut connection, 10).await.unwrap(), 0, "it is too early");
    admin.batch_execute(&ended("1 hour")).await.unwrap();
    let forgotten = [
        previous_secrets::forget_ended(&mut connection, 10).await.unwrap(),
        previous_secrets::forget_ended(&mut connection, 10).await.unwrap(),
    ];
    assert_eq!((forgotten, rows(&database).await), ([1, 0], 1));
    assert_eq!(shown(&store, lasting.id).await, Some(1));
    let ended = tokens::end_overlap(&mut connection, lasting.id, Revision(9)).await.unwrap();
    assert_eq!((ended.previous_secret, ended.revision), (None, Revision(9)));
    assert_eq!(secrets(&store, lasting.id).await, [(2, TokenState::Active)]);
}

#[tokio::test]
async fn a_secret_is_invalidated_by_its_own_key_and_epoch() {
    let database = Database::new().await;
    let (store, admin) = (database.store(), database.admin().await);
    let before = create(&store, token()).await;
    replace(&store, &before, 2).await;
    let old = "UPDATE previous_secrets SET kid = 'zz'; \
        INSERT INTO server_keys (kid, fingerprint, state) VALUES ('zz', repeat('0', 32), 'retired')";
    admin.batch_execute(old).await.unwrap();
    let expected = [(2, TokenState::Active), (1, TokenState::Invalidated)];
    assert_eq!((secrets(&store, before.id).await, shown(&store, before.id).await), (expected.to_vec(), None));
    admin.batch_execute("UPDATE server_keys SET state = 'live'").await.unwrap();
    assert_eq!(shown(&store, before.id).await, Some(1));
    let later = "UPDATE workspaces SET epoch = epoch + 1; UPDATE tokens SET epoch = epoch + 1";
    admin.batch_execute(later).await.unwrap();
    assert_eq!((secrets(&store, before.id).await, shown(&store, before.id).await), (expected.to_vec(), None));
}

#[tokio::test]
async fn no_secret_outlives_its_token() {
    let database = Database::new().await;
    let store = database.store();
    let before = create(&store, token()).await;
    replace(&store, &before, 2).await;
    let sooner = "UPDATE tokens SET expire_time = now() + interval '1 minute'";
    database.admin().await.batch_execute(sooner).await.unwrap();
    let token = find(&store, before.id).await.unwrap();
    assert_eq!(token.previous_secret.map(|previous| previous.expire_time), token.expire_time);
    assert_eq!(judged(&store, before.id).await.previous.unwrap().expire_time, token.expire_time);
    revoke(&store, before.id).await;
    assert_eq!(shown(&store, before.id).await, None);
    assert_eq!(judged(&store, before.id).await.previous.unwrap().state, TokenState::Revoked);
}

#[tokio::test]
async fn a_previous_secret_shows_its_own_last_use_and_no_others() {
    let database = Database::new().await;
    let (store, admin) = (database.store(), database.admin().await);
    let before = create(&store, token()).await;
    replace(&store, &before, 2).await;
    let used = format!(
        "UPDATE token_last_uses SET last_use_time = now(), previous_generation = 1, previous_last_use_time = 'epoch' \
         WHERE token = '{}'",
        before.id
    );
    admin.batch_execute(&used).await.unwrap();
    let shown = find(&store, before.id).await.unwrap().previous_secret.unwrap();
    assert_eq!(shown.last_use_time, Some(SystemTime::UNIX_EPOCH));
    let (again, _) = replace(&store, &find(&store, before.id).await.unwrap(), 3).await;
    assert_eq!(again.previous_secret.unwrap().last_use_time, None, "that was another secret's");
}

/// The statement that locks may have begun before another transaction kept a secret, whose end it then waits for.
#[tokio::test(flavor = "multi_thread")]
async fn who_waited_for_a_lock_learns_of_what_was_kept_meanwhile() {
    let database = Database::new().await;
    let store = database.store();
    let before = create(&store, token()).await;
    let mut first = store.begin().await.unwrap();
    tokens::lock(&mut first, &[before.id]).await.unwrap();
    let waiting = tokio::spawn({
        let (store, id) = (store.clone(), before.id);
        async move {
            let mut second = store.begin().await.unwrap();
            let mut locked = tokens::lock(&mut second, &[id]).await.unwrap();
            previous_secrets::fill_in(&mut second, locked.iter_mut()).await.unwrap();
            second.finish(Ok::<_, tokenkeep::store::StoreError>(locked.pop().unwrap().token)).await.unwrap()
        }
    });
    let admin = database.admin().await;
    crate::harness::within("it waits", || async {
        let waits = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
        (!admin.query(waits, &[]).await.unwrap().is_empty()).then_some(())
    })
    .await;
    let end = Some(SystemTime::now() + Duration::from_hours(1));
    let replaced =
        tokens::replace_secret(first.connection(), &before, replacement(2, end), Revision(1)).await;
    let replaced = first.finish(replaced).await.unwrap();
    let found = waiting.await.unwrap();
    assert!(found.previous_secret.is_some());
    assert_eq!(found.previous_secret, replaced.previous_secret);
}
