//! Principals: a token can do no more than whoever it acts for, at the moment of use.

use prost_types::FieldMask;
use tokenkeep::proto::v1;
use tokenkeep::proto::v1::delete_principal_request::Tokens;
use tonic::{Code, Status};

use crate::clients::{Client, refusal, refused};
use crate::harness::Server;
use crate::sidecars::Sidecar;

pub async fn server() -> (Server, Client) {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    (server, operator)
}

pub async fn token_of(client: &mut Client, principal: &str, scopes: &[&str]) -> (v1::Token, String) {
    let request = v1::CreateTokenRequest {
        workspace: "acme".to_owned(),
        name: format!("of {principal}"),
        principal: principal.to_owned(),
        scopes: scopes.iter().map(ToString::to_string).collect(),
        ..Default::default()
    };
    let created = client.tokens.create_token(request).await.unwrap().into_inner();
    (created.token.unwrap(), created.secret)
}

async fn edit(
    client: &mut Client,
    id: &str,
    paths: &[&str],
    principal: v1::Principal,
) -> Result<v1::Principal, Status> {
    let principal = v1::Principal { workspace: "acme".to_owned(), id: id.to_owned(), ..principal };
    let paths = paths.iter().map(ToString::to_string).collect();
    let request = v1::UpdatePrincipalRequest {
        principal: Some(principal),
        update_mask: Some(FieldMask { paths }),
        wait: v1::RevocationWait::Fleet.into(),
        ..Default::default()
    };
    let answer = client.principals.update_principal(request).await?.into_inner();
    Ok(answer.principal.unwrap())
}

pub async fn disable(client: &mut Client, id: &str, disabled: bool) -> v1::Principal {
    edit(client, id, &["disabled"], v1::Principal { disabled, ..Default::default() }).await.unwrap()
}

pub async fn delete(
    client: &mut Client,
    id: &str,
    tokens: Tokens,
) -> Result<v1::DeletePrincipalResponse, Status> {
    let request = v1::DeletePrincipalRequest {
        workspace: "acme".to_owned(),
        id: id.to_owned(),
        tokens: Some(tokens),
        wait: v1::RevocationWait::Fleet.into(),
        ..Default::default()
    };
    Ok(client.principals.delete_principal(request).await?.into_inner())
}

async fn get(client: &mut Client, key: v1::get_principal_request::Key) -> Result<v1::Principal, Status> {
    let request = v1::GetPrincipalRequest { workspace: "acme".to_owned(), key: Some(key) };
    Ok(client.principals.get_principal(request).await?.into_inner().principal.unwrap())
}

pub async fn scope(client: &mut Client, secret: &str) -> String {
    client.introspect(secret).await.unwrap().scope
}

