//! Tokens that are created at once share a commit, and nothing else: each has its own answer.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use prost_types::Timestamp;
use tokenkeep::proto::v1;
use tokenkeep::proto::v1::create_token_request::Expiration;
use tokio::task::JoinHandle;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::clients::{Client, refusal, refused};
use crate::harness::{Database, Server, eventually};
use crate::principals::disable;
use crate::wrong_tokens::field;

/// How many write new tokens at once: while so many commit, those who come gather.
const WRITERS: i64 = 2;

/// The commit of a token of this name takes so many seconds.
const SLOW: &str = "
    CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(3); RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON tokens DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.name = 'slow') EXECUTE FUNCTION wait()";

const COMMITTING: &str = "
    SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'tokenkeep'
    AND query = 'COMMIT' AND wait_event = 'PgSleep'";

type Call = JoinHandle<Result<v1::CreateTokenResponse, Status>>;

async fn scene() -> (Server, Client) {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    server.database.connect().await.batch_execute(SLOW).await.unwrap();
    (server, operator)
}

fn named(name: &str) -> v1::CreateTokenRequest {
    let (workspace, name, request_id) = ("acme".to_owned(), name.to_owned(), Uuid::new_v4().to_string());
    v1::CreateTokenRequest { workspace, name, request_id, ..Default::default() }
}

fn of(principal: &str) -> v1::CreateTokenRequest {
    v1::CreateTokenRequest { principal: principal.to_owned(), ..named(principal) }
}

fn expiring(expiration: Expiration) -> v1::CreateTokenRequest {
    v1::CreateTokenRequest { expiration: Some(expiration), ..named("expiring") }
}

fn at(time: SystemTime) -> Expiration {
    Expiration::ExpireTime(Timestamp::from(time))
}

fn create(client: &Client, request: &v1::CreateTokenRequest) -> Call {
    let (mut client, request) = (client.clone(), request.clone());
    tokio::spawn(async move { Ok(client.tokens.create_token(request).await?.into_inner()) })
}

async fn answer(call: Call) -> Result<v1::Token, Status> {
    Ok(call.await.unwrap()?.token.unwrap())
}

async fn count(database: &Database, query: &str) -> i64 {
    database.connect().await.query_one(query, &[]).await.unwrap().get(0)
}

/// Every writer is busy: whoever comes meanwhile gathers behind them.
async fn under_way(server: &Server, client: &Client) -> Vec<Call> {
    let mut calls = Vec::new();
    for number in 1..=WRITERS {
        calls.push(create(client, &named("slow")));
        eventually("it commits", || async { count(&server.database, COMMITTING).await == number }).await;
    }
    calls
}

/// The transactions that wrote these tokens.
async fn transactions(database: &Database, tokens: &[v1::Token]) -> BTreeSet<String> {
    let client = database.connect().await;
    let mut transactions = BTreeSet::new();
    for token in tokens {
        let told = format!("SELECT xmin::text FROM tokens WHERE id = '{}'", token.id);
        transactions.insert(client.query_one(&told, &[]).await.unwrap().get(0));
    }
    transactions
}

