//! How long a request is recognised, and for whom: what was refused may be asked again, what is over is forgotten, and nobody
//! can open any more what was sealed for it.

use std::fs;
use std::path::Path;

use tokenkeep::keyring::{ReplayKeys, today};
use tokenkeep::proto::v1;
use tokenkeep::request::{Day, RequestId, Sealed};
use tokenkeep::token::TokenId;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::clients::{Client, refusal, refused};
use crate::harness::{Database, Server, eventually};

async fn limit(operator: &mut Client, limits: Option<v1::WorkspaceLimits>) {
    let workspace = v1::Workspace { id: "acme".to_owned(), limits, ..Default::default() };
    let update_mask = Some(prost_types::FieldMask { paths: vec!["limits".to_owned()] });
    let request =
        v1::UpdateWorkspaceRequest { workspace: Some(workspace), update_mask, ..Default::default() };
    operator.workspaces.update_workspace(request).await.unwrap();
}

async fn regenerate(operator: &mut Client, request: &v1::RegenerateTokenRequest) -> Result<String, Status> {
    Ok(operator.tokens.regenerate_token(request.clone()).await?.into_inner().secret)
}

fn creation(scopes: &[&str]) -> v1::CreateTokenRequest {
    v1::CreateTokenRequest {
        workspace: "acme".to_owned(),
        name: "once".to_owned(),
        scopes: scopes.iter().map(ToString::to_string).collect(),
        request_id: Uuid::new_v4().to_string(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_regeneration_that_came_too_fast_may_be_asked_again_with_the_same_id() {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    let (token, _) = operator.create_token("acme", "turning", &[]).await;
    limit(&mut operator, Some(v1::WorkspaceLimits { max_issues_per_minute: 1, ..Default::default() })).await;
    operator.regenerate(&token.id, "*").await.unwrap();
    let request = v1::RegenerateTokenRequest {
        id: token.id,
        etag: "*".to_owned(),
        request_id: Uuid::new_v4().to_string(),
        ..Default::default()
    };
    for _ in 0..2 {
        let early = regenerate(&mut operator, &request).await.unwrap_err();
        assert_eq!(refusal(&early), refused(Code::ResourceExhausted, "ISSUANCE_RATE_EXCEEDED"));
    }
    limit(&mut operator, None).await;
    let secret = regenerate(&mut operator, &request).await.unwrap();
    assert!(operator.introspect(&secret).await.unwrap().active);
    assert_eq!(regenerate(&mut operator, &request).await.unwrap(), secret);
}

#[tokio::test(flavor = "multi_thread")]
async fn once_the_window_is_over_the_same_id_is_another_request() {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    let request = creation(&[]);
    let first = operator.tokens.create_token(request.clone()).await.unwrap().into_inner();
    let admin = server.database.connect().await;
    let age = async |time: &str| {
        let age = format!("UPDATE requests SET create_time = create_time - interval '{time}'");
        admin.batch_execute(&age).await.unwrap();
    };
    age("9 minutes").await;
    let within = operator.tokens.create_token(request.clone()).await.unwrap().into_inner();
    assert_eq!(within.secret, first.secret);
    age("1 minute").await;
    let beyond = operator.tokens.create_token(request.clone()).await.unwrap().into_inner();
    assert_ne!(beyond.token.unwrap().id, first.token.unwrap().id);
    let again = operator.tokens.create_token(request).await.unwrap().into_inner();
    assert_eq!(again.secret, beyond.secret, "and is recognised in its turn");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_has_lost_power_is_not_shown_again_what_has_more() {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    let power = ["tokenkeep:tokens:create", "tokenkeep:tokens:read"];
    let (caller, secret) = operator.create_token("acme", "caller", &power).await;
    let mut client = server.client(&secret).await;
    let (weak, mighty) = (creation(&[]), creation(&power[1..]));
    for request in [&weak, &mighty] {
        client.tokens.create_token(request.clone()).await.unwrap();
    }
    let token = v1::Token { id: caller.id, scopes: vec![power[0].to_owned()], ..Default::default() };
    let update_mask = Some(prost_types::FieldMask { paths: vec!["scopes".to_owned()] });
    let narrow = v1::UpdateTokenRequest { token: Some(token), update_mask, ..Default::default() };
    operator.tokens.update_token(narrow).await.unwrap();
    client.tokens.create_token(weak).await.unwrap();
    let refused_it = client.tokens.create_token(mighty).await.unwrap_err();
    assert_eq!(refusal(&refused_it), refused(Code::PermissionDenied, "SCOPE_ESCALATION"));
}

/// The day that the file `replay` of a keyring begins with.
fn oldest_day(keyring: &Path) -> i32 {
    let text = fs::read_to_string(keyring.join("replay")).unwrap();
    text.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_destroys_the_replay_keys_of_days_that_are_over() {
    let keyring = tempfile::tempdir().unwrap();
    let database = Database::fresh().await;
    fs::copy(database.keyring.join("01.key"), keyring.path().join("01.key")).unwrap();
    // As a server has left them that stopped three days ago.
    let day = Day(today().0 - 3);
    let keys = ReplayKeys::open(keyring.path(), day).unwrap();
    let id = RequestId::parse(&Uuid::new_v4().to_string()).unwrap();
    let digest = keys.digest(TokenId::generate(), "CreateTokenRequest", &id);
    let sealed: Sealed = keys.seal(day, &id, digest, "tk_secret").unwrap();
    let opens = || ReplayKeys::open(keyring.path(), day).unwrap().unseal(&sealed, &id, digest).is_ok();
    assert!(opens() && oldest_day(keyring.path()) == day.0);
    let database = Database { keyring: keyring.path().to_owned(), ..database };
    let enter = "INSERT INTO replay_keys (day, fingerprint) VALUES ($1, $2)";
    let admin = database.connect().await;
    admin.execute(enter, &[&day.0, &keys.fingerprint_of(day).unwrap()]).await.unwrap();

    let _server = Server::start_with(database, |command| command).await;
    // Around midnight requests of the day before may still be repeated.
    eventually("the keys are gone", || async { oldest_day(keyring.path()) >= today().0 - 1 }).await;
    assert!(!opens());
    let days = admin.query("SELECT day FROM replay_keys WHERE day <= $1", &[&day.0]).await.unwrap();
    assert!(days.is_empty(), "not even by what they are told from others is left");
}
