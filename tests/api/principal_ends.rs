//! Principals that end, for a while or for good: their tokens end with them, or go on within what their heir can do.

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::InactiveReason;
use tokenkeep::proto::v1::delete_principal_request::Tokens;
use tonic::Code;

use crate::clients::{refusal, refused};
use crate::harness::{Server, eventually};
use crate::principals::{delete, disable, scope, server, token_of};
use crate::sidecars::{Sidecar, Told, told};
use crate::watchers::Watcher;

#[tokio::test(flavor = "multi_thread")]
async fn disabling_a_principal_ends_its_tokens_everywhere_and_enabling_it_brings_them_back() {
    let (server, mut operator) = server().await;
    let sidecar = Sidecar::beside(&[&server]).await;
    let mut clients = [server.operator().await, sidecar.client().await];
    operator.create_principal("acme", "mia", &["*"]).await;
    operator.create_principal("acme", "max", &["*"]).await;
    let (_, secret) = token_of(&mut operator, "mia", &["a"]).await;
    let (_, others) = token_of(&mut operator, "max", &["a"]).await;
    for disabled in [false, true, false] {
        disable(&mut operator, "mia", disabled).await;
        let ended = Told::Inactive(InactiveReason::PrincipalDisabled);
        let expected = if disabled { ended } else { Told::Active };
        for client in &mut clients {
            assert_eq!(told(client, &secret).await, expected);
            assert_eq!(told(client, &others).await, Told::Active);
        }
    }
    disable(&mut operator, "mia", true).await;
    let request = v1::CreateTokenRequest {
        workspace: "acme".to_owned(),
        name: "late".to_owned(),
        principal: "mia".to_owned(),
        ..Default::default()
    };
    let late = operator.tokens.create_token(request.clone()).await.unwrap_err();
    assert_eq!(refusal(&late), refused(Code::FailedPrecondition, "PRINCIPAL_DISABLED"));
    let nobody = v1::CreateTokenRequest { principal: "nobody".to_owned(), ..request };
    let nobody = operator.tokens.create_token(nobody).await.unwrap_err();
    assert_eq!(refusal(&nobody), refused(Code::NotFound, "PRINCIPAL_NOT_FOUND"));
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_a_principal_revokes_its_tokens_in_one_change() {
    let (server, mut operator) = server().await;
    let sidecar = Sidecar::beside(&[&server]).await;
    let mut beside = sidecar.client().await;
    operator.create_principal("acme", "mia", &["*"]).await;
    let mut issued = Vec::new();
    for _ in 0..5 {
        issued.push(token_of(&mut operator, "mia", &["a"]).await);
        assert_eq!(told(&mut beside, &issued.last().unwrap().1).await, Told::Active);
    }
    let answer = delete(&mut operator, "mia", Tokens::RevokeReason("left".into())).await.unwrap();
    assert_eq!((answer.token_count, answer.fleet_confirmed), (5, true));
    for (token, secret) in &issued {
        assert_eq!(told(&mut beside, secret).await, Told::Inactive(InactiveReason::Revoked));
        let token = operator.get_token(&token.id).await.unwrap();
        assert_eq!((token.revoke_reason.as_str(), token.revision), ("left", answer.revision));
        assert_eq!(token.principal, "mia", "it still says whose it was");
    }
    let again = delete(&mut operator, "mia", Tokens::RevokeReason(String::new())).await.unwrap_err();
    assert_eq!(refusal(&again), refused(Code::NotFound, "PRINCIPAL_NOT_FOUND"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_are_handed_over_live_within_what_their_heir_can_do() {
    let (_server, mut operator) = server().await;
    operator.create_principal("acme", "mia", &["*"]).await;
    operator.create_principal("acme", "max", &["a"]).await;
    let (token, secret) = token_of(&mut operator, "mia", &["a", "b"]).await;
    assert_eq!(scope(&mut operator, &secret).await, "a b");
    let nobody = delete(&mut operator, "mia", Tokens::HandOverTo("nobody".into())).await.unwrap_err();
    assert_eq!(refusal(&nobody), refused(Code::NotFound, "PRINCIPAL_NOT_FOUND"));
    let answer = delete(&mut operator, "mia", Tokens::HandOverTo("max".into())).await.unwrap();
    assert_eq!(answer.token_count, 1);
    assert_eq!(scope(&mut operator, &secret).await, "a");
    assert_eq!(operator.get_token(&token.id).await.unwrap().principal, "max");
    // The change of the heir is felt by what it was handed.
    disable(&mut operator, "max", true).await;
    assert_eq!(told(&mut operator, &secret).await, Told::Inactive(InactiveReason::PrincipalDisabled));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_whose_principal_loses_the_right_loses_the_stream() {
    let (server, mut operator) = server().await;
    operator.create_principal("acme", "watcher", &["tokenkeep:*"]).await;
    let (_, secret) = token_of(&mut operator, "watcher", &["tokenkeep:revocations:watch"]).await;
    let mut watcher = Watcher::at_head(&server.client(&secret).await).await;
    disable(&mut operator, "watcher", true).await;
    let (_, ended) = watcher.end().await;
    assert_eq!(ended, refused(Code::Unauthenticated, "CREDENTIAL_INVALID"));
}

/// It is found in the database, not in the cache of the server that made the change.
#[tokio::test(flavor = "multi_thread")]
async fn another_server_feels_a_change_of_a_principal_without_a_wait() {
    let (one, two) = Server::two_with(&[]).await;
    let mut operator = one.operator().await;
    operator.create_workspace("acme").await;
    operator.create_principal("acme", "mia", &["*"]).await;
    let (_, secret) = token_of(&mut operator, "mia", &["a"]).await;
    let mut other = two.operator().await;
    assert_eq!(told(&mut other, &secret).await, Told::Active);
    let request = v1::UpdatePrincipalRequest {
        principal: Some(v1::Principal {
            workspace: "acme".to_owned(),
            id: "mia".to_owned(),
            disabled: true,
            ..Default::default()
        }),
        ..Default::default()
    };
    operator.principals.update_principal(request).await.unwrap();
    eventually("the other server hears of it", || {
        let (mut other, secret) = (other.clone(), secret.clone());
        async move { told(&mut other, &secret).await == Told::Inactive(InactiveReason::PrincipalDisabled) }
    })
    .await;
}
