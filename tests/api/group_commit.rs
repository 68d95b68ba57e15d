//! Changes that come at once share a commit, and nothing else: each has its own answer.

use std::collections::BTreeSet;
use std::time::Duration;

use prost_types::{FieldMask, Timestamp};
use tokenkeep::proto::v1;
use tokio::task::JoinHandle;
use tonic::{Code, Status};

use crate::clients::{Client, refusal, refused};
use crate::harness::{Database, Server, eventually};
use crate::wrong_tokens::{NOWHERE, field};

/// A server and so many tokens.
async fn scene(count: usize) -> (Server, Client, Vec<v1::Token>) {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    let mut tokens = Vec::new();
    for number in 0..count {
        tokens.push(operator.create_token("acme", &format!("token {number}"), &[]).await.0);
    }
    (server, operator, tokens)
}

/// Makes the commit of a revision after the last take so many seconds.
async fn slow_commit(database: &Database, after: i64, seconds: f64) {
    let revision = database.head().await + after;
    let trigger = format!(
        "CREATE FUNCTION wait_{revision}() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep({seconds}); RETURN NULL; END $$;
         CREATE CONSTRAINT TRIGGER wait_{revision} AFTER INSERT ON revisions
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.revision = {revision})
            EXECUTE FUNCTION wait_{revision}()"
    );
    database.connect().await.batch_execute(&trigger).await.unwrap();
}

type Call = JoinHandle<Result<v1::Token, Status>>;

fn revoke(client: &Client, id: &str) -> Call {
    let (mut client, id) = (client.clone(), id.to_owned());
    tokio::spawn(async move { client.revoke(&id).await })
}

fn update(client: &Client, token: v1::Token, paths: &[&str]) -> Call {
    let mut client = client.clone();
    let mask = FieldMask { paths: paths.iter().map(ToString::to_string).collect() };
    let request =
        v1::UpdateTokenRequest { token: Some(token), update_mask: Some(mask), ..Default::default() };
    tokio::spawn(async move { Ok(client.tokens.update_token(request).await?.into_inner().token.unwrap()) })
}

/// A change whose commit takes a second, once it is under way: what comes meanwhile gathers behind it.
async fn under_way(server: &Server, client: &Client, id: &str) -> Call {
    slow_commit(&server.database, 1, 1.0).await;
    let call = revoke(client, id);
    is_running(&server.database, "query = 'COMMIT'").await;
    call
}

/// Waits until a session of the server is busy so, and gives its process.
async fn is_running(database: &Database, what: &str) -> i32 {
    let client = database.connect().await;
    let find = format!(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'
         AND application_name = 'tokenkeep' AND {what}"
    );
    eventually(what, || async { client.query(&find, &[]).await.unwrap().len() == 1 }).await;
    client.query_one(&find, &[]).await.unwrap().get(0)
}

