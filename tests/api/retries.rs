//! Retry-safe issuance: a request with an id is carried out once, and every attempt at it is answered what the first one
//! did, whichever server it reaches.

use std::collections::BTreeSet;

use secrecy::ExposeSecret as _;
use tokenkeep::keyring::{ReplayKeys, today};
use tokenkeep::proto::v1;
use tokenkeep::request::{Day, RequestId, Sealed};
use tokenkeep::token::TokenId;
use tokio::task::JoinSet;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::clients::{Client, refusal, refused};
use crate::harness::{Database, Server};
use crate::mutations::{changes_of, changes_of_others, ends_of_many};

fn id() -> String {
    Uuid::new_v4().to_string()
}

fn creation(name: &str, request_id: &str) -> v1::CreateTokenRequest {
    let (workspace, name, request_id) = ("acme".to_owned(), name.to_owned(), request_id.to_owned());
    v1::CreateTokenRequest { workspace, name, request_id, ..Default::default() }
}

async fn create(client: &Client, name: &str, request_id: &str) -> Result<(String, String), Status> {
    let answer = client.clone().tokens.create_token(creation(name, request_id)).await?.into_inner();
    Ok((answer.token.unwrap().id, answer.secret))
}

async fn two_servers() -> (Server, Server, [Client; 2]) {
    let (one, other) = Server::two_with(&[]).await;
    let mut clients = [one.operator().await, other.operator().await];
    clients[0].create_workspace("acme").await;
    (one, other, clients)
}

