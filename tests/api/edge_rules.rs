//! What a token is bound to, kept at every door: its product, its audience, its addresses.

use std::collections::BTreeMap;
use std::time::Duration;

use http::HeaderValue;
use tempfile::TempDir;
use tokenkeep::profile::Response;
use tokenkeep::proto::v1;
use tokenkeep::proto::v1::create_token_request::Expiration;

use crate::clients::Client;
use crate::doors::{Asked, Door, Told, open, sidecar_beside};
use crate::harness::{Database, Server, eventually};
use crate::sidecars::Sidecar;

/// Proxies that may ask about every workspace, and tell addresses.
struct Scene {
    server: Server,
    operator: Client,
    doors: Vec<Door>,
    _sidecar: Sidecar,
}

impl Scene {
    async fn set() -> Self {
        let server = Server::start_with(Database::fresh().await, open).await;
        let mut operator = server.operator().await;
        let may = ["tokenkeep:introspect", "tokenkeep:introspect:address"];
        let (_, credential) = operator.create_token("tokenkeep", "proxy", &may).await;
        let sidecar = sidecar_beside(&server).await;
        let mut doors = Door::of_server(&server, Some(&credential)).await.to_vec();
        doors.extend(Door::of_sidecar(&sidecar).await);
        Self { server, operator, doors, _sidecar: sidecar }
    }

    async fn workspace(&mut self, id: &str, profile: &str) {
        let workspace = v1::Workspace {
            id: id.to_owned(),
            name: id.to_owned(),
            profile: profile.to_owned(),
            ..Default::default()
        };
        let request = v1::CreateWorkspaceRequest { workspace: Some(workspace), ..Default::default() };
        self.operator.workspaces.create_workspace(request).await.unwrap();
    }

    /// Creates a token, and gives the header that presents it.
    async fn token(&mut self, request: v1::CreateTokenRequest) -> String {
        let request = v1::CreateTokenRequest { name: "token".to_owned(), ..request };
        format!("Bearer {}", self.operator.tokens.create_token(request).await.unwrap().into_inner().secret)
    }

    async fn all_let_through(&self, asked: &Asked<'_>) {
        for door in &self.doors {
            let told = door.ask(asked).await;
            assert!(matches!(told, Told::Through { .. }), "{}: {told:?}", door.name);
        }
    }

    async fn all_turn_away(&self, asked: &Asked<'_>) {
        for door in &self.doors {
            let (status, _, _) = door.ask(asked).await.denied();
            assert_eq!(status, 401, "{}", door.name);
        }
    }
}

