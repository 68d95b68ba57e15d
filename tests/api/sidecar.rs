//! A sidecar in good times: it answers from what it knows, and knows of every end at once.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::InactiveReason;
use tonic::Code;

use crate::clients::{Client, refusal};
use crate::harness::{Server, eventually, http_get, tokenkeep};
use crate::life::forge;
use crate::sidecars::{SCOPES, Sidecar, Told, told};

/// Requests to the server that were about tokens.
async fn resolved_by(server: &Server) -> f64 {
    let method = "method=\"tokenkeep.v1.SidecarService/ResolveTokens\"";
    server.metric(&format!("tokenkeep_requests_total{{{method},code=\"ok\"}}")).await
}

async fn token(server: &Server, name: &str) -> (v1::Token, String) {
    server.operator().await.create_token("acme", name, &["a"]).await
}

async fn scene() -> (Server, Sidecar, Client) {
    let server = Server::start().await;
    server.operator().await.create_workspace("acme").await;
    let sidecar = Sidecar::beside(&[&server]).await;
    let client = sidecar.client().await;
    (server, sidecar, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_is_answered_without_asking_the_server() {
    let (server, sidecar, mut client) = scene().await;
    let (token, secret) = token(&server, "known").await;
    assert_eq!(told(&mut client, &secret).await, Told::Active);
    eventually("the one request is counted", || async { resolved_by(&server).await == 1.0 }).await;
    let before = (resolved_by(&server).await, server.metric("tokenkeep_credential_reads_total").await);
    for _ in 0..100 {
        let answer = client.introspect(&secret).await.unwrap();
        assert_eq!(
            (answer.active, answer.jti.as_str(), answer.workspace.as_str()),
            (true, token.id.as_str(), "acme")
        );
    }
    let after = (resolved_by(&server).await, server.metric("tokenkeep_credential_reads_total").await);
    assert_eq!(after, before);
    assert_eq!((sidecar.answers("cache").await, sidecar.calls("resolve").await), (100.0, 1.0));
}

/// The record is known, and judged anew for each request.
#[tokio::test(flavor = "multi_thread")]
async fn workspace_and_scopes_are_judged_for_each_request() {
    let (server, _sidecar, mut client) = scene().await;
    let (_, secret) = token(&server, "judged").await;
    let ask = |workspace: &str, scope: &str| v1::IntrospectTokenRequest {
        token: secret.clone(),
        workspace: workspace.to_owned(),
        required_scopes: vec![scope.to_owned()],
        ..Default::default()
    };
    for _ in 0..2 {
        let answer = client.tokens.introspect_token(ask("acme", "a")).await.unwrap().into_inner();
        assert_eq!(answer.decision(), v1::Decision::Allow);
        let answer = client.tokens.introspect_token(ask("acme", "b")).await.unwrap().into_inner();
        assert_eq!(
            (answer.decision(), answer.missing_scopes),
            (v1::Decision::DenyScope, vec!["b".to_owned()])
        );
        let answer = client.tokens.introspect_token(ask("other", "a")).await.unwrap().into_inner();
        assert_eq!((answer.active, answer.inactive_reason()), (false, InactiveReason::OtherWorkspace));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_is_heard_within_a_second() {
    let (server, _sidecar, mut client) = scene().await;
    let mut slowest = Duration::ZERO;
    for number in 0..10 {
        let (token, secret) = token(&server, &format!("heard {number}")).await;
        assert_eq!(told(&mut client, &secret).await, Told::Active);
        server.operator().await.revoke(&token.id).await.unwrap();
        let revoked = Instant::now();
        while told(&mut client, &secret).await != Told::Inactive(InactiveReason::Revoked) {
            assert!(revoked.elapsed() < Duration::from_secs(1), "it was not heard of");
        }
        slowest = slowest.max(revoked.elapsed());
    }
    println!("the slowest revocation was heard after {slowest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn once_a_fleet_revoke_returns_no_sidecar_accepts_the_token() {
    let server = Server::start().await;
    server.operator().await.create_workspace("acme").await;
    let sidecars = [Sidecar::beside(&[&server]).await, Sidecar::beside(&[&server]).await];
    let mut clients = [sidecars[0].client().await, sidecars[1].client().await];
    let mut operator = server.operator().await;
    let mut waits = Vec::new();
    for number in 0..50 {
        let (token, secret) = token(&server, &format!("ended {number}")).await;
        for client in &mut clients {
            assert_eq!(told(client, &secret).await, Told::Active);
        }
        let begun = Instant::now();
        operator.revoke_everywhere(&token.id).await;
        waits.push(begun.elapsed());
        for client in &mut clients {
            assert_eq!(told(client, &secret).await, Told::Inactive(InactiveReason::Revoked));
        }
    }
    waits.sort();
    println!("a fleet revoke took {:?} at the median, {:?} at most", waits[25], waits[49]);
    // It waited for what the sidecars said, and neither for the next renewal of their leases nor for their end.
    assert!(waits[25] < Duration::from_millis(300) && waits[49] < Duration::from_secs(2), "{waits:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_secret_ends_and_the_new_one_is_known() {
    let (server, _sidecar, mut client) = scene().await;
    let (token, old) = token(&server, "replaced").await;
    assert_eq!(told(&mut client, &old).await, Told::Active);
    let new = server.operator().await.regenerate(&token.id, "*").await.unwrap();
    let revision = new.token.unwrap().revision;
    let ask = |secret: &str| v1::IntrospectTokenRequest {
        token: secret.to_owned(),
        min_revision: revision,
        ..Default::default()
    };
    // Whoever names the revision never sees what was before, not even at once.
    let answer = client.tokens.introspect_token(ask(&old)).await;
    assert_eq!(
        Told::from(answer.map(tonic::Response::into_inner)),
        Told::Inactive(InactiveReason::Superseded)
    );
    assert_eq!(told(&mut client, &new.secret).await, Told::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_strongly_sees_a_revocation_at_another_server_at_once() {
    let (here, there) = Server::two_with(&["--doorbell", "false"]).await;
    let mut operator = here.operator().await;
    operator.create_workspace("acme").await;
    let sidecar = Sidecar::beside(&[&there]).await;
    let mut client = sidecar.client().await;
    for number in 0..10 {
        let (token, secret) = token(&here, &format!("strong {number}")).await;
        assert_eq!(told(&mut client, &secret).await, Told::Active);
        operator.revoke(&token.id).await.unwrap();
        let ask = v1::IntrospectTokenRequest { token: secret, strong: true, ..Default::default() };
        let answer = client.tokens.introspect_token(ask).await;
        assert_eq!(
            Told::from(answer.map(tonic::Response::into_inner)),
            Told::Inactive(InactiveReason::Revoked)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_ends_on_time_without_a_word_from_the_server() {
    let (server, _sidecar, mut client) = scene().await;
    let lifetime = Duration::from_secs(2);
    let request = v1::CreateTokenRequest {
        workspace: "acme".to_owned(),
        name: "short-lived".to_owned(),
        expiration: Some(v1::create_token_request::Expiration::Lifetime(lifetime.try_into().unwrap())),
        ..Default::default()
    };
    let before = Instant::now();
    let secret = server.operator().await.tokens.create_token(request).await.unwrap().into_inner().secret;
    let after = Instant::now();
    while told(&mut client, &secret).await == Told::Active {
        assert!(after.elapsed() < lifetime + Duration::from_millis(200), "it has not ended");
    }
    assert!(before.elapsed() + Duration::from_millis(100) > lifetime, "it has ended before its time");
    assert_eq!(told(&mut client, &secret).await, Told::Inactive(InactiveReason::Expired));
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_tokens_never_reach_the_server() {
    let (server, sidecar, mut client) = scene().await;
    let (_, secret) = token(&server, "model").await;
    let before = server.metric("tokenkeep_argon2_runs_total{purpose=\"verify\"}").await;
    let forged = forge(&secret);
    for _ in 0..20 {
        assert_eq!(told(&mut client, &forged).await, Told::Inactive(InactiveReason::Forged));
    }
    assert_eq!(told(&mut client, "tk_nonsense").await, Told::Inactive(InactiveReason::Malformed));
    // The first request that does reach it is the only one.
    assert_eq!(told(&mut client, &secret).await, Told::Active);
    eventually("the one request is counted", || async { resolved_by(&server).await > 0.0 }).await;
    assert_eq!(resolved_by(&server).await, 1.0);
    assert_eq!(server.metric("tokenkeep_argon2_runs_total{purpose=\"verify\"}").await, before + 1.0);
    assert_eq!(sidecar.answers("tag").await, 21.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_answered_in_order_and_asks_only_about_what_is_not_known() {
    let (server, sidecar, mut client) = scene().await;
    let (_, known) = token(&server, "known").await;
    let (dead, ended) = token(&server, "ended").await;
    let (_, fresh) = token(&server, "fresh").await;
    server.operator().await.revoke_everywhere(&dead.id).await;
    assert_eq!(told(&mut client, &known).await, Told::Active);
    let asks = [known.as_str(), "nonsense", &ended, &fresh, ""];
    let requests =
        asks.map(|token| v1::IntrospectTokenRequest { token: token.to_owned(), ..Default::default() });
    let request = v1::BatchIntrospectTokensRequest { requests: requests.into() };
    let outcomes = client.tokens.batch_introspect_tokens(request).await.unwrap().into_inner().outcomes;
    use v1::introspection_outcome::Outcome;
    let told: Vec<String> = outcomes
        .into_iter()
        .map(|outcome| match outcome.outcome.unwrap() {
            Outcome::Answer(answer) if answer.active => answer.name,
            Outcome::Answer(answer) => answer.inactive_reason().as_str_name().to_owned(),
            Outcome::Failure(failure) => failure.reason().as_str_name().to_owned(),
        })
        .collect();
    let expected = [
        "known",
        "INACTIVE_REASON_MALFORMED",
        "INACTIVE_REASON_REVOKED",
        "fresh",
        "ERROR_REASON_INVALID_FIELD",
    ];
    assert_eq!(told, expected);
    assert_eq!(sidecar.calls("resolve").await, 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn uses_that_only_the_sidecar_saw_are_told_to_the_server() {
    let server = Server::start_with(crate::harness::Database::fresh().await, |command| {
        command.args(["--last-use-interval", "100ms"])
    })
    .await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    let (_, credential) = operator.create_token("tokenkeep", "sidecar", &SCOPES).await;
    let sidecar =
        Sidecar::start(&[&server], &credential, |command| command.args(["--last-use-interval", "100ms"]))
            .await;
    let (token, secret) = token(&server, "used").await;
    let mut client = sidecar.client().await;
    sidecar.holds_a_lease().await;
    assert_eq!(told(&mut client, &secret).await, Told::Active);
    let last_use = async || {
        let found = server.operator().await.get_token(&token.id).await.unwrap();
        found.last_use_time.map(|time| time.seconds)
    };
    eventually("the first use is known", || async { last_use().await.is_some() }).await;
    let first = last_use().await.unwrap();
    eventually("the one request is counted", || async { resolved_by(&server).await == 1.0 }).await;
    eventually("a use from the cache is known", || {
        let mut client = client.clone();
        let secret = secret.clone();
        let last_use = &last_use;
        async move {
            assert_eq!(told(&mut client, &secret).await, Told::Active);
            // Long after the server itself has judged it.
            last_use().await.unwrap() > first + 1
        }
    })
    .await;
    assert_eq!(resolved_by(&server).await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_socket_is_its_owners_unless_a_mode_says_else_and_only_introspections_are_served() {
    let (server, sidecar, _) = scene().await;
    let mode = |sidecar: &Sidecar| std::fs::metadata(sidecar.socket()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&sidecar), 0o600);
    let (_, secret) = token(&server, "over a socket").await;
    let mut client = Client::connect_unix(&sidecar.socket()).await;
    assert_eq!(told(&mut client, &secret).await, Told::Active);
    for service in ["", "tokenkeep.v1.TokenService"] {
        eventually("it serves", || {
            let mut client = client.clone();
            async move { client.health(service).await.unwrap() }
        })
        .await;
    }
    assert_eq!(http_get(sidecar.operations, "/healthz").await.0, 200);
    let status = client.get_token("").await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    let address = format!("unix:{}", sidecar.socket().display());
    let asked = tokenkeep("healthcheck").args(["--address", &address]).status().unwrap();
    assert!(asked.success());

    let (_, credential) = server.operator().await.create_token("tokenkeep", "other", &SCOPES).await;
    let shared =
        Sidecar::start(&[&server], &credential, |command| command.args(["--socket-mode", "0660"])).await;
    assert_eq!(mode(&shared), 0o660);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_that_leaves_is_not_waited_for() {
    let (server, mut sidecar, mut client) = scene().await;
    let (token, secret) = token(&server, "left").await;
    assert_eq!(told(&mut client, &secret).await, Told::Active);
    sidecar.signal("TERM");
    let begun = Instant::now();
    while sidecar.process.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(5), "it has not ended: {}", sidecar.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let begun = Instant::now();
    server.operator().await.revoke_everywhere(&token.id).await;
    assert!(begun.elapsed() < Duration::from_secs(1), "the lease was waited for: {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_wrong_is_refused_as_the_server_would() {
    let (_server, _sidecar, mut client) = scene().await;
    let status = client.introspect("").await.unwrap_err();
    assert_eq!(refusal(&status).fields, ["token"]);
    let request = v1::BatchIntrospectTokensRequest::default();
    let status = client.tokens.batch_introspect_tokens(request).await.unwrap_err();
    assert_eq!(refusal(&status).fields, ["requests"]);
}