#[tokio::test(flavor = "multi_thread")]
async fn a_principal_is_found_by_its_id_its_handle_and_its_number() {
    use v1::get_principal_request::Key;
    let (_server, mut operator) = server().await;
    let principal = v1::Principal {
        workspace: "acme".to_owned(),
        id: "p-1".to_owned(),
        kind: v1::PrincipalKind::User.into(),
        name: "Mia".to_owned(),
        handle: "mia@acme.example".to_owned(),
        external_id: 42,
        scopes: vec!["a".to_owned()],
        ..Default::default()
    };
    let request = v1::CreatePrincipalRequest {
        principal: Some(principal.clone()),
        initiator: "admin".to_owned(),
        ..Default::default()
    };
    let created = operator.principals.create_principal(request.clone()).await.unwrap().into_inner();
    let made = created.principal.unwrap();
    assert_eq!((made.creator.as_str(), made.revision, created.secret.as_str()), ("admin", 0, ""));
    for key in [Key::Id("p-1".into()), Key::Handle("mia@acme.example".into()), Key::ExternalId(42)] {
        assert_eq!(get(&mut operator, key).await.unwrap(), made);
    }
    let missing = get(&mut operator, Key::ExternalId(43)).await.unwrap_err();
    assert_eq!(refusal(&missing), refused(Code::NotFound, "PRINCIPAL_NOT_FOUND"));
    for (id, handle, external_id) in [("p-1", "", 0), ("p-2", "mia@acme.example", 0), ("p-3", "", 42)] {
        let (id, handle) = (id.to_owned(), handle.to_owned());
        let principal = Some(v1::Principal { id, handle, external_id, ..principal.clone() });
        let request = v1::CreatePrincipalRequest { principal, ..request.clone() };
        let taken = operator.principals.create_principal(request).await.unwrap_err();
        assert_eq!(refusal(&taken), refused(Code::AlreadyExists, "PRINCIPAL_EXISTS"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_is_born_with_its_token_or_not_at_all() {
    let (_server, mut operator) = server().await;
    let request = |id: &str, seconds: i64| {
        let principal = v1::Principal {
            workspace: "acme".to_owned(),
            id: id.to_owned(),
            kind: v1::PrincipalKind::ServiceAccount.into(),
            name: "ci".to_owned(),
            handle: format!("{id}@service"),
            scopes: vec!["build:*".to_owned()],
            ..Default::default()
        };
        let time = prost_types::Timestamp { seconds, nanos: 0 };
        let token = v1::CreateTokenRequest {
            name: "first".to_owned(),
            scopes: vec!["build:read".to_owned(), "deploy".to_owned()],
            expiration: Some(v1::create_token_request::Expiration::ExpireTime(time)),
            ..Default::default()
        };
        v1::CreatePrincipalRequest { principal: Some(principal), token: Some(token), ..Default::default() }
    };
    let created = operator.principals.create_principal(request("ci", 9_999_999_999)).await.unwrap();
    let created = created.into_inner();
    let token = created.token.unwrap();
    assert_eq!((token.principal.as_str(), token.workspace.as_str()), ("ci", "acme"));
    let told = operator.introspect(&created.secret).await.unwrap();
    assert_eq!((told.scope.as_str(), told.sub.as_str()), ("build:read", "ci"));
    assert_eq!(told.username, "ci@service");
    let born_expired = operator.principals.create_principal(request("late", 1)).await.unwrap_err();
    assert_eq!(refusal(&born_expired).reason, "INVALID_FIELD");
    let missing = get(&mut operator, v1::get_principal_request::Key::Id("late".into())).await.unwrap_err();
    assert_eq!(refusal(&missing), refused(Code::NotFound, "PRINCIPAL_NOT_FOUND"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_can_do_no_more_than_its_principal_can_now() {
    let (server, mut operator) = server().await;
    let sidecar = Sidecar::beside(&[&server]).await;
    let mut beside = sidecar.client().await;
    operator.create_principal("acme", "mia", &["articles:*"]).await;
    let (_, secret) = token_of(&mut operator, "mia", &["articles:read", "orders:read"]).await;
    for (scopes, expected) in
        [(&["articles:*"][..], "articles:read"), (&["orders:*", "x"], "orders:read"), (&[], "")]
    {
        let scopes = scopes.iter().map(ToString::to_string).collect();
        let change = v1::Principal { scopes, ..Default::default() };
        edit(&mut operator, "mia", &["scopes"], change).await.unwrap();
        assert_eq!(scope(&mut operator, &secret).await, expected);
        assert_eq!(scope(&mut beside, &secret).await, expected, "at the sidecar");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gives_a_principal_power_over_tokenkeep_that_they_lack() {
    let (server, mut operator) = server().await;
    let scopes = ["tokenkeep:principals:create", "tokenkeep:principals:update", "tokenkeep:principals:read"];
    let (_, secret) = operator.create_token("acme", "clerk", &scopes).await;
    let mut clerk = server.client(&secret).await;
    operator.create_principal("acme", "mighty", &["tokenkeep:*"]).await;
    clerk.create_principal("acme", "weak", &["*"]).await;
    let more = v1::Principal { scopes: vec!["tokenkeep:tokens:read".to_owned()], ..Default::default() };
    let escalation = refused(Code::PermissionDenied, "SCOPE_ESCALATION");
    let status = edit(&mut clerk, "weak", &["scopes"], more).await.unwrap_err();
    assert_eq!(refusal(&status), escalation);
    let narrowed = v1::Principal { scopes: vec!["a".to_owned()], ..Default::default() };
    let status = edit(&mut clerk, "mighty", &["scopes"], narrowed).await.unwrap_err();
    assert_eq!(refusal(&status), escalation);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_another_version_is_refused_and_one_that_changes_nothing_takes_no_revision() {
    let (server, mut operator) = server().await;
    let made = operator.create_principal("acme", "mia", &["a"]).await;
    let head = server.database.head().await;
    let renamed = v1::Principal { name: "Mia".to_owned(), etag: made.etag.clone(), ..Default::default() };
    let renamed = edit(&mut operator, "mia", &["name"], renamed).await.unwrap();
    assert_eq!((renamed.name.as_str(), renamed.revision), ("Mia", 0), "no token is concerned");
    let stale = v1::Principal { disabled: true, etag: made.etag, ..Default::default() };
    let stale = edit(&mut operator, "mia", &["disabled"], stale).await.unwrap_err();
    assert_eq!(refusal(&stale), refused(Code::Aborted, "ETAG_MISMATCH"));
    let same = edit(&mut operator, "mia", &["name"], renamed.clone()).await.unwrap();
    assert_eq!(same, renamed);
    assert_eq!(disable(&mut operator, "mia", true).await.revision, head + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn principals_are_listed_by_id_and_by_kind_page_by_page() {
    let (_server, mut operator) = server().await;
    for id in ["c", "a", "b"] {
        operator.create_principal("acme", id, &[]).await;
    }
    delete(&mut operator, "b", Tokens::RevokeReason(String::new())).await.unwrap();
    let mut request =
        v1::ListPrincipalsRequest { workspace: "acme".to_owned(), page_size: 1, ..Default::default() };
    let mut ids = Vec::new();
    loop {
        let page = operator.principals.list_principals(request.clone()).await.unwrap().into_inner();
        ids.extend(page.principals.into_iter().map(|principal| principal.id));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(ids, ["a", "c"]);
    let users = v1::ListPrincipalsRequest {
        kind: v1::PrincipalKind::User.into(),
        page_token: String::new(),
        ..request
    };
    let page = operator.principals.list_principals(users).await.unwrap().into_inner();
    assert!(page.principals.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_principal_is_told_to_those_who_watch_its_workspace() {
    use v1::watch_revocations_response::Frame;
    let (_server, mut operator) = server().await;
    operator.create_workspace("other").await;
    operator.create_principal("acme", "mia", &["*"]).await;
    let mut stream = operator.watch("acme", "").await.unwrap();
    let changed = disable(&mut operator, "mia", true).await;
    let event = loop {
        let frame = stream.message().await.unwrap().unwrap();
        if let Some(Frame::Event(event)) = frame.frame {
            assert_eq!(frame.revision, changed.revision);
            break event;
        }
    };
    assert_eq!(event.kind(), v1::RevocationKind::PrincipalChanged);
    assert_eq!((event.workspace.as_str(), event.principal.as_str()), ("acme", "mia"));
    assert_eq!((event.token_id.as_str(), event.generation), ("", 0));
}