async fn count(client: &mut Client) -> usize {
    let request =
        v1::ListTokensRequest { workspace: "acme".to_owned(), page_size: 1_000, ..Default::default() };
    client.tokens.list_tokens(request).await.unwrap().into_inner().tokens.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_is_shown_the_same_secret_at_any_server() {
    let (_one, _other, mut clients) = two_servers().await;
    let request_id = id();
    let first = create(&clients[0], "once", &request_id).await.unwrap();
    for client in &clients {
        assert_eq!(create(client, "once", &request_id).await.unwrap(), first);
    }
    assert!(clients[1].introspect(&first.1).await.unwrap().active);
    assert_eq!(count(&mut clients[0]).await, 1);
    assert_ne!(create(&clients[0], "once", &id()).await.unwrap(), first);
    assert_ne!(
        create(&clients[0], "once", "").await.unwrap().0,
        create(&clients[0], "once", "").await.unwrap().0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_retries_at_once_over_two_servers_mint_one_secret() {
    let (one, other, mut clients) = two_servers().await;
    let hashes = "tokenkeep_argon2_runs_total{purpose=\"hash\"}";
    let before = one.metric(hashes).await + other.metric(hashes).await;
    let request_id = id();
    let mut attempts = JoinSet::new();
    for number in 0..500 {
        let (client, request_id) = (clients[number % 2].clone(), request_id.clone());
        attempts.spawn(async move {
            loop {
                match create(&client, "once", &request_id).await {
                    // As a client would: too much at once is tried again with the same id.
                    Err(status) if status.code() == Code::ResourceExhausted => {}
                    answer => return answer.unwrap(),
                }
            }
        });
    }
    let answers: BTreeSet<(String, String)> = attempts.join_all().await.into_iter().collect();
    assert_eq!(answers.len(), 1, "{:?}", answers.iter().map(|(id, _)| id).collect::<Vec<_>>());
    assert_eq!(count(&mut clients[0]).await, 1);
    let runs = one.metric(hashes).await + other.metric(hashes).await - before;
    assert!(runs <= 2.0, "one hash a server at most, and not {runs}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_was_used_for_something_else_is_refused() {
    let (_one, _other, mut clients) = two_servers().await;
    let request_id = id();
    let (token, _) = create(&clients[0], "once", &request_id).await.unwrap();
    for client in &clients {
        let reused = create(client, "twice", &request_id).await.unwrap_err();
        assert_eq!(refusal(&reused), refused(Code::InvalidArgument, "REQUEST_ID_REUSED"));
    }
    // What looks alike on the wire is another request if it is of another RPC.
    let suspend =
        v1::SuspendTokenRequest { id: token.clone(), request_id: request_id.clone(), ..Default::default() };
    let resume = v1::ResumeTokenRequest { id: token.clone(), request_id, ..Default::default() };
    let suspended = clients[0].tokens.suspend_token(suspend).await.unwrap().into_inner().token.unwrap();
    assert_eq!(suspended.state(), v1::TokenState::Suspended);
    let resumed = clients[1].tokens.resume_token(resume).await.unwrap().into_inner().token.unwrap();
    assert_eq!(resumed.state(), v1::TokenState::Active);
    assert_eq!(count(&mut clients[0]).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_callers_request_of_the_same_id_is_its_own() {
    let (server, _other, mut clients) = two_servers().await;
    let (_, secret) = clients[0].create_token("acme", "caller", &["tokenkeep:tokens:*"]).await;
    let (request_id, caller) = (id(), server.client(&secret).await);
    let of_operator = create(&clients[0], "once", &request_id).await.unwrap();
    let of_caller = create(&caller, "once", &request_id).await.unwrap();
    assert_ne!(of_operator.1, of_caller.1);
    assert_eq!(create(&caller, "once", &request_id).await.unwrap(), of_caller);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_regeneration_is_repeated_with_the_etag_it_had_until_the_next_one() {
    let (_one, _other, mut clients) = two_servers().await;
    let (token, first) = clients[0].create_token("acme", "turning", &[]).await;
    let request_id = id();
    let request = v1::RegenerateTokenRequest {
        id: token.id.clone(),
        etag: token.etag.clone(),
        request_id: request_id.clone(),
        ..Default::default()
    };
    let mut secrets = BTreeSet::new();
    for number in 0..4 {
        let answer = clients[number % 2].tokens.regenerate_token(request.clone()).await.unwrap().into_inner();
        assert_eq!(answer.token.unwrap().generation, 2);
        secrets.insert(answer.secret);
    }
    assert_eq!(secrets.len(), 1);
    assert!(!secrets.contains(&first));
    assert!(clients[1].introspect(secrets.first().unwrap()).await.unwrap().active);
    clients[0].regenerate(&token.id, "*").await.unwrap();
    let late = clients[1].tokens.regenerate_token(request).await.unwrap_err();
    assert_eq!(refusal(&late), refused(Code::FailedPrecondition, "SECRET_SUPERSEDED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_may_be_asked_again_with_the_same_id() {
    let (_one, _other, mut clients) = two_servers().await;
    let request_id = id();
    let mut request = creation("of mia", &request_id);
    request.principal = "mia".to_owned();
    let early = clients[0].tokens.create_token(request.clone()).await.unwrap_err();
    assert_eq!(refusal(&early), refused(Code::NotFound, "PRINCIPAL_NOT_FOUND"));
    clients[0].create_principal("acme", "mia", &["*"]).await;
    let made = clients[1].tokens.create_token(request.clone()).await.unwrap().into_inner();
    let again = clients[0].tokens.create_token(request).await.unwrap().into_inner();
    assert_eq!(made.secret, again.secret);
    // So it is in a transaction that many share.
    let token = made.token.unwrap();
    let revoke = |etag: &str, request_id: &str| v1::RevokeTokenRequest {
        id: token.id.clone(),
        etag: etag.to_owned(),
        request_id: request_id.to_owned(),
        ..Default::default()
    };
    let request_id = id();
    let stale = clients[0].tokens.revoke_token(revoke("stale", &request_id)).await.unwrap_err();
    assert_eq!(refusal(&stale), refused(Code::Aborted, "ETAG_MISMATCH"));
    let revoked =
        clients[1].tokens.revoke_token(revoke(&token.etag, &request_id)).await.unwrap().into_inner();
    assert_eq!(revoked.token.unwrap().state(), v1::TokenState::Revoked);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_other_mutation_is_made_once_too() {
    let (server, _other, mut clients) = two_servers().await;
    let (token, _) = clients[0].create_token("acme", "target", &[]).await;
    clients[0].create_token("acme", "other", &[]).await;
    let overlap = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    let etag = token.etag.clone();
    let request = v1::RegenerateTokenRequest { id: token.id.clone(), etag, overlap, ..Default::default() };
    clients[0].tokens.regenerate_token(request).await.unwrap();
    let calls = changes_of(&token, id).into_iter().chain(changes_of_others(id)).chain(ends_of_many(id));
    for (number, call) in calls.enumerate() {
        let before = audited(&server.database).await;
        call.by(&clients[0]).await.unwrap();
        let head = server.database.head().await;
        let audited = audited(&server.database).await;
        assert!(audited > before, "call {number} did something");
        for client in &clients {
            call.by(client).await.unwrap();
        }
        assert_eq!(server.database.head().await, head, "call {number}");
        assert_eq!(self::audited(&server.database).await, audited, "call {number}");
    }
}

async fn audited(database: &Database) -> i64 {
    let client = database.connect().await;
    client.query_one("SELECT count(*) FROM audit_events", &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_random_uuid_is_taken_for_a_request_id() {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    for wrong in ["1", "00000000-0000-0000-0000-000000000000", &Uuid::now_v7().to_string()] {
        let status = create(&operator, "never", wrong).await.unwrap_err();
        let told = refusal(&status);
        assert_eq!((told.code, told.reason.as_str()), (Code::InvalidArgument, "INVALID_FIELD"));
        assert_eq!(told.fields, ["request_id"]);
        assert!(wrong.len() == 1 || !status.message().contains(wrong));
    }
    assert_eq!(count(&mut operator).await, 0);
}

/// What a thief finds: all rows, all keys of a day, and even the request id, but no key of the day before.
#[tokio::test(flavor = "multi_thread")]
async fn a_dump_with_the_keyring_of_the_day_after_yields_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::fresh().await;
    std::fs::copy(database.keyring.join("01.key"), directory.path().join("01.key")).unwrap();
    let database = Database { keyring: directory.path().to_owned(), ..database };
    let server = Server::start_with(database, |command| command).await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    let request_id = id();
    let (_, secret) = create(&operator, "once", &request_id).await.unwrap();

    let client = server.database.connect().await;
    let query =
        "SELECT replay_day, sealed_secret, requests::text, replay_keys::text FROM requests, replay_keys";
    let rows = client.query(query, &[]).await.unwrap();
    let (day, bytes): (i32, Vec<u8>) = (rows[0].get(0), rows[0].get(1));
    for row in &rows {
        let told = format!("{}{}", row.get::<_, String>(2), row.get::<_, String>(3));
        for hidden in [&request_id, &request_id.replace('-', ""), &secret] {
            assert!(!told.contains(hidden.as_str()));
        }
    }
    let sealed = Sealed { day: Day(day), bytes };
    let caller: String = client
        .query_one(
            "SELECT caller::text FROM audit_events WHERE action = 'create_token' AND caller IS NOT NULL",
            &[],
        )
        .await
        .unwrap()
        .get(0);
    let opened = |request_id: &str| {
        let keys = ReplayKeys::open(directory.path(), Day(0)).unwrap();
        let id = RequestId::parse(request_id).unwrap();
        let caller = TokenId::from_uuid(caller.parse().unwrap());
        let digest = keys.digest(caller, "CreateTokenRequest", &id);
        keys.unseal(&sealed, &id, digest).ok().map(|secret| secret.expose_secret().to_owned())
    };
    assert_eq!(opened(&request_id), Some(secret), "on the day itself, whoever has the request id may");
    assert_eq!(opened(&id()), None, "and nobody else");
    let keys = ReplayKeys::open(directory.path(), Day(0)).unwrap();
    keys.destroy_before(Day(today().0 + 1)).unwrap();
    assert_eq!(opened(&request_id), None, "on the day after, nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_another_replay_key_does_not_start_beside_the_others() {
    let server = Server::start().await;
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::copy(server.database.keyring.join("01.key"), elsewhere.path().join("01.key")).unwrap();
    let beside = Database { keyring: elsewhere.path().to_owned(), ..server.database.clone() };
    let (code, told) = crate::refusals::end_of(crate::refusals::serve(&beside, &[]));
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("`replay`") && told.contains("copy theirs"), "{told}");
    std::fs::copy(server.database.keyring.join("replay"), elsewhere.path().join("replay")).unwrap();
    Server::start_with(beside, |command| command).await;
}
