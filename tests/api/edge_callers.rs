//! Proxies that ask a server: what is wrong with them is never told as if it were wrong with their clients.

use crate::doors::{Asked, Door, Told, open};
use crate::harness::{Database, Server};

struct Scene {
    server: Server,
    authorization: String,
}

impl Scene {
    async fn set() -> Self {
        let server = Server::start_with(Database::fresh().await, open).await;
        let mut operator = server.operator().await;
        operator.create_workspace("acme").await;
        operator.create_workspace("other").await;
        let (_, secret) = operator.create_token("acme", "client", &[]).await;
        Self { server, authorization: format!("Bearer {secret}") }
    }

    /// What a caller with this credential is told at each door of a client that is fine.
    async fn told(&self, credential: Option<&str>) -> [Told; 2] {
        let headers = vec![("authorization", self.authorization.as_str())];
        let asked = Asked { profile: "coolset", workspace: "acme", headers, ..Asked::default() };
        let [check, http] = Door::of_server(&self.server, credential).await;
        [check.ask(&asked).await, http.ask(&asked).await]
    }
}

fn undecided(reason: &str) -> [Told; 2] {
    [Told::Undecided(reason.to_owned()), Told::Undecided(reason.to_owned())]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_must_be_a_caller_that_may_introspect_there() {
    let scene = Scene::set().await;
    let mut operator = scene.server.operator().await;
    let may = ["tokenkeep:introspect"];
    let (_, right) = operator.create_token("acme", "proxy", &may).await;
    let (_, powerless) = operator.create_token("acme", "powerless", &["tokenkeep:tokens:read"]).await;
    let (_, elsewhere) = operator.create_token("other", "elsewhere", &may).await;
    let (dead, dead_secret) = operator.create_token("acme", "dead", &may).await;
    operator.revoke(&dead.id).await.unwrap();
    for told in scene.told(Some(&right)).await {
        told.through();
    }
    assert_eq!(scene.told(None).await, undecided("CREDENTIAL_MISSING"));
    assert_eq!(scene.told(Some("nonsense")).await, undecided("CREDENTIAL_INVALID"));
    assert_eq!(scene.told(Some(&dead_secret)).await, undecided("CREDENTIAL_INVALID"));
    assert_eq!(scene.told(Some(&powerless)).await, undecided("SCOPE_REQUIRED"));
    assert_eq!(scene.told(Some(&elsewhere)).await, undecided("WORKSPACE_DENIED"));
}

/// Else a client could ask for a proxy what the proxy itself may not.
#[tokio::test(flavor = "multi_thread")]
async fn a_clients_credential_is_not_its_proxys() {
    let scene = Scene::set().await;
    let mut operator = scene.server.operator().await;
    let (_, mighty) = operator.create_token("acme", "mighty", &["tokenkeep:introspect"]).await;
    let authorization = format!("Bearer {mighty}");
    let headers = vec![("authorization", authorization.as_str())];
    let asked = Asked { profile: "coolset", workspace: "acme", headers, ..Asked::default() };
    for door in Door::of_server(&scene.server, None).await {
        assert_eq!(door.ask(&asked).await, Told::Undecided("CREDENTIAL_MISSING".to_owned()), "{}", door.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_a_client_or_a_proxy_is_logged() {
    let set = |command: &mut std::process::Command| {
        open(command).args(["--log", "trace"]);
    };
    let server = Server::start_with(Database::fresh().await, |command| {
        set(command);
        command
    })
    .await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    let (_, proxy) = operator.create_token("acme", "proxy", &["tokenkeep:introspect"]).await;
    let (_, secret) = operator.create_token("acme", "client", &[]).await;
    for authorization in [format!("Bearer {secret}"), format!("Basic {secret}")] {
        let headers = vec![("authorization", authorization.as_str())];
        let asked = Asked { profile: "coolset", workspace: "acme", headers, ..Asked::default() };
        for door in Door::of_server(&server, Some(&proxy)).await {
            door.ask(&asked).await;
            door.ask(&Asked { profile: "nobodys", ..asked.clone() }).await;
        }
    }
    let log = server.log();
    for secret in [proxy, secret] {
        assert!(!log.contains(&secret[8..]), "a secret was logged");
    }
}
