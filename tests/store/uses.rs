//! Uses of tokens: each report counts once, whatever is repeated, and tells what it should of whom it should.

use std::time::{Duration, SystemTime};

use tokenkeep::store::{Connection, Store, StoreError, last_uses, tokens, workspaces};
use tokenkeep::token::{Generation, Revision, Token, TokenId};
use tokenkeep::uses::{MOST_COUNTED, Report, Use, Used};
use tokenkeep::workspace::WorkspaceId;
use uuid::Uuid;

use crate::harness::Database;
use crate::samples::{create, find, new_workspace, replacement, report, revoke, token, workspace};

const FIRST: Used = Used::Live(Generation::FIRST);
const GRACE: Duration = Duration::from_mins(10);

fn moment(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

fn of(reporter: u128, sequence: i64, uses: &[(TokenId, Used, i64, SystemTime)]) -> Report<SystemTime> {
    let uses = uses.iter().map(|(token, secret, count, last)| Use {
        token: *token,
        secret: *secret,
        count: *count,
        last: *last,
    });
    Report { reporter: Uuid::from_u128(reporter), sequence, uses: uses.collect() }
}

async fn record(store: &Store, report: &Report<SystemTime>) {
    last_uses::record(&mut store.connection().await.unwrap(), report, None).await.unwrap();
}

async fn counted(store: &Store, id: TokenId) -> (i64, Option<SystemTime>) {
    let token = find(store, id).await.unwrap();
    (token.use_count, token.last_use_time)
}

#[tokio::test]
async fn a_report_counts_once_however_often_and_late_it_comes() {
    let database = Database::new().await;
    let store = database.store();
    let id = create(&store, token()).await.id;
    let of =
        |reporter, sequence, count, second| of(reporter, sequence, &[(id, FIRST, count, moment(second))]);
    let (one, two, three) = (of(1, 1, 1, 1), of(1, 2, 10, 2), of(1, 7, 100, 3));
    for (report, expected) in
        [(&one, 1), (&one, 1), (&two, 11), (&one, 11), (&two, 11), (&three, 111), (&two, 111)]
    {
        record(&store, report).await;
        assert_eq!(counted(&store, id).await.0, expected, "{report:?}");
    }
    // Somebody else's are others.
    record(&store, &of(2, 1, 1_000, 0)).await;
    assert_eq!(counted(&store, id).await, (1_111, Some(moment(3))));
}

/// As when a server hangs, and the sidecar goes to another one meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_is_written_twice_at_once_waits_for_what_becomes_of_the_first() {
    let database = Database::new().await;
    let store = database.store();
    let id = create(&store, token()).await.id;
    for (sequence, commits) in [(1, false), (2, true)] {
        let report = of(1, sequence, &[(id, FIRST, 1, moment(1))]);
        let mut holder = store.begin().await.unwrap();
        last_uses::record(holder.connection(), &report, None).await.unwrap();
        let (other, repeated) = (store.clone(), report.clone());
        let second = tokio::spawn(async move { record(&other, &repeated).await });
        let admin = database.admin().await;
        let waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() \
                       AND wait_event_type = 'Lock'";
        crate::harness::within("the second waits", || async {
            (!admin.query(waiting, &[]).await.unwrap().is_empty()).then_some(())
        })
        .await;
        let ended = if commits { Ok(()) } else { Err(StoreError::Overloaded) };
        assert_eq!(holder.finish(ended).await.is_ok(), commits);
        second.await.unwrap();
        assert_eq!(counted(&store, id).await.0, sequence);
    }
}

#[tokio::test]
async fn a_last_use_never_moves_back() {
    let database = Database::new().await;
    let store = database.store();
    let id = create(&store, token()).await.id;
    let (early, late) = (moment(1_000), moment(2_000));
    for (uses, shown, count) in
        [(vec![early], early, 1), (vec![early, late], late, 3), (vec![early], late, 4)]
    {
        let uses: Vec<_> = uses.into_iter().map(|time| (id, time)).collect();
        record(&store, &report(&uses)).await;
        assert_eq!(counted(&store, id).await, (count, Some(shown)));
    }
}

