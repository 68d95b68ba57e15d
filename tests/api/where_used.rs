//! Where a token may be used: the audiences it is for, and the addresses it may come from.

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::InactiveReason;
use tonic::Code;

use crate::clients::{Client, refusal, refused};
use crate::harness::Server;
use crate::sidecars::Sidecar;

async fn scene() -> (Server, Sidecar, Client) {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    let sidecar = Sidecar::beside(&[&server]).await;
    (server, sidecar, operator)
}

async fn create(client: &mut Client, audiences: &[&str], blocks: &[&str]) -> (v1::Token, String) {
    let request = v1::CreateTokenRequest {
        workspace: "acme".to_owned(),
        name: "restricted".to_owned(),
        audiences: audiences.iter().map(ToString::to_string).collect(),
        allowed_cidrs: blocks.iter().map(ToString::to_string).collect(),
        ..Default::default()
    };
    let created = client.tokens.create_token(request).await.unwrap().into_inner();
    (created.token.unwrap(), created.secret)
}

/// Why a token is not active there, if it is not.
async fn presented(
    client: &mut Client,
    secret: &str,
    audience: &str,
    address: &str,
) -> Option<InactiveReason> {
    let request = v1::IntrospectTokenRequest {
        token: secret.to_owned(),
        audience: audience.to_owned(),
        client_address: address.to_owned(),
        ..Default::default()
    };
    let answer = client.tokens.introspect_token(request).await.unwrap().into_inner();
    (!answer.active).then(|| answer.inactive_reason())
}

/// Twice each, so that what is known already is judged as what must be looked up is.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_with_audiences_is_inactive_where_none_of_them_is_named() {
    let (server, sidecar, mut operator) = scene().await;
    let (token, secret) = create(&mut operator, &["scim", "audit"], &[]).await;
    assert_eq!(token.audiences, ["audit", "scim"]);
    for mut client in [server.operator().await, sidecar.client().await] {
        for _ in 0..2 {
            for audience in ["", "api"] {
                let told = presented(&mut client, &secret, audience, "").await;
                assert_eq!(told, Some(InactiveReason::OtherAudience), "{audience:?}");
            }
            assert_eq!(presented(&mut client, &secret, "scim", "").await, None);
        }
    }
    let (_, anywhere) = create(&mut operator, &[], &[]).await;
    assert_eq!(presented(&mut operator, &anywhere, "scim", "").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_with_blocks_is_inactive_outside_of_them_and_where_the_address_is_not_known() {
    let (server, sidecar, mut operator) = scene().await;
    let (token, secret) = create(&mut operator, &[], &["192.0.2.0/24", "2001:db8::/32", "203.0.113.7"]).await;
    assert_eq!(token.allowed_cidrs, ["192.0.2.0/24", "203.0.113.7/32", "2001:db8::/32"]);
    for mut client in [server.operator().await, sidecar.client().await] {
        for _ in 0..2 {
            for inside in ["192.0.2.200", "::ffff:192.0.2.1", "2001:db8:1::1", "203.0.113.7"] {
                assert_eq!(presented(&mut client, &secret, "", inside).await, None, "{inside}");
            }
            for outside in ["", "192.0.3.1", "2001:db9::1", "203.0.113.8"] {
                let told = presented(&mut client, &secret, "", outside).await;
                assert_eq!(told, Some(InactiveReason::OtherAddress), "{outside:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_taken_only_from_callers_who_may_tell_it() {
    let (server, _sidecar, mut operator) = scene().await;
    let (_, secret) = create(&mut operator, &[], &["192.0.2.0/24"]).await;
    let (_, asker) = operator.create_token("acme", "asker", &["tokenkeep:introspect"]).await;
    let mut asker = server.client(&asker).await;
    let request = v1::IntrospectTokenRequest {
        token: secret,
        client_address: "192.0.2.1".to_owned(),
        ..Default::default()
    };
    let status = asker.tokens.introspect_token(request.clone()).await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::PermissionDenied, "SCOPE_REQUIRED"));
    let wrong = v1::IntrospectTokenRequest { client_address: "192.0.2.0/24".to_owned(), ..request };
    let status = operator.tokens.introspect_token(wrong).await.unwrap_err();
    assert_eq!(refusal(&status).fields, ["client_address"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_token_may_be_used_can_be_edited_and_holds_at_once() {
    let (_server, _sidecar, mut operator) = scene().await;
    let (token, secret) = create(&mut operator, &[], &[]).await;
    assert_eq!(presented(&mut operator, &secret, "", "").await, None);
    let edited = v1::Token { id: token.id, audiences: vec!["scim".to_owned()], ..Default::default() };
    let request = v1::UpdateTokenRequest { token: Some(edited), ..Default::default() };
    operator.tokens.update_token(request).await.unwrap();
    assert_eq!(presented(&mut operator, &secret, "", "").await, Some(InactiveReason::OtherAudience));
    assert_eq!(presented(&mut operator, &secret, "scim", "").await, None);
}

/// tokenkeep's own API is no audience of a product, and no proxy tells it addresses.
#[tokio::test(flavor = "multi_thread")]
async fn a_restricted_token_is_no_callers_token() {
    let (server, _sidecar, mut operator) = scene().await;
    let request = v1::CreateTokenRequest {
        workspace: "acme".to_owned(),
        name: "restricted".to_owned(),
        scopes: vec!["tokenkeep:tokens:read".to_owned()],
        audiences: vec!["scim".to_owned()],
        ..Default::default()
    };
    let created = operator.tokens.create_token(request).await.unwrap().into_inner();
    let mut caller = server.client(&created.secret).await;
    let status = caller.get_token(&created.token.unwrap().id).await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::Unauthenticated, "CREDENTIAL_INVALID"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_turned_away_is_not_used() {
    let (_server, _sidecar, mut operator) = scene().await;
    let (token, secret) = create(&mut operator, &["scim"], &[]).await;
    for _ in 0..3 {
        assert!(presented(&mut operator, &secret, "api", "").await.is_some());
    }
    // Uses are written every second or so, those of the operator's token too; its own tells when.
    crate::harness::eventually("the operator's own use is written", || {
        let mut operator = operator.clone();
        async move {
            let list = v1::ListTokensRequest { workspace: "tokenkeep".to_owned(), ..Default::default() };
            let listed = operator.tokens.list_tokens(list).await.unwrap().into_inner().tokens;
            listed.iter().any(|token| token.last_use_time.is_some())
        }
    })
    .await;
    assert_eq!(operator.get_token(&token.id).await.unwrap().last_use_time, None);
}
