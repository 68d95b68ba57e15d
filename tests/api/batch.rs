//! Introspection of many tokens at once: each is judged as if it were alone.

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::introspection_outcome::Outcome;
use tonic::Code;

use crate::clients::{Client, refusal};
use crate::harness::Server;
use crate::life::forge;

const READS: &str = "tokenkeep_credential_reads_total";

fn about(token: &str) -> v1::IntrospectTokenRequest {
    v1::IntrospectTokenRequest { token: token.to_owned(), ..Default::default() }
}

/// In a word, what came of each.
fn told(outcomes: &[Outcome]) -> Vec<String> {
    let word = |outcome: &Outcome| match outcome {
        Outcome::Answer(answer) if answer.active => answer.name.clone(),
        Outcome::Answer(answer) => answer.inactive_reason().as_str_name().replace("INACTIVE_REASON_", ""),
        Outcome::Failure(failure) => {
            assert!(!failure.message.is_empty());
            format!("{:?} {:?}", Code::from(failure.code), failure.reason())
        }
    };
    outcomes.iter().map(word).collect()
}

async fn scene() -> (Server, Client) {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    operator.create_workspace("other").await;
    (server, operator)
}

#[tokio::test(flavor = "multi_thread")]
async fn outcomes_come_in_the_order_of_the_requests_and_one_that_fails_spoils_no_other() {
    let (server, mut operator) = scene().await;
    let (_, first) = operator.create_token("acme", "first", &[]).await;
    let (_, second) = operator.create_token("acme", "second", &[]).await;
    let (dead, revoked) = operator.create_token("acme", "dead", &[]).await;
    operator.revoke(&dead.id).await.unwrap();
    let (regenerated, replaced) = operator.create_token("acme", "replaced", &[]).await;
    operator.regenerate(&regenerated.id, "*").await.unwrap();
    let (_, foreign) = operator.create_token("other", "foreign", &[]).await;
    let scopes = ["tokenkeep:introspect", "tokenkeep:introspect:reason"];
    let (_, credential) = operator.create_token("acme", "caller", &scopes).await;
    let mut caller = server.client(&credential).await;
    let requests = vec![
        about(&second),
        about(""),
        about("nonsense"),
        v1::IntrospectTokenRequest { min_revision: 1_000_000, ..about(&first) },
        about(&first),
        about(&forge(&first)),
        v1::IntrospectTokenRequest { workspace: "other".to_owned(), ..about(&first) },
        about(&foreign),
        about(&revoked),
        about(&replaced),
        v1::IntrospectTokenRequest { strong: true, ..about(&second) },
        about(&first),
    ];
    let expected = [
        "second",
        "InvalidArgument InvalidField",
        "MALFORMED",
        "Unavailable RevisionNotReached",
        "first",
        "FORGED",
        "PermissionDenied WorkspaceDenied",
        "UNKNOWN",
        "REVOKED",
        "SUPERSEDED",
        "second",
        "first",
    ];
    for _ in 0..2 {
        let outcomes = caller.introspect_all(requests.clone()).await.unwrap();
        assert_eq!(told(&outcomes), expected);
    }
    let operators = operator.introspect_all(vec![about(&foreign), about(&first)]).await.unwrap();
    assert_eq!(told(&operators), ["foreign", "first"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_known_needs_no_database_and_one_that_is_not_one_look() {
    let (server, mut operator) = scene().await;
    let mut requests = Vec::new();
    for number in 0..40 {
        let (_, secret) = operator.create_token("acme", &format!("token {number}"), &[]).await;
        requests.push(about(&secret));
    }
    let names: Vec<String> = (0..40).map(|number| format!("token {number}")).collect();
    operator.introspect_all(requests[..20].to_vec()).await.unwrap();
    let reads = server.metric(READS).await;
    assert_eq!(told(&operator.introspect_all(requests[..20].to_vec()).await.unwrap()), names[..20]);
    assert_eq!(server.metric(READS).await, reads);
    assert_eq!(told(&operator.introspect_all(requests.clone()).await.unwrap()), names);
    assert_eq!(server.metric(READS).await, reads + 20.0);
    let active = "tokenkeep_introspections_total{result=\"active\"}";
    assert_eq!(server.metric(active).await, 80.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_holds_from_1_to_256() {
    let (_server, mut operator) = scene().await;
    let (_, secret) = operator.create_token("acme", "often", &[]).await;
    let outcomes = operator.introspect_all(vec![about(&secret); 256]).await.unwrap();
    assert_eq!(told(&outcomes), vec!["often"; 256]);
    for count in [0, 257] {
        let status = operator.introspect_all(vec![about(&secret); count]).await.unwrap_err();
        assert_eq!(refusal(&status).fields, ["requests"], "{count}");
    }
}
