//! What a workspace limits is held to, however many ask at once and at whichever server.

use std::time::Duration;

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::TokenState;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::clients::{Client, Refusal, refusal, refused};
use crate::harness::{Server, eventually};

fn seconds(seconds: i64) -> prost_types::Duration {
    prost_types::Duration { seconds, nanos: 0 }
}

async fn limit(operator: &mut Client, limits: v1::WorkspaceLimits) -> Result<v1::Workspace, Status> {
    limit_of(operator, "acme", Some(limits)).await
}

async fn limit_of(
    operator: &mut Client,
    id: &str,
    limits: Option<v1::WorkspaceLimits>,
) -> Result<v1::Workspace, Status> {
    let workspace = v1::Workspace { id: id.to_owned(), limits, ..Default::default() };
    let update_mask = Some(prost_types::FieldMask { paths: vec!["limits".to_owned()] });
    let request =
        v1::UpdateWorkspaceRequest { workspace: Some(workspace), update_mask, ..Default::default() };
    Ok(operator.workspaces.update_workspace(request).await?.into_inner().workspace.unwrap())
}

/// A server with a workspace of these limits.
async fn limited(limits: v1::WorkspaceLimits) -> (Server, Client) {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    limit(&mut operator, limits).await.unwrap();
    (server, operator)
}

fn token(principal: &str, lifetime: Option<i64>) -> v1::CreateTokenRequest {
    use v1::create_token_request::Expiration;
    v1::CreateTokenRequest {
        workspace: "acme".to_owned(),
        name: "ci".to_owned(),
        principal: principal.to_owned(),
        expiration: lifetime.map(|lifetime| Expiration::Lifetime(seconds(lifetime))),
        ..Default::default()
    }
}

async fn create(operator: &mut Client, request: v1::CreateTokenRequest) -> Result<v1::Token, Status> {
    Ok(operator.tokens.create_token(request).await?.into_inner().token.unwrap())
}

async fn renew(operator: &mut Client, id: &str, lifetime: i64) -> Result<v1::Token, Status> {
    let now = std::time::SystemTime::now() + Duration::from_secs(lifetime.try_into().unwrap());
    let token = v1::Token { id: id.to_owned(), expire_time: Some(now.into()), ..Default::default() };
    let request = v1::UpdateTokenRequest { token: Some(token), ..Default::default() };
    Ok(operator.tokens.update_token(request).await?.into_inner().token.unwrap())
}

async fn regenerate(
    operator: &mut Client,
    id: &str,
    expiration: Option<v1::regenerate_token_request::Expiration>,
) -> Result<v1::Token, Status> {
    let (id, etag) = (id.to_owned(), "*".to_owned());
    let request = v1::RegenerateTokenRequest { id, etag, expiration, ..Default::default() };
    Ok(operator.tokens.regenerate_token(request).await?.into_inner().token.unwrap())
}

fn full() -> Refusal {
    refused(Code::ResourceExhausted, "TOKEN_LIMIT_REACHED")
}

