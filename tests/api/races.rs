//! Changes that meet: whichever comes second knows of the first.

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::delete_principal_request::Tokens;
use tonic::{Code, Status};

use crate::clients::{Client, refusal, refused};
use crate::harness::{Database, Server, eventually};

async fn server() -> (Server, Client) {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    operator.create_principal("acme", "mia", &["*"]).await;
    (server, operator)
}

async fn create(mut client: Client) -> Result<v1::Token, Status> {
    let request = v1::CreateTokenRequest {
        workspace: "acme".to_owned(),
        name: "late".to_owned(),
        principal: "mia".to_owned(),
        ..Default::default()
    };
    Ok(client.tokens.create_token(request).await?.into_inner().token.unwrap())
}

/// Waits until somebody waits for a lock in this database.
pub async fn somebody_waits(database: &Database) {
    let client = database.connect().await;
    let waiting = "SELECT count(*) FROM pg_stat_activity \
         WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually("somebody waits for a lock", || async {
        client.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) > 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_token_is_issued_for_a_principal_that_is_just_being_disabled_or_deleted() {
    let (server, operator) = server().await;
    let disabled = refused(Code::FailedPrecondition, "PRINCIPAL_DISABLED");
    let deleted = refused(Code::NotFound, "PRINCIPAL_NOT_FOUND");
    for (change, expected) in [("disabled = true", disabled), ("delete_time = now()", deleted)] {
        let mut connection = server.database.connect().await;
        let transaction = connection.transaction().await.unwrap();
        transaction.batch_execute(&format!("UPDATE principals SET {change}")).await.unwrap();
        let created = tokio::spawn(create(operator.clone()));
        somebody_waits(&server.database).await;
        transaction.commit().await.unwrap();
        assert_eq!(refusal(&created.await.unwrap().unwrap_err()), expected, "{change}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_just_being_issued_ends_with_its_principal() {
    let (server, mut operator) = server().await;
    let token = create(operator.clone()).await.unwrap();
    let mut connection = server.database.connect().await;
    let transaction = connection.transaction().await.unwrap();
    // As who issues a token does, of which nobody knows before it commits.
    let issue = "SELECT FROM principals WHERE id = 'mia' FOR SHARE; \
         CREATE TEMPORARY TABLE issued AS SELECT * FROM tokens WHERE name = 'late'; \
         ALTER TABLE issued DROP COLUMN secret_month; UPDATE issued SET id = gen_random_uuid(), name = 'later'; \
         INSERT INTO tokens SELECT * FROM issued";
    transaction.batch_execute(issue).await.unwrap();
    let mut remover = operator.clone();
    let deleted = tokio::spawn(async move {
        let (workspace, id) = ("acme".to_owned(), "mia".to_owned());
        let tokens = Some(Tokens::RevokeReason("left".to_owned()));
        let request = v1::DeletePrincipalRequest { workspace, id, tokens, ..Default::default() };
        remover.principals.delete_principal(request).await.unwrap().into_inner()
    });
    somebody_waits(&server.database).await;
    transaction.commit().await.unwrap();
    assert_eq!(deleted.await.unwrap().token_count, 2);
    assert_eq!(operator.get_token(&token.id).await.unwrap().state(), v1::TokenState::Revoked);
    let alive = "SELECT count(*) FROM tokens WHERE principal = 'mia' AND revoke_time IS NULL";
    assert_eq!(connection.query_one(alive, &[]).await.unwrap().get::<_, i64>(0), 0);
}

/// Many tokens are being revoked at once, and one of them by itself: whoever does that is told of the change that ended it.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_just_being_revoked_with_others_is_told_with_their_revision() {
    let (server, mut operator) = server().await;
    let token = create(operator.clone()).await.unwrap();
    let mut connection = server.database.connect().await;
    let transaction = connection.transaction().await.unwrap();
    // As the revocation of many does, whose revision is the last that it writes.
    let end = format!(
        "INSERT INTO bulk_revocations DEFAULT VALUES; \
         UPDATE tokens SET revoke_time = now(), revoke_reason = '', \
         bulk_revocation = (SELECT max(id) FROM bulk_revocations) WHERE id = '{}'; \
         UPDATE bulk_revocations SET revision = 1000",
        token.id
    );
    transaction.batch_execute(&end).await.unwrap();
    let mut other = operator.clone();
    let id = token.id.clone();
    let revoked = tokio::spawn(async move { other.revoke(&id).await.unwrap() });
    somebody_waits(&server.database).await;
    transaction.commit().await.unwrap();
    let revoked = revoked.await.unwrap();
    assert_eq!((revoked.state(), revoked.revision), (v1::TokenState::Revoked, 1_000));
    assert_eq!(operator.get_token(&token.id).await.unwrap().revision, 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_heir_whose_tokens_are_just_being_renewed_is_not_handed_too_many() {
    let (server, mut operator) = server().await;
    operator.create_principal("acme", "heir", &["*"]).await;
    let of = |principal: &str| v1::CreateTokenRequest {
        workspace: "acme".to_owned(),
        name: format!("of {principal}"),
        principal: principal.to_owned(),
        ..Default::default()
    };
    for principal in ["mia", "heir"] {
        operator.tokens.create_token(of(principal)).await.unwrap();
    }
    let mut connection = server.database.connect().await;
    let expired = "UPDATE tokens SET expire_time = now() - interval '1 s' WHERE principal = 'heir'; \
         UPDATE workspaces SET max_tokens_per_principal = 1 WHERE id = 'acme'";
    connection.batch_execute(expired).await.unwrap();
    let transaction = connection.transaction().await.unwrap();
    // As who renews a token does.
    let renew = "SELECT pg_advisory_xact_lock(x'746b6c69'::int, hashtext('acme')); \
         UPDATE tokens SET expire_time = NULL WHERE principal = 'heir'";
    transaction.batch_execute(renew).await.unwrap();
    let mut remover = operator.clone();
    let deleted = tokio::spawn(async move {
        let (workspace, id) = ("acme".to_owned(), "mia".to_owned());
        let tokens = Some(Tokens::HandOverTo("heir".to_owned()));
        let request = v1::DeletePrincipalRequest { workspace, id, tokens, ..Default::default() };
        remover.principals.delete_principal(request).await
    });
    somebody_waits(&server.database).await;
    transaction.commit().await.unwrap();
    let status = deleted.await.unwrap().unwrap_err();
    assert_eq!(refusal(&status), refused(Code::ResourceExhausted, "TOKEN_LIMIT_REACHED"));
}