/// The transaction of each change of a token, in the order of the log.
async fn transactions(database: &Database) -> Vec<String> {
    let told = "SELECT xmin::text FROM revisions WHERE token IS NOT NULL ORDER BY revision";
    database.connect().await.query(told, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_and_fifty_six_revokes_at_once_share_few_commits() {
    let (server, operator, tokens) = scene(257).await;
    let first = under_way(&server, &operator, &tokens[0].id).await;
    let mut calls = Vec::new();
    for some in tokens[1..].chunks(64) {
        let client = server.operator().await;
        calls.extend(some.iter().map(|token| revoke(&client, &token.id)));
    }
    let first = first.await.unwrap().unwrap().revision;
    let mut revisions = BTreeSet::from([first]);
    for call in calls {
        revisions.insert(call.await.unwrap().unwrap().revision);
    }
    assert!(revisions.into_iter().eq(first..first + 257), "each has a revision of its own");
    let transactions: BTreeSet<String> = transactions(&server.database).await.into_iter().collect();
    println!("257 revokes in {} transactions", transactions.len());
    assert!(transactions.len() <= 16, "{} transactions", transactions.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_to_whom_it_concerns_and_disturbs_nobody() {
    let (server, operator, tokens) = scene(5).await;
    let first = under_way(&server, &operator, &tokens[0].id).await;
    let past = v1::Token {
        id: tokens[1].id.clone(),
        expire_time: Some(Timestamp { seconds: 1_000_000_000, nanos: 0 }),
        ..Default::default()
    };
    let stale =
        v1::Token { id: tokens[2].id.clone(), name: "n".into(), etag: "stale".into(), ..Default::default() };
    let good = [revoke(&operator, &tokens[3].id), revoke(&operator, &tokens[4].id)];
    let bad = [
        (revoke(&operator, NOWHERE), refused(Code::NotFound, "TOKEN_NOT_FOUND")),
        (update(&operator, past, &["expire_time"]), field("token.expire_time")),
        (update(&operator, stale, &["name"]), refused(Code::Aborted, "ETAG_MISMATCH")),
    ];
    first.await.unwrap().unwrap();
    for (call, expected) in bad {
        assert_eq!(refusal(&call.await.unwrap().unwrap_err()), expected);
    }
    for call in good {
        assert_eq!(call.await.unwrap().unwrap().state(), v1::TokenState::Revoked);
    }
    let transactions = transactions(&server.database).await;
    assert_eq!(transactions.len(), 3, "a refusal takes no revision");
    assert_eq!(transactions[1], transactions[2], "they were not together");
    let mut operator = operator;
    for token in &tokens[1..3] {
        assert_eq!(operator.get_token(&token.id).await.unwrap(), *token);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_of_one_token_are_made_one_after_another() {
    let (server, operator, tokens) = scene(2).await;
    let first = under_way(&server, &operator, &tokens[0].id).await;
    let edit = |name: String, etag: &str| {
        let token = v1::Token { id: tokens[1].id.clone(), name, etag: etag.to_owned(), ..Default::default() };
        update(&operator, token, &["name"])
    };
    let blind: Vec<Call> = (0..6).map(|number| edit(format!("blind {number}"), "")).collect();
    let seen: Vec<Call> = (0..6).map(|number| edit(format!("seen {number}"), &tokens[1].etag)).collect();
    let first = first.await.unwrap().unwrap().revision;
    let mut made = Vec::new();
    for call in blind {
        made.push(call.await.unwrap().unwrap());
    }
    let mut winners = 0;
    for call in seen {
        match call.await.unwrap() {
            Ok(token) => {
                winners += 1;
                made.push(token);
            }
            Err(status) => assert_eq!(refusal(&status), refused(Code::Aborted, "ETAG_MISMATCH")),
        }
    }
    assert!(winners <= 1, "{winners} saw the same version and all changed it");
    made.sort_by_key(|token| token.revision);
    assert!(
        made.iter().map(|token| token.revision).eq(first + 1..=first + i64::try_from(made.len()).unwrap())
    );
    let mut operator = operator;
    assert_eq!(operator.get_token(&tokens[1].id).await.unwrap(), *made.last().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_somebody_holds_fails_its_own_change_alone() {
    let (server, operator, tokens) = scene(6).await;
    let holder = server.database.connect().await;
    let hold = format!("BEGIN; SELECT FROM tokens WHERE id = '{}' FOR UPDATE", tokens[1].id);
    holder.batch_execute(&hold).await.unwrap();
    let first = under_way(&server, &operator, &tokens[0].id).await;
    let mut calls: Vec<Call> = tokens[1..].iter().map(|token| revoke(&operator, &token.id)).collect();
    first.await.unwrap().unwrap();
    let kept_out = calls.remove(0).await.unwrap().unwrap_err();
    assert_eq!(refusal(&kept_out), refused(Code::Unavailable, "DATABASE_UNAVAILABLE"));
    for call in calls {
        call.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_before_commit_is_made_again() {
    let (server, operator, tokens) = scene(9).await;
    let first = under_way(&server, &operator, &tokens[0].id).await;
    let holder = server.database.connect().await;
    let key = i64::from_be_bytes(*b"tkrevisn");
    // Behind the first one, and before those that gather behind it.
    let lock = format!("SELECT pg_advisory_lock({key})");
    let holding = tokio::spawn(async move {
        holder.batch_execute(&lock).await.unwrap();
        holder
    });
    let calls: Vec<Call> = tokens[1..].iter().map(|token| revoke(&operator, &token.id)).collect();
    first.await.unwrap().unwrap();
    let holder = holding.await.unwrap();
    let writer = is_running(&server.database, "wait_event = 'advisory'").await;
    holder.execute("SELECT pg_terminate_backend($1)", &[&writer]).await.unwrap();
    holder.execute("SELECT pg_advisory_unlock($1)", &[&key]).await.unwrap();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().state(), v1::TokenState::Revoked);
    }
    let transactions: BTreeSet<String> = transactions(&server.database).await.into_iter().collect();
    assert_eq!(transactions.len(), 9, "each was made by itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_during_commit_is_unknown_to_all_but_those_who_were_refused() {
    let (server, operator, tokens) = scene(5).await;
    slow_commit(&server.database, 2, 60.0).await;
    let first = under_way(&server, &operator, &tokens[0].id).await;
    let calls: Vec<Call> = tokens[1..].iter().map(|token| revoke(&operator, &token.id)).collect();
    let nowhere = revoke(&operator, NOWHERE);
    first.await.unwrap().unwrap();
    let writer = is_running(&server.database, "query = 'COMMIT' AND wait_event = 'PgSleep'").await;
    let client = server.database.connect().await;
    client.execute("SELECT pg_terminate_backend($1)", &[&writer]).await.unwrap();
    for call in calls {
        let lost = call.await.unwrap().unwrap_err();
        assert_eq!(refusal(&lost), refused(Code::Unavailable, "OUTCOME_UNKNOWN"));
    }
    let refusal = refusal(&nowhere.await.unwrap().unwrap_err());
    assert_eq!(refusal, refused(Code::NotFound, "TOKEN_NOT_FOUND"));
    assert_eq!(transactions(&server.database).await.len(), 1, "this one did not commit");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_finishes_what_has_gathered() {
    let (mut server, operator, tokens) = scene(9).await;
    let first = under_way(&server, &operator, &tokens[0].id).await;
    let calls: Vec<Call> = tokens[1..].iter().map(|token| revoke(&operator, &token.id)).collect();
    // They have arrived when a later one of the same connection has been answered.
    operator.clone().get_token(&tokens[1].id).await.unwrap();
    server.signal("TERM");
    first.await.unwrap().unwrap();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().state(), v1::TokenState::Revoked);
    }
    let (status, _) = server.wait(Duration::from_secs(10)).await;
    assert_eq!(status.code(), Some(0), "{}", server.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn once_a_revoke_is_answered_the_same_server_accepts_the_token_no_more() {
    let (_server, mut operator, _) = scene(0).await;
    for number in 0..40 {
        let (token, secret) = operator.create_token("acme", &format!("short-lived {number}"), &[]).await;
        assert!(operator.introspect(&secret).await.unwrap().active);
        operator.revoke(&token.id).await.unwrap();
        assert!(!operator.introspect(&secret).await.unwrap().active, "token {number} lives on");
    }
}