/// Whether exactly these tokens are there, beside those that are known to be, and each is told of once.
async fn require_all(database: &Database, tokens: &[v1::Token], beside: i64) {
    let total = beside + i64::try_from(tokens.len()).unwrap();
    let rows = "SELECT count(*) FROM tokens WHERE workspace = 'acme'";
    assert_eq!(count(database, rows).await, total);
    let told = "SELECT count(*) FROM audit_events WHERE workspace = 'acme' AND action = 'create_token'";
    assert_eq!(count(database, told).await, total);
    for token in tokens {
        assert_eq!(count(database, &format!("{told} AND token = '{}'", token.id)).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_and_fifty_six_creates_at_once_share_few_commits() {
    let (server, mut operator) = scene().await;
    operator.create_principal("acme", "robot", &[]).await;
    let first = under_way(&server, &operator).await;
    let mut calls = Vec::new();
    for some in 0..4 {
        let client = server.operator().await;
        calls.extend((0..64).map(|number| {
            let name = format!("{some} {number}");
            let principal = if number % 2 == 0 { "robot".to_owned() } else { String::new() };
            let scopes = vec![format!("number:{number}"), "all".to_owned()];
            let request = v1::CreateTokenRequest { principal, scopes, ..named(&name) };
            (create(&client, &request), request)
        }));
    }
    let mut tokens = Vec::new();
    for (call, mut request) in calls {
        let created = call.await.unwrap().unwrap();
        let token = created.token.unwrap();
        request.scopes.sort();
        assert_eq!((&token.name, &token.principal), (&request.name, &request.principal));
        assert_eq!(token.scopes, request.scopes);
        let found = operator.introspect(&created.secret).await.unwrap();
        assert_eq!((found.active, &found.jti), (true, &token.id));
        assert_eq!(operator.get_token(&token.id).await.unwrap(), token);
        tokens.push(token);
    }
    for call in first {
        answer(call).await.unwrap();
    }
    require_all(&server.database, &tokens, WRITERS).await;
    let transactions = transactions(&server.database, &tokens).await;
    println!("256 creates in {} transactions", transactions.len());
    assert!(transactions.len() <= 16, "{} transactions", transactions.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_create_is_told_to_whom_it_concerns_and_disturbs_nobody() {
    let (server, mut operator) = scene().await;
    operator.create_principal("acme", "sleeper", &[]).await;
    disable(&mut operator, "sleeper", true).await;
    let first = under_way(&server, &operator).await;
    let past = expiring(at(SystemTime::now() - Duration::from_secs(1)));
    let typed = v1::CreateTokenRequest { r#type: v1::TokenType::ReadOnly.into(), ..named("typed") };
    let sleeper = of("sleeper");
    let forbidden = refusal_of(Code::InvalidArgument, "PROFILE_FORBIDS", "type");
    let good: Vec<Call> = ["one", "two", "three"].map(|name| create(&operator, &named(name))).into();
    let bad = [
        (create(&operator, &sleeper), refused(Code::FailedPrecondition, "PRINCIPAL_DISABLED")),
        (create(&operator, &of("nobody")), refused(Code::NotFound, "PRINCIPAL_NOT_FOUND")),
        (create(&operator, &past), field("expire_time")),
        (create(&operator, &typed), forbidden),
    ];
    let later = create(&operator, &expiring(at(SystemTime::now() + Duration::from_hours(1))));
    for (call, expected) in bad {
        assert_eq!(refusal(&call.await.unwrap().unwrap_err()), expected);
    }
    let mut tokens = Vec::new();
    for call in good.into_iter().chain([later]) {
        tokens.push(answer(call).await.unwrap());
    }
    assert_eq!(transactions(&server.database, &tokens).await.len(), 1, "they were not together");
    for call in first {
        answer(call).await.unwrap();
    }
    require_all(&server.database, &tokens, WRITERS).await;
    let entered = count(&server.database, "SELECT count(*) FROM requests WHERE token IS NOT NULL").await;
    assert_eq!(entered, WRITERS + 4, "what was refused may be asked again");
    disable(&mut operator, "sleeper", false).await;
    tokens.push(answer(create(&operator, &sleeper)).await.unwrap());
    require_all(&server.database, &tokens, WRITERS).await;
}

fn refusal_of(code: Code, reason: &str, path: &str) -> crate::clients::Refusal {
    crate::clients::Refusal { fields: vec![path.to_owned()], ..refused(code, reason) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_the_database_refuses_is_made_apart_from_the_others() {
    let (server, operator) = scene().await;
    let refuse = "ALTER TABLE tokens ADD CONSTRAINT not_bad CHECK (name <> 'bad')";
    server.database.connect().await.batch_execute(refuse).await.unwrap();
    let first = under_way(&server, &operator).await;
    let good: Vec<Call> = ["one", "two", "three"].map(|name| create(&operator, &named(name))).into();
    let bad = create(&operator, &named("bad"));
    assert_eq!(refusal(&bad.await.unwrap().unwrap_err()), refused(Code::Internal, "INTERNAL"));
    let mut tokens = Vec::new();
    for call in good {
        tokens.push(answer(call).await.unwrap());
    }
    assert_eq!(transactions(&server.database, &tokens).await.len(), 3, "each was made by itself");
    for call in first {
        answer(call).await.unwrap();
    }
    require_all(&server.database, &tokens, WRITERS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_refused_late_or_needs_room_keeps_nobody_waiting() {
    let (server, mut operator) = scene().await;
    let workspace = v1::Workspace {
        id: "full".to_owned(),
        name: "full".to_owned(),
        limits: Some(v1::WorkspaceLimits { max_tokens: 1, ..Default::default() }),
        ..Default::default()
    };
    let request = v1::CreateWorkspaceRequest { workspace: Some(workspace), ..Default::default() };
    operator.workspaces.create_workspace(request).await.unwrap();
    let short_lived = v1::CreateTokenRequest {
        scopes: vec!["tokenkeep:*".to_owned()],
        ..expiring(at(SystemTime::now() + Duration::from_hours(1)))
    };
    let short_lived = create(&operator, &short_lived).await.unwrap().unwrap();
    let mortal = server.client(&short_lived.secret).await;
    mortal.clone().introspect(&short_lived.secret).await.unwrap();
    let first = under_way(&server, &operator).await;
    let limited = v1::CreateTokenRequest { workspace: "full".to_owned(), ..named("limited") };
    answer(create(&operator, &limited)).await.unwrap();
    let limited = v1::CreateTokenRequest { request_id: String::new(), ..limited };
    let powerful = v1::CreateTokenRequest {
        scopes: vec!["tokenkeep:tokens:read".to_owned()],
        ..expiring(Expiration::Lifetime(prost_types::Duration { seconds: 7_200, nanos: 0 }))
    };
    let good: Vec<Call> = ["one", "two"].map(|name| create(&mortal, &named(name))).into();
    let full = refusal(&create(&operator, &limited).await.unwrap().unwrap_err());
    assert_eq!(full, refused(Code::ResourceExhausted, "TOKEN_LIMIT_REACHED"));
    let outliving = refusal(&create(&mortal, &powerful).await.unwrap().unwrap_err());
    assert_eq!(outliving, refused(Code::PermissionDenied, "LIFETIME_ESCALATION"));
    assert_eq!(count(&server.database, COMMITTING).await, WRITERS, "they waited for the others");
    let mut tokens = Vec::new();
    for call in good {
        tokens.push(answer(call).await.unwrap());
    }
    assert_eq!(transactions(&server.database, &tokens).await.len(), 1, "they were not together");
    for call in first {
        answer(call).await.unwrap();
    }
    require_all(&server.database, &tokens, WRITERS + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lost_during_commit_is_unknown_to_all_but_those_who_were_refused() {
    let (server, operator) = scene().await;
    let first = under_way(&server, &operator).await;
    let slow: Vec<Call> = ["slow", "swift"].map(|name| create(&operator, &named(name))).into();
    let nobody = create(&operator, &of("nobody"));
    for call in first {
        answer(call).await.unwrap();
    }
    let database = &server.database;
    eventually("the others commit", || async { count(database, COMMITTING).await == 1 }).await;
    let end = COMMITTING.replace("count(*)", "pg_terminate_backend(pid)");
    database.connect().await.batch_execute(&end).await.unwrap();
    for call in slow {
        let lost = answer(call).await.unwrap_err();
        assert_eq!(refusal(&lost), refused(Code::Unavailable, "OUTCOME_UNKNOWN"));
    }
    let refusal = refusal(&answer(nobody).await.unwrap_err());
    assert_eq!(refusal, refused(Code::NotFound, "PRINCIPAL_NOT_FOUND"));
    require_all(database, &[], WRITERS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_whose_caller_has_gone_is_made_all_the_same() {
    let (server, operator) = scene().await;
    let first = under_way(&server, &operator).await;
    let gone = create(&operator, &named("gone"));
    // It has arrived when a later one of the same connection has been answered.
    let stays = create(&operator, &named("stays"));
    operator.clone().introspect("nonsense").await.unwrap();
    gone.abort();
    let tokens = [answer(stays).await.unwrap()];
    for call in first {
        answer(call).await.unwrap();
    }
    let there = "SELECT count(*) FROM tokens WHERE name = 'gone'";
    eventually("it is made", || async { count(&server.database, there).await == 1 }).await;
    require_all(&server.database, &tokens, WRITERS + 1).await;
}
