//! Tokens that change while many are ended.

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::TokenState;
use tonic::Code;

use crate::clients::{refusal, refused};
use crate::harness::Server;
use crate::races::somebody_waits;

/// They were counted before one of them was revoked by somebody else.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_ends_if_there_are_not_as_many_any_more_when_they_are_to_end() {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    let mut made = Vec::new();
    for name in ["ci-1", "ci-2", "ci-3"] {
        made.push(operator.create_token("acme", name, &[]).await.0);
    }
    let mut connection = server.database.connect().await;
    let transaction = connection.transaction().await.unwrap();
    let end = "UPDATE tokens SET revoke_time = now(), revoke_reason = '' WHERE name = 'ci-1'";
    transaction.batch_execute(end).await.unwrap();
    let head = server.database.head().await;
    let mut client = operator.clone();
    let asked = tokio::spawn(async move {
        let request = v1::BulkRevokeTokensRequest {
            workspace: "acme".to_owned(),
            filter: Some(v1::TokenFilter { name_prefix: "ci-".to_owned(), ..Default::default() }),
            expected_count: Some(3),
            ..Default::default()
        };
        client.tokens.bulk_revoke_tokens(request).await
    });
    somebody_waits(&server.database).await;
    transaction.commit().await.unwrap();
    let status = asked.await.unwrap().unwrap_err();
    assert_eq!(refusal(&status), refused(Code::FailedPrecondition, "COUNT_MISMATCH"));
    assert_eq!(server.database.head().await, head);
    for token in &made[1..] {
        assert_eq!(operator.get_token(&token.id).await.unwrap().state(), TokenState::Active);
    }
}