#[tokio::test]
async fn a_use_of_a_token_that_is_gone_does_not_lose_the_others() {
    let database = Database::new().await;
    let store = database.store();
    let id = create(&store, token()).await.id;
    let uses = [(TokenId::generate(), moment(1)), (id, moment(2)), (TokenId::generate(), moment(3))];
    record(&store, &report(&uses)).await;
    assert_eq!(counted(&store, id).await, (1, Some(moment(2))));
}

#[tokio::test]
async fn only_uses_in_the_workspace_of_the_reporter_are_written() {
    let database = Database::new().await;
    let store = database.store();
    let mut connection = store.connection().await.unwrap();
    workspaces::insert(&mut connection, &new_workspace("other")).await.unwrap();
    let mut foreign = token();
    foreign.workspace = workspace("other");
    let (ours, foreign) = (create(&store, token()).await.id, create(&store, foreign).await.id);
    let report = report(&[(ours, moment(1)), (foreign, moment(1))]);
    let system = workspace(WorkspaceId::SYSTEM);
    last_uses::record(&mut connection, &report, Some(&system)).await.unwrap();
    assert_eq!((counted(&store, ours).await.0, counted(&store, foreign).await.0), (1, 0));
}

#[tokio::test]
async fn a_count_ends_at_the_greatest_number_there_is() {
    let database = Database::new().await;
    let store = database.store();
    let id = create(&store, token()).await.id;
    record(&store, &of(1, 1, &[(id, FIRST, 1, moment(1)), (id, Used::Superseded, 1, moment(1))])).await;
    let full = "UPDATE token_last_uses SET use_count = 9223372036854775800, \
                superseded_use_count = 9223372036854775800";
    database.admin().await.batch_execute(full).await.unwrap();
    let uses = [(id, FIRST, MOST_COUNTED, moment(2)), (id, Used::Superseded, MOST_COUNTED, moment(2))];
    record(&store, &of(1, 2, &uses)).await;
    let token = find(&store, id).await.unwrap();
    assert_eq!((token.use_count, token.superseded_use_count), (i64::MAX, i64::MAX));
}

#[tokio::test]
async fn uses_of_dead_secrets_are_counted_apart() {
    let database = Database::new().await;
    let store = database.store();
    let (live, dead) = (create(&store, token()).await.id, create(&store, token()).await.id);
    let uses = [
        (live, FIRST, 2, moment(5)),
        (live, Used::Superseded, 3, moment(7)),
        (dead, Used::Superseded, 1, moment(1)),
    ];
    record(&store, &of(1, 1, &uses)).await;
    record(&store, &of(2, 1, &[(live, Used::Superseded, 4, moment(6))])).await;
    let token = find(&store, live).await.unwrap();
    assert_eq!((token.use_count, token.last_use_time), (2, Some(moment(5))));
    assert_eq!((token.superseded_use_count, token.superseded_use_time), (7, Some(moment(7))));
    let token = find(&store, dead).await.unwrap();
    assert_eq!((token.use_count, token.last_use_time, token.superseded_use_count), (0, None, 1));
}

async fn regenerate(connection: &mut Connection, id: TokenId) -> Token {
    let token = tokens::find(connection, id).await.unwrap().unwrap();
    tokens::replace_secret(connection, &token, replacement(2, None), Revision(1)).await.unwrap()
}

