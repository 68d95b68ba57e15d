//! Introspections whose rows are read together: each is judged as if it were alone.

use tokio::task::JoinSet;
use tonic::Code;

use crate::harness::{Server, eventually};

/// More than the reads that may be under way at once, so that most of them share one.
const TOKENS: usize = 24;

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_understood_spoils_no_introspection_that_shares_its_read() {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    let mut secrets = Vec::new();
    for number in 0..TOKENS {
        let (token, secret) = operator.create_token("acme", &format!("token {number}"), &[]).await;
        secrets.push((token.id, secret));
    }
    let mut holder = server.database.connect().await;
    let (corrupt, _) = secrets.last().unwrap();
    let corrupted = format!("UPDATE tokens SET scopes = ARRAY['no scope'] WHERE id = '{corrupt}'");
    holder.batch_execute(&corrupted).await.unwrap();
    let read_before = server.metric("tokenkeep_credential_reads_total").await;
    // Whoever reads waits until this is over, and whoever comes meanwhile gathers.
    let held = holder.transaction().await.unwrap();
    held.batch_execute("LOCK TABLE previous_secrets").await.unwrap();
    let mut judged = JoinSet::new();
    for (number, (_, secret)) in secrets.iter().enumerate() {
        let (mut client, secret) = (operator.clone(), secret.clone());
        judged.spawn(async move { (number, client.introspect(&secret).await) });
    }
    eventually("all are looked for", || async {
        let read = server.metric("tokenkeep_credential_reads_total").await;
        read - read_before >= f64::from(u32::try_from(TOKENS).unwrap())
    })
    .await;
    held.rollback().await.unwrap();
    while let Some(judgement) = judged.join_next().await {
        let (number, verdict) = judgement.unwrap();
        if number == TOKENS - 1 {
            assert_eq!(verdict.unwrap_err().code(), Code::Internal);
        } else {
            assert!(verdict.unwrap().active, "token {number}");
        }
    }
}
