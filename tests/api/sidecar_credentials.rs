//! What a sidecar may see, by its credential and by its own settings, and what becomes of it when that ends.

use std::fs;

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::InactiveReason;
use tonic::Code;

use crate::clients::{Client, refusal, refused};
use crate::harness::{Database, Server, eventually, tokenkeep};
use crate::life::forge;
use crate::refusals::end_of;
use crate::scanner::Scanner;
use crate::sidecars::{SCOPES, Sidecar, Told, told};

async fn is_told(client: &Client, secret: &str, expected: Told) {
    eventually(&format!("{expected:?} is told"), || {
        let (mut client, expected) = (client.clone(), expected.clone());
        async move { told(&mut client, secret).await == expected }
    })
    .await;
}

/// A server with two workspaces, and a live token in each.
async fn scene() -> (Server, [String; 2]) {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    let mut secrets = Vec::new();
    for workspace in ["acme", "other"] {
        operator.create_workspace(workspace).await;
        secrets.push(operator.create_token(workspace, "live", &[]).await.1);
    }
    (server, secrets.try_into().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_that_is_refused_forgets_everything_until_it_has_another_credential() {
    let (server, [secret, _]) = scene().await;
    let mut operator = server.operator().await;
    let (credential, text) = operator.create_token("tokenkeep", "sidecar", &SCOPES).await;
    let sidecar = Sidecar::start(&[&server], &text, |command| command).await;
    sidecar.holds_a_lease().await;
    let mut client = sidecar.client().await;
    assert_eq!(told(&mut client, &secret).await, Told::Active);
    assert_eq!(sidecar.state("tokens").await, 1.0);

    operator.revoke(&credential.id).await.unwrap();
    is_told(&client, &secret, Told::Unknown("UPSTREAM_UNAVAILABLE".to_owned())).await;
    assert_eq!((sidecar.state("tokens").await, sidecar.state("lease").await), (0.0, 0.0));
    assert!(!client.health("").await.unwrap());

    let (_, text) = operator.create_token("tokenkeep", "sidecar", &SCOPES).await;
    sidecar.give(&text);
    is_told(&client, &secret, Told::Active).await;
    sidecar.holds_a_lease().await;
    let log = sidecar.log();
    let refusals =
        log.lines().filter(|line| line.contains("\"WARN\"") && line.contains("\"refused\":true")).count();
    assert_eq!(refusals, 1, "a state is told once: {}", sidecar.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_without_the_scopes_serves_nothing() {
    let (server, [secret, _]) = scene().await;
    let (_, text) =
        server.operator().await.create_token("tokenkeep", "weak", &["tokenkeep:introspect"]).await;
    let sidecar = Sidecar::start(&[&server], &text, |command| command).await;
    let mut client = sidecar.client().await;
    assert_eq!(told(&mut client, &secret).await, Told::Unknown("UPSTREAM_UNAVAILABLE".to_owned()));
    eventually("it says why", || async { sidecar.log().contains("\"refused\":true") }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_of_one_workspace_sees_no_other() {
    let (server, [ours, theirs]) = scene().await;
    let (_, text) = server.operator().await.create_token("acme", "sidecar", &SCOPES).await;
    let sidecar = Sidecar::start(&[&server], &text, |command| command).await;
    sidecar.holds_a_lease().await;
    let mut client = sidecar.client().await;
    for _ in 0..2 {
        assert_eq!(told(&mut client, &ours).await, Told::Active);
        assert_eq!(told(&mut client, &theirs).await, Told::Inactive(InactiveReason::Unknown));
    }
    // What happens in the other workspace is still counted, or nobody could wait for the fleet.
    let mut operator = server.operator().await;
    let (token, _) = operator.create_token("other", "ended", &[]).await;
    operator.revoke_everywhere(&token.id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_for_one_workspace_tells_of_no_other() {
    let (server, [ours, theirs]) = scene().await;
    let (_, text) = server.operator().await.create_token("tokenkeep", "sidecar", &SCOPES).await;
    let sidecar =
        Sidecar::start(&[&server], &text, |command| command.args(["--workspace", "acme,third"])).await;
    sidecar.holds_a_lease().await;
    let mut client = sidecar.client().await;
    for _ in 0..2 {
        assert_eq!(told(&mut client, &ours).await, Told::Active);
        assert_eq!(told(&mut client, &theirs).await, Told::Inactive(InactiveReason::Unknown));
    }
    assert_eq!(sidecar.state("tokens").await, 1.0, "nothing else is kept");
    let request =
        v1::IntrospectTokenRequest { token: theirs, workspace: "other".to_owned(), ..Default::default() };
    let status = client.tokens.introspect_token(request).await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::PermissionDenied, "WORKSPACE_DENIED"));
}

/// Its revocations would not be heard of any more.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_seen_with_another_token_is_forgotten() {
    let (server, [ours, theirs]) = scene().await;
    let mut operator = server.operator().await;
    let (_, wide) = operator.create_token("tokenkeep", "wide", &SCOPES).await;
    let (narrow, first) = operator.create_token("acme", "narrow", &SCOPES).await;
    let sidecar = Sidecar::start(&[&server], &wide, |command| command).await;
    sidecar.holds_a_lease().await;
    let mut client = sidecar.client().await;
    assert_eq!(told(&mut client, &theirs).await, Told::Active);
    sidecar.give(&first);
    is_told(&client, &theirs, Told::Inactive(InactiveReason::Unknown)).await;
    is_told(&client, &ours, Told::Active).await;
    // Another secret of the same token sees the same.
    sidecar.holds_a_lease().await;
    sidecar.give(&operator.regenerate(&narrow.id, "*").await.unwrap().secret);
    eventually("it goes on", || async { sidecar.log().matches("\"message\":\"following\"").count() >= 3 })
        .await;
    is_told(&client, &ours, Told::Active).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reasons_are_told_only_if_the_credential_is_granted_them() {
    let (server, [secret, _]) = scene().await;
    let (_, text) = server.operator().await.create_token("tokenkeep", "sidecar", &SCOPES[..2]).await;
    let sidecar = Sidecar::start(&[&server], &text, |command| command).await;
    sidecar.holds_a_lease().await;
    let mut client = sidecar.client().await;
    for dead in [forge(&secret).as_str(), "nonsense"] {
        assert_eq!(told(&mut client, dead).await, Told::Inactive(InactiveReason::Unspecified));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_logged_at_the_most_talkative() {
    let mut scanner = Scanner::default();
    let (server, [secret, other]) = scene().await;
    let mut operator = server.operator().await;
    let (credential, text) = operator.create_token("tokenkeep", "sidecar", &SCOPES).await;
    let sidecar = Sidecar::start(&[&server], &text, |command| command.args(["--log", "trace"])).await;
    sidecar.holds_a_lease().await;
    let (mut client, forged) = (sidecar.client().await, forge(&other));
    for (name, token) in
        [("a live one", &secret), ("another", &other), ("the credential", &text), ("a forged one", &forged)]
    {
        scanner.add_token(name, token);
        told(&mut client, token).await;
        told(&mut client, token).await;
        let misplaced = v1::IntrospectTokenRequest {
            token: token.clone(),
            workspace: token.clone(),
            required_scopes: vec![format!("{token} ")],
            ..Default::default()
        };
        client.tokens.introspect_token(misplaced).await.unwrap_err();
    }
    operator.revoke(&credential.id).await.unwrap();
    is_told(&client, &secret, Told::Unknown("UPSTREAM_UNAVAILABLE".to_owned())).await;
    let log = sidecar.log();
    assert!(log.contains("\"TRACE\"") && log.contains("\"refused\":true"), "{log}");
    assert_eq!(scanner.scan(log.as_bytes()), Vec::<&str>::new());
    let process = format!("/proc/{}", sidecar.process.id());
    for file in ["cmdline", "environ"] {
        assert_eq!(scanner.scan(&fs::read(format!("{process}/{file}")).unwrap()), Vec::<&str>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_that_would_be_open_to_others_does_not_start() {
    let database = Database::fresh().await;
    let directory = tempfile::tempdir().unwrap();
    let (credential, none) = (directory.path().join("credential"), directory.path().join("none"));
    fs::write(&credential, &database.operator_secret).unwrap();
    let start = |listen: &str, upstream: &str, credential: &std::path::Path| {
        let mut command = tokenkeep("sidecar");
        command.args(["--operations-listen", "none", "--log", "error", "--listen", listen]);
        command.args(["--upstream", upstream, "--credential-file"]).arg(credential);
        end_of(command)
    };
    for (listen, upstream, credential, code, told) in [
        ("0.0.0.0:0", "http://127.0.0.1:1", &credential, 2, "--listen"),
        ("127.0.0.1:0", "http://192.0.2.1:1", &credential, 1, "--insecure-plaintext"),
        ("127.0.0.1:0", "192.0.2.1:1", &credential, 1, "https://host:port"),
        ("127.0.0.1:0", "http://127.0.0.1:1", &none, 1, "none"),
    ] {
        let (ended, said) = start(listen, upstream, credential);
        assert_eq!(ended, Some(code), "{said}");
        assert!(said.contains(told), "{said}");
    }
}