fn request<'text>(profile: &'text str, authorization: &'text str) -> Asked<'text> {
    Asked { profile, headers: vec![("authorization", authorization)], ..Asked::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_names_no_workspace_leads_to_those_of_its_product_only() {
    let mut scene = Scene::set().await;
    scene.workspace("blog", "strapi").await;
    scene.workspace("plain", "").await;
    let of_product = v1::CreateTokenRequest {
        workspace: "blog".to_owned(),
        r#type: v1::TokenType::ReadOnly.into(),
        expiration: Some(Expiration::Lifetime(Duration::from_hours(7 * 24).try_into().unwrap())),
        ..Default::default()
    };
    let of_product = scene.token(of_product).await;
    let of_nobody = v1::CreateTokenRequest { workspace: "plain".to_owned(), ..Default::default() };
    let of_nobody = scene.token(of_nobody).await;
    let asked = Asked { scopes: "find:article", ..request("strapi", &of_product) };
    for door in &scene.doors {
        let (set, _) = door.ask(&asked).await.through();
        assert_eq!(set["x-tokenkeep-type"], "read_only", "{}", door.name);
        assert_eq!(set["x-tokenkeep-workspace"], "blog", "{}", door.name);
    }
    scene.all_turn_away(&request("strapi", &of_nobody)).await;
    scene.all_turn_away(&request("coolset", &of_product)).await;
    scene.all_let_through(&Asked { workspace: "plain", ..request("strapi", &of_nobody) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_bound_to_an_audience_is_invalid_elsewhere() {
    let mut scene = Scene::set().await;
    scene.workspace("acme", "").await;
    let token = v1::CreateTokenRequest {
        workspace: "acme".to_owned(),
        audiences: vec!["scim".to_owned()],
        ..Default::default()
    };
    let authorization = scene.token(token).await;
    let asked = Asked { workspace: "acme", ..request("qualytics", &authorization) };
    scene.all_let_through(&Asked { audience: "scim", ..asked.clone() }).await;
    scene.all_turn_away(&Asked { audience: "reports", ..asked.clone() }).await;
    scene.all_turn_away(&asked).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_bound_to_addresses_is_invalid_from_others() {
    let mut scene = Scene::set().await;
    scene.workspace("acme", "").await;
    let token = v1::CreateTokenRequest {
        workspace: "acme".to_owned(),
        allowed_cidrs: vec!["192.0.2.0/24".to_owned(), "2001:db8::/32".to_owned()],
        ..Default::default()
    };
    let authorization = scene.token(token).await;
    let asked = Asked { workspace: "acme", ..request("qualytics", &authorization) };
    for inside in ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8::7"] {
        scene.all_let_through(&Asked { address: inside, ..asked.clone() }).await;
    }
    for outside in ["203.0.113.9", "2001:db9::7", "not an address", ""] {
        scene.all_turn_away(&Asked { address: outside, ..asked.clone() }).await;
    }
}

/// Whoever tells an address must be one whose word on it counts.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_taken_only_from_those_who_may_tell_it() {
    let mut scene = Scene::set().await;
    scene.workspace("acme", "").await;
    let token = v1::CreateTokenRequest {
        workspace: "acme".to_owned(),
        allowed_cidrs: vec!["192.0.2.0/24".to_owned()],
        ..Default::default()
    };
    let authorization = scene.token(token).await;
    let unbound = v1::CreateTokenRequest { workspace: "acme".to_owned(), ..Default::default() };
    let unbound = scene.token(unbound).await;
    let (_, credential) = scene.operator.create_token("acme", "proxy", &["tokenkeep:introspect"]).await;
    for door in Door::of_server(&scene.server, Some(&credential)).await {
        let from = |authorization| Asked {
            workspace: "acme",
            address: "192.0.2.7",
            ..request("qualytics", authorization)
        };
        assert_eq!(door.ask(&from(&authorization)).await.denied().0, 401, "{}", door.name);
        door.ask(&from(&unbound)).await.through();
    }
}

/// Status, headers and body.
fn answer(response: &Response) -> (u16, BTreeMap<String, String>, String) {
    let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
    let headers = response.headers.iter().map(|(name, value)| (name.to_string(), text(value)));
    (response.status.as_u16(), headers.collect(), response.body.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answers_are_those_of_the_profile_to_the_byte() {
    let mut scene = Scene::set().await;
    scene.workspace("acme", "").await;
    let request = v1::CreateTokenRequest { workspace: "acme".to_owned(), ..Default::default() };
    let bearer = scene.token(request).await;
    let secret = bearer.trim_start_matches("Bearer ");
    for profile in tokenkeep::profile::load(None).unwrap() {
        let header = profile.presentation.header.as_str();
        let presented = |token: &str| format!("{} {token}", profile.presentation.scheme).trim().to_owned();
        let (live, nonsense) = (presented(secret), presented("nonsense"));
        let asked = Asked { profile: profile.name.as_str(), workspace: "acme", ..Asked::default() };
        let with = |value| Asked { headers: vec![(header, value)], scopes: "write", ..asked.clone() };
        for (asked, expected) in [
            (asked.clone(), &profile.responses.missing),
            (with(&nonsense), &profile.responses.invalid),
            (with(&live), &profile.responses.forbidden),
        ] {
            for door in &scene.doors {
                let told = door.ask(&asked).await.denied();
                assert_eq!(told, answer(expected), "{} of {}", door.name, profile.name);
            }
        }
    }
}

/// A server with a directory of one shipped profile, changed and of a higher version.
async fn newer(database: Database, name: &str, change: (&str, &str)) -> (Server, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let shipped = std::fs::read_to_string(format!("profiles/{name}.toml")).unwrap();
    assert!(shipped.contains(change.0), "nothing would change");
    let changed = shipped.replace("version = 1", "version = 2").replace(change.0, change.1);
    std::fs::write(directory.path().join(format!("{name}.toml")), changed).unwrap();
    let server =
        Server::start_with(database, |command| command.arg("--profiles").arg(directory.path())).await;
    (server, directory)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrower_profile_takes_from_the_tokens_that_are_there_at_every_door() {
    let mut scene = Scene::set().await;
    scene.workspace("blog", "strapi").await;
    let token = v1::CreateTokenRequest {
        workspace: "blog".to_owned(),
        r#type: v1::TokenType::ReadOnly.into(),
        expiration: Some(Expiration::NeverExpires(true)),
        ..Default::default()
    };
    let authorization = scene.token(token).await;
    let needing = |scopes| Asked { scopes, workspace: "blog", ..request("strapi", &authorization) };
    let (one, all) = (needing("findOne:article"), needing("find:article"));
    scene.all_let_through(&one).await;
    let narrower = (r#"grants = ["find:*", "findOne:*"]"#, r#"grants = ["find:*"]"#);
    let _newer = newer(scene.server.database.clone(), "strapi", narrower).await;
    for door in &scene.doors {
        eventually("the token can do less here", || {
            let (door, one) = (door.clone(), one.clone());
            async move { matches!(door.ask(&one).await, Told::Denied { status: 403, .. }) }
        })
        .await;
    }
    scene.all_let_through(&all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_profile_is_answered_by_at_every_door() {
    let scene = Scene::set().await;
    let asked = Asked { profile: "coolset", ..Asked::default() };
    for door in &scene.doors {
        let (_, _, body) = door.ask(&asked).await.denied();
        assert!(body.contains("were not provided"), "{}: {body}", door.name);
    }
    let change = ("were not provided", "are missing");
    let _newer = newer(scene.server.database.clone(), "coolset", change).await;
    for door in &scene.doors {
        eventually("the profile has changed here", || {
            let (door, asked) = (door.clone(), asked.clone());
            async move { door.ask(&asked).await.denied().2.contains("are missing") }
        })
        .await;
    }
}