#[tokio::test]
async fn uses_of_the_secret_before_are_told_apart_since_it_was_replaced() {
    let database = Database::new().await;
    let store = database.store();
    let admin = database.admin().await;
    let told = async || {
        let query = "SELECT previous_generation, previous_last_use_time, use_count FROM token_last_uses";
        let row = admin.query_one(query, &[]).await.unwrap();
        (row.get::<_, Option<i32>>(0), row.get::<_, Option<SystemTime>>(1), row.get::<_, i64>(2))
    };
    let id = create(&store, token()).await.id;
    let mut connection = store.connection().await.unwrap();
    let replaced = regenerate(&mut connection, id).await.secret_time;
    let [before, after, later] = [replaced - GRACE, replaced + GRACE, replaced + 2 * GRACE];
    let second = Used::Live(Generation(2));
    // Before it was replaced, it was the present one.
    record(&store, &of(1, 1, &[(id, FIRST, 1, before), (id, second, 1, later)])).await;
    assert_eq!(told().await, (None, None, 2));
    record(&store, &of(1, 2, &[(id, FIRST, 1, later)])).await;
    record(&store, &of(1, 3, &[(id, FIRST, 1, after)])).await;
    record(&store, &of(1, 4, &[(id, second, 1, later + GRACE)])).await;
    assert_eq!(told().await, (Some(1), Some(later), 5));
    let replaced = regenerate(&mut connection, id).await.secret_time;
    let [after, later] = [replaced + GRACE, replaced + 2 * GRACE];
    record(&store, &of(1, 5, &[(id, FIRST, 1, later), (id, second, 1, after)])).await;
    assert_eq!(told().await, (Some(2), Some(after), 7));
    record(&store, &of(1, 6, &[(id, FIRST, 1, later + GRACE)])).await;
    assert_eq!(told().await, (Some(2), Some(after), 8));
}

/// The tokens among these that a use of a dead secret revokes, at that long after the secret was replaced.
async fn misused(store: &Store, ids: &[TokenId], after: Duration) -> Vec<(TokenId, Revision)> {
    let mut uses = Vec::new();
    for token in ids {
        let last = find(store, *token).await.unwrap().secret_time + after;
        uses.push(Use { token: *token, secret: Used::Superseded, count: 1, last });
    }
    last_uses::misused(&mut store.connection().await.unwrap(), &uses, GRACE).await.unwrap()
}

#[tokio::test]
async fn a_dead_secret_is_misused_only_where_that_is_asked_for_and_after_the_grace() {
    let database = Database::new().await;
    let store = database.store();
    let admin = database.admin().await;
    let mut connection = store.connection().await.unwrap();
    let ids = [create(&store, token()).await.id, create(&store, token()).await.id];
    for id in ids {
        regenerate(&mut connection, id).await;
    }
    revoke(&store, ids[1]).await;
    let before = |time: Duration| time.checked_sub(Duration::from_micros(1)).unwrap();
    assert_eq!(misused(&store, &ids, GRACE).await, []);
    admin.batch_execute("UPDATE workspaces SET superseded_use = 'revoke'").await.unwrap();
    assert_eq!(misused(&store, &ids, before(GRACE)).await, []);
    assert_eq!(misused(&store, &ids, GRACE).await, [(ids[0], Revision(1))]);
    // An overlap that has ended later, or has not yet, counts.
    let overlap = format!(
        "INSERT INTO previous_secrets SELECT id, 1, kid, tag, secret_hash, epoch, obfuscated_secret,
         secret_time + interval '1 hour' FROM tokens WHERE id = '{}'",
        ids[0]
    );
    admin.batch_execute(&overlap).await.unwrap();
    let hour = Duration::from_hours(1);
    assert_eq!(misused(&store, &ids, hour + before(GRACE)).await, []);
    assert_eq!(misused(&store, &ids, hour + GRACE).await, [(ids[0], Revision(1))]);
}

#[tokio::test]
async fn who_has_not_reported_for_long_is_forgotten_and_nobody_else() {
    let database = Database::new().await;
    let store = database.store();
    let admin = database.admin().await;
    for reporter in [1, 2] {
        record(&store, &of(reporter, 1, &[])).await;
    }
    let old = "UPDATE usage_reports SET report_time = now() - interval '25 hours'";
    admin.batch_execute(old).await.unwrap();
    record(&store, &of(2, 2, &[])).await;
    last_uses::forget(&mut store.connection().await.unwrap(), Duration::from_hours(24)).await.unwrap();
    let left = admin.query("SELECT reporter::text FROM usage_reports", &[]).await.unwrap();
    assert_eq!(
        left.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>(),
        [Uuid::from_u128(2).to_string()]
    );
}
