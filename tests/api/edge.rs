//! What proxies are told of clients' requests: the same at every door of a server and of a sidecar.

use std::time::Duration;

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::create_token_request::Expiration;

use crate::clients::Client;
use crate::doors::{Asked, Door, Told, exchange, open, sidecar_beside};
use crate::harness::{Database, Server, eventually};
use crate::sidecars::Sidecar;

/// A product behind proxies that ask a server, and others that ask a sidecar.
struct Scene {
    server: Server,
    sidecar: Sidecar,
    operator: Client,
    doors: Vec<Door>,
}

impl Scene {
    async fn set() -> Self {
        let server = Server::start_with(Database::fresh().await, open).await;
        let mut operator = server.operator().await;
        operator.create_workspace("acme").await;
        operator.create_workspace("other").await;
        let (_, credential) = operator.create_token("acme", "proxy", &["tokenkeep:introspect"]).await;
        let sidecar = sidecar_beside(&server).await;
        let mut doors = Door::of_server(&server, Some(&credential)).await.to_vec();
        doors.extend(Door::of_sidecar(&sidecar).await);
        Self { server, sidecar, operator, doors }
    }

    /// Asks at every door, and gives the one answer.
    async fn asked(&self, asked: &Asked<'_>) -> Told {
        let mut answers = Vec::new();
        for door in &self.doors {
            let told = door.ask(asked).await;
            // Not all are told all that is to be removed, and what has no value is as good as removed.
            let told = match told {
                Told::Through { mut set, .. } => {
                    set.retain(|_, value| !value.is_empty());
                    Told::Through { set, remove: Vec::new() }
                }
                told @ (Told::Denied { .. } | Told::Undecided(_)) => told,
            };
            answers.push((door.name, told));
        }
        let (_, first) = answers[0].clone();
        assert!(answers.iter().all(|(_, told)| *told == first), "{answers:#?}");
        first
    }
}

/// A request for the space `acme` of a product whose tokens are bearer tokens.
fn request<'text>(headers: &[(&'text str, &'text str)]) -> Asked<'text> {
    Asked { profile: "coolset", workspace: "acme", headers: headers.to_vec(), ..Asked::default() }
}

