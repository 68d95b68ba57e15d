//! A standby that does not confirm: what was done before, and what is so already, is answered only once it does, since it
//! would be lost with the primary.

use tokenkeep::proto::v1;
use tokio_postgres::Client as Postgres;
use uuid::Uuid;

use crate::calls::Call;
use crate::fleet::server;
use crate::harness::{Run, eventually};

async fn standby(postgres: &Postgres, name: &str) {
    let set = format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'");
    postgres.batch_execute(&set).await.unwrap();
    postgres.batch_execute("SELECT pg_reload_conf()").await.unwrap();
}

/// How many commits wait for the standby.
async fn waiting(postgres: &Postgres) -> i64 {
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    postgres.query_one(waiting, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_before_is_told_again_only_once_the_standby_has_it() {
    let run = tokio::task::spawn_blocking(Run::begin).await.unwrap();
    let database = run.template();
    let server = server(&database, &[]).await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    let request_id = Uuid::new_v4().to_string();
    let (workspace, name) = ("acme".to_owned(), "once".to_owned());
    let creation = v1::CreateTokenRequest { workspace, name, request_id, ..Default::default() };
    let created = operator.tokens.create_token(creation.clone()).await.unwrap().into_inner();
    let (revoked, _) = operator.create_token("acme", "revoked", &[]).await;
    operator.revoke(&revoked.id).await.unwrap();
    let bulk = v1::BulkRevokeTokensRequest {
        workspace: "acme".to_owned(),
        filter: Some(v1::TokenFilter { name_prefix: "revoked".to_owned(), ..Default::default() }),
        ..Default::default()
    };
    let revocation = v1::RevokeTokenRequest { id: revoked.id, ..Default::default() };

    let postgres = database.connect().await;
    standby(&postgres, "nobody").await;
    // By its heartbeats.
    eventually("the server feels it", || async { waiting(&postgres).await > 0 }).await;
    let mut asked = Vec::new();
    for call in
        [Call::CreateToken(creation.clone()), Call::RevokeToken(revocation), Call::BulkRevokeTokens(bulk)]
    {
        let before = waiting(&postgres).await;
        let client = operator.clone();
        let answer = tokio::spawn(async move { call.by(&client).await });
        eventually("it waits for the standby", || async {
            answer.is_finished() || waiting(&postgres).await > before
        })
        .await;
        asked.push(answer);
    }
    for (number, answer) in asked.iter().enumerate() {
        assert!(!answer.is_finished(), "call {number} is answered from what the standby does not have");
    }
    standby(&postgres, "").await;
    for answer in asked {
        answer.await.unwrap().unwrap();
    }
    let again = operator.tokens.create_token(creation).await.unwrap().into_inner();
    assert_eq!(again.secret, created.secret);
}