async fn expired(operator: &mut Client, id: &str) {
    let state = async |mut operator: Client| operator.get_token(id).await.unwrap().state();
    eventually("it expires", || async { state(operator.clone()).await == TokenState::Expired }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_set_shown_and_taken_away() {
    let limits = v1::WorkspaceLimits {
        max_tokens: 1_000,
        max_tokens_per_principal: 10,
        max_lifetime: Some(seconds(90 * 24 * 3600)),
        max_issues_per_minute: 100,
    };
    let (_server, mut operator) = limited(limits).await;
    let request = || v1::GetWorkspaceRequest { id: "acme".to_owned() };
    let read = operator.workspaces.get_workspace(request()).await.unwrap().into_inner().workspace.unwrap();
    assert_eq!(read.limits, Some(limits));
    let workspace = v1::Workspace {
        id: "born".to_owned(),
        name: "born".to_owned(),
        limits: Some(limits),
        ..Default::default()
    };
    let request = v1::CreateWorkspaceRequest { workspace: Some(workspace), ..Default::default() };
    let born = operator.workspaces.create_workspace(request).await.unwrap().into_inner().workspace.unwrap();
    assert_eq!(born.limits, Some(limits));
    let some = v1::WorkspaceLimits { max_tokens: 7, ..Default::default() };
    assert_eq!(limit(&mut operator, some).await.unwrap().limits, Some(some), "all are set together");
    assert_eq!(limit_of(&mut operator, "acme", None).await.unwrap().limits, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_limits_are_refused_and_so_are_any_of_tokenkeep_itself() {
    let (_server, mut operator) = limited(v1::WorkspaceLimits::default()).await;
    let none = v1::WorkspaceLimits::default;
    for (limits, field) in [
        (v1::WorkspaceLimits { max_tokens: -1, ..none() }, "max_tokens"),
        (v1::WorkspaceLimits { max_tokens: 1_000_000_001, ..none() }, "max_tokens"),
        (v1::WorkspaceLimits { max_tokens_per_principal: -1, ..none() }, "max_tokens_per_principal"),
        (v1::WorkspaceLimits { max_lifetime: Some(seconds(0)), ..none() }, "max_lifetime"),
        (v1::WorkspaceLimits { max_issues_per_minute: 1_000_001, ..none() }, "max_issues_per_minute"),
    ] {
        let status = limit(&mut operator, limits).await.unwrap_err();
        let fields = vec![format!("workspace.limits.{field}")];
        assert_eq!(refusal(&status), Refusal { fields, ..refused(Code::InvalidArgument, "INVALID_FIELD") });
    }
    let some = v1::WorkspaceLimits { max_tokens: 1, ..none() };
    let status = limit_of(&mut operator, "tokenkeep", Some(some)).await.unwrap_err();
    let fields = vec!["workspace.limits".to_owned()];
    assert_eq!(refusal(&status), Refusal { fields, ..refused(Code::InvalidArgument, "INVALID_FIELD") });
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_who_create_at_once_at_two_servers_get_exactly_the_ten_there_may_be() {
    let (here, there) = Server::two_with(&[]).await;
    let mut operators = [here.operator().await, there.operator().await];
    operators[0].create_workspace("acme").await;
    operators[0].create_principal("acme", "bot", &["*"]).await;
    for (limits, principal) in [
        (v1::WorkspaceLimits { max_tokens: 10, ..Default::default() }, ""),
        (v1::WorkspaceLimits { max_tokens_per_principal: 10, ..Default::default() }, "bot"),
    ] {
        limit(&mut operators[0], limits).await.unwrap();
        let mut creations = tokio::task::JoinSet::new();
        for number in 0..50 {
            let mut operator = operators[number % 2].clone();
            creations.spawn(async move {
                loop {
                    match create(&mut operator, token(principal, None)).await {
                        // So many at once may be too many to be taken in.
                        Err(status) if refusal(&status).reason == "SERVER_OVERLOADED" => {
                            tokio::time::sleep(Duration::from_millis(50)).await;
                        }
                        outcome => break outcome,
                    }
                }
            });
        }
        let outcomes = creations.join_all().await;
        let refusals: Vec<Refusal> =
            outcomes.iter().filter_map(|it| it.as_ref().err()).map(refusal).collect();
        assert_eq!((outcomes.len() - refusals.len(), refusals.len()), (10, 40), "{refusals:?}");
        assert!(refusals.iter().all(|refusal| *refusal == full()), "{refusals:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_revoked_or_expired_makes_room_and_what_is_suspended_does_not() {
    let (_server, mut operator) = limited(v1::WorkspaceLimits { max_tokens: 2, ..Default::default() }).await;
    let first = create(&mut operator, token("", None)).await.unwrap();
    let short = create(&mut operator, token("", Some(1))).await.unwrap();
    let request = v1::SuspendTokenRequest { id: first.id.clone(), ..Default::default() };
    operator.tokens.suspend_token(request).await.unwrap();
    expired(&mut operator, &short.id).await;
    create(&mut operator, token("", None)).await.unwrap();
    let status = create(&mut operator, token("", None)).await.unwrap_err();
    assert_eq!(refusal(&status), full());
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.metadata.get("limit").map(String::as_str), Some("2"));
    operator.revoke(&first.id).await.unwrap();
    create(&mut operator, token("", None)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_comes_back_only_where_there_is_room() {
    use v1::regenerate_token_request::Expiration;
    let (_server, mut operator) = limited(v1::WorkspaceLimits { max_tokens: 1, ..Default::default() }).await;
    let short = create(&mut operator, token("", Some(1))).await.unwrap();
    expired(&mut operator, &short.id).await;
    let other = create(&mut operator, token("", Some(3_600))).await.unwrap();
    assert_eq!(refusal(&renew(&mut operator, &short.id, 3_600).await.unwrap_err()), full());
    let lifetime = || Some(Expiration::Lifetime(seconds(3_600)));
    assert_eq!(refusal(&regenerate(&mut operator, &short.id, lifetime()).await.unwrap_err()), full());
    // One that lives counts already.
    renew(&mut operator, &other.id, 7_200).await.unwrap();
    regenerate(&mut operator, &other.id, lifetime()).await.unwrap();
    operator.revoke(&other.id).await.unwrap();
    assert_eq!(renew(&mut operator, &short.id, 3_600).await.unwrap().state(), TokenState::Active);
}

/// They would each be the one for which there is room.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_are_renewed_at_once_only_as_many_come_back_as_there_is_room_for() {
    let (_server, mut operator) = limited(v1::WorkspaceLimits::default()).await;
    let mut ids = Vec::new();
    for _ in 0..12 {
        ids.push(create(&mut operator, token("", Some(1))).await.unwrap().id);
    }
    expired(&mut operator, &ids[11]).await;
    limit(&mut operator, v1::WorkspaceLimits { max_tokens: 4, ..Default::default() }).await.unwrap();
    let mut renewals = tokio::task::JoinSet::new();
    for id in ids {
        let mut operator = operator.clone();
        renewals.spawn(async move { renew(&mut operator, &id, 3_600).await });
    }
    let outcomes = renewals.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_heir_gets_no_more_tokens_than_a_principal_may_have() {
    let (_server, mut operator) =
        limited(v1::WorkspaceLimits { max_tokens_per_principal: 3, ..Default::default() }).await;
    for id in ["leaving", "heir"] {
        operator.create_principal("acme", id, &["*"]).await;
        for _ in 0..2 {
            create(&mut operator, token(id, None)).await.unwrap();
        }
    }
    let request = || v1::DeletePrincipalRequest {
        workspace: "acme".to_owned(),
        id: "leaving".to_owned(),
        tokens: Some(v1::delete_principal_request::Tokens::HandOverTo("heir".to_owned())),
        ..Default::default()
    };
    let status = operator.principals.delete_principal(request()).await.unwrap_err();
    assert_eq!(refusal(&status), full());
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.metadata.get("principal").map(String::as_str), Some("heir"));
    limit(&mut operator, v1::WorkspaceLimits { max_tokens_per_principal: 4, ..Default::default() })
        .await
        .unwrap();
    operator.principals.delete_principal(request()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_principal_is_not_born_with_a_token_that_there_is_no_room_for() {
    let (_server, mut operator) = limited(v1::WorkspaceLimits { max_tokens: 1, ..Default::default() }).await;
    let request = |id: &str| v1::CreatePrincipalRequest {
        principal: Some(v1::Principal {
            workspace: "acme".to_owned(),
            id: id.to_owned(),
            kind: v1::PrincipalKind::ServiceAccount.into(),
            name: id.to_owned(),
            ..Default::default()
        }),
        token: Some(v1::CreateTokenRequest { name: "first".to_owned(), ..Default::default() }),
        ..Default::default()
    };
    operator.principals.create_principal(request("one")).await.unwrap();
    let status = operator.principals.create_principal(request("two")).await.unwrap_err();
    assert_eq!(refusal(&status), full());
    let key = Some(v1::get_principal_request::Key::Id("two".to_owned()));
    let request = v1::GetPrincipalRequest { workspace: "acme".to_owned(), key };
    assert!(operator.principals.get_principal(request).await.is_err(), "neither is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_an_expiry_is_set_it_is_within_the_limit() {
    use v1::create_token_request::Expiration;
    use v1::regenerate_token_request::Expiration as Renewal;
    let (_server, mut operator) =
        limited(v1::WorkspaceLimits { max_lifetime: Some(seconds(3_600)), ..Default::default() }).await;
    let invalid = |field: &str| Refusal {
        fields: vec![field.to_owned()],
        ..refused(Code::InvalidArgument, "INVALID_FIELD")
    };
    let far = std::time::SystemTime::now() + Duration::from_secs(4_000);
    for (expiration, field) in [
        (None, "expire_time"),
        (Some(Expiration::NeverExpires(true)), "never_expires"),
        (Some(Expiration::Lifetime(seconds(3_601))), "lifetime"),
        (Some(Expiration::ExpireTime(far.into())), "expire_time"),
    ] {
        let request = v1::CreateTokenRequest { expiration, ..token("", None) };
        assert_eq!(refusal(&create(&mut operator, request).await.unwrap_err()), invalid(field));
    }
    let made = create(&mut operator, token("", Some(3_600))).await.unwrap();
    assert_eq!(
        refusal(&renew(&mut operator, &made.id, 4_000).await.unwrap_err()),
        invalid("token.expire_time")
    );
    for (expiration, field) in [
        (Renewal::NeverExpires(true), "never_expires"),
        (Renewal::Lifetime(seconds(3_601)), "lifetime"),
        (Renewal::ExpireTime(far.into()), "expire_time"),
    ] {
        let status = regenerate(&mut operator, &made.id, Some(expiration)).await.unwrap_err();
        assert_eq!(refusal(&status), invalid(field));
        assert!(status.message().contains("at most 3600 seconds"), "{status:?}");
    }
    regenerate(&mut operator, &made.id, None).await.unwrap();
    let edit = v1::Token { id: made.id.clone(), name: "renamed".to_owned(), ..Default::default() };
    let request = v1::UpdateTokenRequest { token: Some(edit), ..Default::default() };
    operator.tokens.update_token(request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_issued_no_faster_than_the_workspace_may() {
    let (_server, mut operator) =
        limited(v1::WorkspaceLimits { max_issues_per_minute: 60, ..Default::default() }).await;
    let mut made = Vec::new();
    for _ in 0..59 {
        made.push(create(&mut operator, token("", None)).await.unwrap());
    }
    // Each second there is one more.
    let begun = std::time::Instant::now();
    let status = loop {
        match regenerate(&mut operator, &made[0].id, None).await {
            Ok(_) => assert!(begun.elapsed() < Duration::from_mins(1), "it is never refused"),
            Err(status) => break status,
        }
    };
    assert_eq!(refusal(&status), refused(Code::ResourceExhausted, "ISSUANCE_RATE_EXCEEDED"));
    let wait = status.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert!(wait <= Duration::from_secs(1), "{wait:?}");
    let status = create(&mut operator, token("", None)).await;
    assert!(status.is_err() || wait < Duration::from_millis(300));
    tokio::time::sleep(wait.max(Duration::from_secs(1))).await;
    create(&mut operator, token("", None)).await.unwrap();
    operator.create_workspace("other").await;
    for _ in 0..3 {
        operator.create_token("other", "free", &[]).await;
    }
}

/// Whoever has as many tokens as it may is told so before an issue is used up.
#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_is_lowered_ends_nothing_that_is_there() {
    let (_server, mut operator) = limited(v1::WorkspaceLimits::default()).await;
    let made = create(&mut operator, token("", Some(3_600))).await.unwrap();
    create(&mut operator, token("", None)).await.unwrap();
    limit(&mut operator, v1::WorkspaceLimits { max_tokens: 1, ..Default::default() }).await.unwrap();
    assert_eq!(operator.get_token(&made.id).await.unwrap().state(), TokenState::Active);
    renew(&mut operator, &made.id, 7_200).await.unwrap();
    assert_eq!(refusal(&create(&mut operator, token("", None)).await.unwrap_err()), full());
}