fn bearer(secret: &str) -> String {
    format!("Bearer {secret}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_token_is_let_through_and_told_of() {
    let mut scene = Scene::set().await;
    let (token, secret) = scene.operator.create_token("acme", "Größe 1", &["read", "write"]).await;
    let (set, _) = scene.asked(&request(&[("Authorization", &bearer(&secret))])).await.through();
    for (name, value) in [
        ("x-tokenkeep-token-id", token.id.as_str()),
        ("x-tokenkeep-token-name", "Gr%C3%B6%C3%9Fe%201"),
        ("x-tokenkeep-workspace", "acme"),
        ("x-tokenkeep-scopes", "read write"),
        ("x-tokenkeep-type", "custom"),
    ] {
        assert_eq!(set.get(name).map(String::as_str), Some(value), "{name} in {set:?}");
    }
    assert!(!set.contains_key("x-tokenkeep-principal"), "{set:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_with_a_credential_is_answered_as_the_document_says() {
    let mut scene = Scene::set().await;
    let (_, foreign) = scene.operator.create_token("other", "foreign", &[]).await;
    let (revoked, revoked_secret) = scene.operator.create_token("acme", "revoked", &[]).await;
    let (_, confirmed) = scene.operator.revoke_everywhere(&revoked.id).await;
    assert!(confirmed);
    let expired_secret = expired(&mut scene.operator).await;
    let forged = foreign.replace(&foreign[8..12], "0000");
    let (missing, presented) = (
        "Authentication credentials were not provided.",
        [
            bearer("nonsense"),
            bearer("two words"),
            bearer(&forged),
            bearer(&foreign),
            bearer(&revoked_secret),
            bearer(&expired_secret),
        ],
    );
    let mut requests = vec![request(&[]), request(&[("authorization", "")])];
    let token = format!("Token {foreign}");
    requests.push(request(&[("authorization", &token)]));
    requests.push(request(&[("x-undb-api-token", &foreign)]));
    requests.extend(presented.iter().map(|value| request(&[("authorization", value)])));
    for asked in requests {
        let (status, headers, body) = scene.asked(&asked).await.denied();
        assert_eq!(status, 401, "{asked:?}");
        assert!(body.contains(missing), "{asked:?}: {body}");
        assert!(headers["www-authenticate"].starts_with("Bearer"), "{asked:?}: {headers:?}");
        assert_eq!(headers["content-type"], "application/json", "{asked:?}");
    }
}

/// A token whose life is over.
async fn expired(operator: &mut Client) -> String {
    let request = v1::CreateTokenRequest {
        workspace: "acme".to_owned(),
        name: "expired".to_owned(),
        expiration: Some(Expiration::Lifetime(Duration::from_secs(1).try_into().unwrap())),
        ..Default::default()
    };
    let secret = operator.tokens.create_token(request).await.unwrap().into_inner().secret;
    eventually("the token expires", || {
        let (mut operator, secret) = (operator.clone(), secret.clone());
        async move { !operator.introspect(&secret).await.unwrap().active }
    })
    .await;
    secret
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_lacks_what_the_route_needs_is_forbidden() {
    let mut scene = Scene::set().await;
    let (_, secret) = scene.operator.create_token("acme", "reader", &["read"]).await;
    let authorization = bearer(&secret);
    let needing = |scopes| Asked { scopes, ..request(&[("authorization", &authorization)]) };
    scene.asked(&needing("read")).await.through();
    let (status, _, body) = scene.asked(&needing("read write")).await.denied();
    assert_eq!(status, 403);
    assert!(body.contains("You do not have permission to perform this action."), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn once_the_fleet_has_confirmed_a_revocation_no_door_opens() {
    let mut scene = Scene::set().await;
    let (token, secret) = scene.operator.create_token("acme", "revoked", &[]).await;
    let authorization = bearer(&secret);
    let asked = request(&[("authorization", &authorization)]);
    // Now every cache knows it.
    scene.asked(&asked).await.through();
    let (_, confirmed) = scene.operator.revoke_everywhere(&token.id).await;
    assert!(confirmed);
    assert_eq!(scene.asked(&asked).await.denied().0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_says_of_itself_does_not_get_through() {
    let mut scene = Scene::set().await;
    let (_, secret) = scene.operator.create_token("acme", "client", &["read"]).await;
    let authorization = bearer(&secret);
    let asked = request(&[
        ("authorization", &authorization),
        ("X-Tokenkeep-Workspace", "all"),
        ("x-tokenkeep-principal", "root"),
        ("x_tokenkeep_username", "root"),
        ("x-harmless", "stays"),
    ]);
    for door in scene.doors.iter().filter(|door| door.is_check()) {
        let (set, remove) = door.ask(&asked).await.through();
        assert_eq!(set["x-tokenkeep-workspace"], "acme", "{}", door.name);
        let gone = ["authorization", "x-tokenkeep-principal", "x-tokenkeep-username", "x_tokenkeep_username"];
        assert_eq!(remove, gone, "{}", door.name);
    }
    for door in scene.doors.iter().filter(|door| !door.is_check()) {
        let (_, remove) = door.ask(&asked).await.through();
        assert_eq!(remove, ["x-tokenkeep-principal", "x-tokenkeep-username"], "{}", door.name);
    }
    let (set, _) = scene.asked(&asked).await.through();
    assert!(set.values().all(|value| value != "root" && value != "all"), "{set:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_leads_nowhere_is_no_verdict_on_the_client() {
    let mut scene = Scene::set().await;
    let (_, secret) = scene.operator.create_token("acme", "client", &[]).await;
    let authorization = bearer(&secret);
    let right = request(&[("authorization", &authorization)]);
    for asked in [
        Asked { profile: "nobodys", ..right.clone() },
        Asked { profile: "", ..right.clone() },
        Asked { profile: "Not A Name", ..right.clone() },
        Asked { workspace: "Acme", ..right.clone() },
        Asked { scopes: "a*", ..right.clone() },
    ] {
        assert_eq!(scene.asked(&asked).await, Told::Undecided("INVALID_FIELD".to_owned()), "{asked:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_is_told_without_asking_anybody() {
    let mut scene = Scene::set().await;
    let (_, secret) = scene.operator.create_token("acme", "client", &[]).await;
    let authorization = bearer(&secret);
    let asked = request(&[("authorization", &authorization)]);
    scene.asked(&asked).await.through();
    let reads = "tokenkeep_credential_reads_total";
    let before = (scene.server.metric(reads).await, scene.sidecar.calls("resolve").await);
    for _ in 0..5 {
        scene.asked(&asked).await.through();
    }
    assert_eq!((scene.server.metric(reads).await, scene.sidecar.calls("resolve").await), before);
    assert_eq!(scene.sidecar.calls("get_profiles").await, 1.0, "profiles are asked for once");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_checks_are_served_over_http_and_many_over_one_connection() {
    let mut scene = Scene::set().await;
    let (_, secret) = scene.operator.create_token("acme", "client", &[]).await;
    let edge = scene.sidecar.edge.unwrap();
    let head = |path: &str, more: &str| format!("GET {path} HTTP/1.1\r\nhost: product\r\n{more}\r\n");
    let answer = exchange(edge, &head("/", "connection: close\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    let path = "/check?profile=coolset&workspace=acme";
    let first = head(path, &format!("authorization: Bearer {secret}\r\n"));
    let second = head(path, "connection: close\r\n");
    let answers = exchange(edge, &format!("{first}{second}")).await;
    assert!(answers.starts_with("HTTP/1.1 200") && answers.contains("HTTP/1.1 401"), "{answers}");
}
