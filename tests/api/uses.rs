//! Uses of tokens: how often and when, exact whatever is lost on the way, and what becomes of a secret that is dead.

use std::time::{Duration, Instant, SystemTime};

use prost_types::FieldMask;
use tokenkeep::proto::v1;
use tokenkeep::proto::v1::{InactiveReason, SupersededUse};

use crate::clients::{Client, refusal};
use crate::harness::{Database, Server, eventually};
use crate::life::forge;
use crate::proxy::{Flow, Link, Target};
use crate::sidecars::{SCOPES, Sidecar, Told, told};

/// How often uses are written and reported here.
const INTERVAL: Duration = Duration::from_millis(200);

const OFTEN: [&str; 2] = ["--last-use-interval", "200ms"];

async fn server() -> (Server, Client) {
    let server = Server::start_with(Database::fresh().await, |command| command.args(OFTEN)).await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    (server, operator)
}

/// A sidecar that asks whoever is at an address, and reports often.
async fn sidecar(server: &Server, address: std::net::SocketAddr) -> Sidecar {
    let (_, credential) = server.operator().await.create_token("tokenkeep", "sidecar", &SCOPES).await;
    let sidecar = Sidecar::of(&format!("http://{address}"), &credential, |command| command.args(OFTEN)).await;
    sidecar.holds_a_lease().await;
    sidecar
}

async fn use_often(client: &mut Client, secret: &str, times: i64) {
    for _ in 0..times {
        assert_eq!(told(client, secret).await, Told::Active);
    }
}

async fn uses(operator: &mut Client, id: &str) -> i64 {
    operator.get_token(id).await.unwrap().use_count
}

async fn counts(operator: &Client, id: &str, expected: i64) {
    eventually(&format!("{expected} uses are on record"), || {
        let (mut operator, id) = (operator.clone(), id.to_owned());
        async move { uses(&mut operator, &id).await >= expected }
    })
    .await;
    assert_eq!(uses(&mut operator.clone(), id).await, expected, "some were counted twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn uses_are_on_record_within_an_interval_and_each_counts() {
    let (server, mut operator) = server().await;
    let (token, secret) = operator.create_token("acme", "used", &[]).await;
    assert_eq!((token.use_count, token.superseded_use_count), (0, 0));
    let begun = Instant::now();
    use_often(&mut operator, &secret, 25).await;
    // Some crossed over, some did not, and those of a batch each count.
    let requests =
        [&secret; 5].map(|token| v1::IntrospectTokenRequest { token: token.clone(), ..Default::default() });
    let batch = v1::BatchIntrospectTokensRequest { requests: requests.into() };
    operator.tokens.batch_introspect_tokens(batch).await.unwrap();
    let used = Instant::now();
    counts(&operator, &token.id, 30).await;
    assert!(used.elapsed() < INTERVAL + Duration::from_secs(3), "{:?} later", used.elapsed());
    let last = operator.get_token(&token.id).await.unwrap().last_use_time.unwrap();
    let ago = SystemTime::now().duration_since(SystemTime::try_from(last).unwrap()).unwrap_or_default();
    assert!(ago < begun.elapsed() + Duration::from_secs(1), "{ago:?} ago");
    assert_eq!(server.metric("tokenkeep_uses_lost_total{reason=\"no_room\"}").await, 0.0);
}

/// A row is written once an interval, however often its token is used.
#[tokio::test(flavor = "multi_thread")]
async fn use_costs_no_write_of_its_own() {
    let slow = ["--last-use-interval", "1h"];
    let server = Server::start_with(Database::fresh().await, |command| command.args(slow)).await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    let (token, secret) = operator.create_token("acme", "used", &[]).await;
    use_often(&mut operator, &secret, 500).await;
    assert_eq!(server.metric("tokenkeep_last_use_flushes_total{result=\"written\"}").await, 0.0);
    let mut server = server;
    server.signal("TERM");
    server.wait(Duration::from_secs(20)).await;
    let database = server.database.connect().await;
    let query = format!("SELECT use_count FROM token_last_uses WHERE token = '{}'", token.id);
    assert_eq!(database.query_one(&query, &[]).await.unwrap().get::<_, i64>(0), 500);
    let reports = "SELECT sequence FROM usage_reports";
    assert_eq!(database.query_one(reports, &[]).await.unwrap().get::<_, i64>(0), 1);
}

/// What a sidecar reports is written, and the answer is lost; it is repeated at the other server, and in the end the one that
/// had written it is killed.
#[tokio::test(flavor = "multi_thread")]
async fn uses_at_two_servers_and_a_sidecar_count_once_though_reports_are_repeated() {
    let (here, there) = Server::two_with(&OFTEN).await;
    let mut operator = there.operator().await;
    operator.create_workspace("acme").await;
    let (token, secret) = operator.create_token("acme", "used", &[]).await;
    let link = Link::to(Target::Tcp(here.address)).await;
    let sidecar = sidecar(&there, link.address).await;
    let mut client = sidecar.client().await;
    let mut servers = [here.operator().await, there.operator().await];
    let targets = [&here, &there].map(|server| Target::Tcp(server.address));
    for round in 1..=4 {
        for server in &mut servers {
            use_often(server, &secret, 10).await;
        }
        sidecar.holds_a_lease().await;
        use_often(&mut client, &secret, 1).await;
        link.set(|weather| weather.down.flow = Flow::Swallowed);
        use_often(&mut client, &secret, 20).await;
        // By then what was used is reported, and the server has answered in vain.
        eventually("the server is lost", || async { sidecar.state("server").await == 0.0 }).await;
        if round == 4 {
            here.signal("KILL");
        }
        link.lead_to(targets[usize::from(round % 2 == 1 || round == 4)].clone());
        link.cut();
        link.clear();
        sidecar.holds_a_lease().await;
        use_often(&mut client, &secret, 1).await;
        counts(&operator, &token.id, 42 * round).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_loses_at_most_what_was_used_since_it_last_wrote() {
    let (server, mut operator) = server().await;
    let (token, secret) = operator.create_token("acme", "used", &[]).await;
    let mut known = 0;
    let begun = Instant::now();
    while begun.elapsed() < 5 * INTERVAL {
        use_often(&mut operator, &secret, 3).await;
        known += 3;
        tokio::time::sleep(INTERVAL / 20).await;
    }
    counts(&operator, &token.id, known).await;
    use_often(&mut operator, &secret, 7).await;
    server.signal("KILL");
    let server = Server::start_with(server.database.clone(), |command| command.args(OFTEN)).await;
    let mut operator = server.operator().await;
    let kept = uses(&mut operator, &token.id).await;
    assert!((known..=known + 7).contains(&kept), "{kept} of {known} and 7");
    use_often(&mut operator, &secret, 1).await;
    counts(&operator, &token.id, kept + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_that_ends_in_order_has_reported_the_latest_uses() {
    let (server, mut operator) = server().await;
    let (token, secret) = operator.create_token("acme", "used", &[]).await;
    let mut sidecar = Sidecar::beside(&[&server]).await;
    use_often(&mut sidecar.client().await, &secret, 9).await;
    assert_eq!(uses(&mut operator, &token.id).await, 0, "not before its time");
    sidecar.signal("TERM");
    let begun = Instant::now();
    while sidecar.process.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(10), "it has not ended: {}", sidecar.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(uses(&mut operator, &token.id).await, 9);
}

/// A token with a new secret, and the old one.
async fn regenerated(operator: &mut Client, workspace: &str) -> (v1::Token, String, String) {
    let (token, old) = operator.create_token(workspace, "rotated", &[]).await;
    let answer = operator.regenerate(&token.id, "*").await.unwrap();
    (answer.token.unwrap(), answer.secret, old)
}

async fn superseded_uses(operator: &Client, id: &str, expected: i64) -> v1::Token {
    eventually(&format!("{expected} superseded uses are on record"), || {
        let (mut operator, id) = (operator.clone(), id.to_owned());
        async move { operator.get_token(&id).await.unwrap().superseded_use_count >= expected }
    })
    .await;
    let token = operator.clone().get_token(id).await.unwrap();
    assert_eq!(token.superseded_use_count, expected);
    token
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_secret_in_use_is_counted_and_shown_and_nothing_more() {
    let (server, mut operator) = server().await;
    let sidecar = sidecar(&server, server.address).await;
    let mut beside = sidecar.client().await;
    let (token, new, old) = regenerated(&mut operator, "acme").await;
    let runs = "tokenkeep_argon2_runs_total{purpose=\"verify\"}";
    use_often(&mut beside, &new, 1).await;
    let before = server.metric(runs).await;
    let superseded = Told::Inactive(InactiveReason::Superseded);
    for client in [&mut operator, &mut beside] {
        for _ in 0..4 {
            assert_eq!(told(client, &old).await, superseded);
        }
        // What nobody issued counts for nothing.
        assert_eq!(told(client, &forge(&old)).await, Told::Inactive(InactiveReason::Forged));
    }
    let shown = superseded_uses(&operator, &token.id, 8).await;
    assert_eq!(server.metric(runs).await, before, "argon2 ran for a dead secret");
    let last = SystemTime::try_from(shown.superseded_use_time.unwrap()).unwrap();
    assert!(last.elapsed().unwrap_or_default() < Duration::from_secs(20), "{last:?}");
    // Of live ones the sidecar alone tells.
    use_often(&mut beside, &new, 3).await;
    counts(&operator, &token.id, 4).await;
    // However long it has been dead.
    age_secrets(&server).await;
    assert_eq!(told(&mut operator, &old).await, superseded);
    let shown = superseded_uses(&operator, &token.id, 9).await;
    assert_eq!((shown.state(), shown.etag), (v1::TokenState::Active, token.etag));
    assert_eq!(told(&mut operator, &new).await, Told::Active);
}

/// Nor one that a caller may not ask about, so that nobody learns or spoils anything of others.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_dead_for_another_reason_or_foreign_is_not_superseded() {
    let (server, mut operator) = server().await;
    operator.create_workspace("other").await;
    let (token, new, old) = regenerated(&mut operator, "acme").await;
    let (_, stranger) = operator.create_token("other", "stranger", &["tokenkeep:introspect"]).await;
    let mut stranger = server.client(&stranger).await;
    for secret in [&old, &new] {
        assert!(matches!(told(&mut stranger, secret).await, Told::Inactive(_)));
    }
    let request = v1::InvalidateWorkspaceTokensRequest { id: "acme".to_owned(), ..Default::default() };
    operator.workspaces.invalidate_workspace_tokens(request).await.unwrap();
    assert_eq!(told(&mut operator, &new).await, Told::Inactive(InactiveReason::Invalidated));
    // The one that tells that all before was written.
    assert_eq!(told(&mut operator, &old).await, Told::Inactive(InactiveReason::Superseded));
    let shown = superseded_uses(&operator, &token.id, 1).await;
    assert_eq!(shown.use_count, 0);
}

/// Eleven minutes pass for every secret.
async fn age_secrets(server: &Server) {
    let aged = "UPDATE tokens SET secret_time = secret_time - interval '11 minutes'";
    server.database.connect().await.batch_execute(aged).await.unwrap();
}

async fn ask(operator: &mut Client, then: SupersededUse, paths: &[&str]) -> v1::Workspace {
    let workspace =
        v1::Workspace { id: "acme".to_owned(), superseded_use: then.into(), ..Default::default() };
    let update_mask = Some(FieldMask { paths: paths.iter().map(ToString::to_string).collect() });
    let request =
        v1::UpdateWorkspaceRequest { workspace: Some(workspace), update_mask, ..Default::default() };
    operator.workspaces.update_workspace(request).await.unwrap().into_inner().workspace.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_becomes_of_a_dead_secret_is_a_setting_of_the_workspace() {
    let (_server, mut operator) = server().await;
    let request = v1::GetWorkspaceRequest { id: "acme".to_owned() };
    let before = operator.workspaces.get_workspace(request).await.unwrap().into_inner().workspace.unwrap();
    assert_eq!(before.superseded_use(), SupersededUse::Count);
    let after = ask(&mut operator, SupersededUse::Revoke, &["superseded_use"]).await;
    assert_eq!((after.superseded_use(), after.name.as_str()), (SupersededUse::Revoke, "acme"));
    assert_ne!(after.etag, before.etag);
    let same = ask(&mut operator, SupersededUse::Revoke, &[]).await;
    assert_eq!(same, after);
    let back = ask(&mut operator, SupersededUse::Unspecified, &["superseded_use"]).await;
    assert_eq!(back.superseded_use(), SupersededUse::Count);
    let workspace = v1::Workspace {
        id: "strict".to_owned(),
        name: "strict".to_owned(),
        superseded_use: SupersededUse::Revoke.into(),
        ..Default::default()
    };
    let request = v1::CreateWorkspaceRequest { workspace: Some(workspace), ..Default::default() };
    let strict = operator.workspaces.create_workspace(request).await.unwrap().into_inner().workspace.unwrap();
    assert_eq!(strict.superseded_use(), SupersededUse::Revoke);
    let unknown = v1::Workspace { id: "acme".to_owned(), superseded_use: 99, ..Default::default() };
    let request = v1::UpdateWorkspaceRequest { workspace: Some(unknown), ..Default::default() };
    let status = operator.workspaces.update_workspace(request).await.unwrap_err();
    assert_eq!(refusal(&status).fields, ["workspace.superseded_use"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_it_is_asked_for_a_secret_that_is_long_dead_revokes_its_token() {
    let (server, mut operator) = server().await;
    ask(&mut operator, SupersededUse::Revoke, &[]).await;
    let sidecar = sidecar(&server, server.address).await;
    let mut beside = sidecar.client().await;
    let (token, new, old) = regenerated(&mut operator, "acme").await;
    let superseded = Told::Inactive(InactiveReason::Superseded);
    assert_eq!(told(&mut beside, &new).await, Told::Active);
    // A race or a retry during a rotation.
    assert_eq!(told(&mut operator, &old).await, superseded);
    let shown = superseded_uses(&operator, &token.id, 1).await;
    age_secrets(&server).await;
    counts(&operator, &token.id, 1).await;
    assert_eq!(shown.state(), v1::TokenState::Active);
    assert_eq!(told(&mut beside, &new).await, Told::Active);
    // Somebody who should not have it.
    assert_eq!(told(&mut beside, &old).await, superseded);
    eventually("the token is revoked", || {
        let mut beside = beside.clone();
        let new = new.clone();
        async move { told(&mut beside, &new).await == Told::Inactive(InactiveReason::Revoked) }
    })
    .await;
    let shown = superseded_uses(&operator, &token.id, 2).await;
    assert_eq!(
        (shown.state(), shown.revoke_reason.as_str()),
        (v1::TokenState::Revoked, "a replaced secret was used")
    );
    let event = format!("SELECT initiator, kind FROM revisions WHERE revision = {}", shown.revision);
    let event = server.database.connect().await.query_one(&event, &[]).await.unwrap();
    assert_eq!((event.get::<_, &str>(0), event.get::<_, &str>(1)), ("tokenkeep", "revoked"));
    // Once, whatever comes after.
    assert_eq!(told(&mut operator, &old).await, superseded);
    assert_eq!(superseded_uses(&operator, &token.id, 3).await.revision, shown.revision);
}

/// The secret that an overlap kept alive has only just died, however long ago it was replaced.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_whose_overlap_has_just_ended_revokes_nothing() {
    let (server, mut operator) = server().await;
    ask(&mut operator, SupersededUse::Revoke, &[]).await;
    let (token, old) = operator.create_token("acme", "rotated", &[]).await;
    let overlap = Some(prost_types::Duration { seconds: 3_600, nanos: 0 });
    let request = v1::RegenerateTokenRequest {
        id: token.id.clone(),
        etag: "*".to_owned(),
        overlap,
        ..Default::default()
    };
    let new = operator.tokens.regenerate_token(request).await.unwrap().into_inner().secret;
    age_secrets(&server).await;
    use_often(&mut operator, &old, 1).await;
    let request = v1::EndOverlapRequest { id: token.id.clone(), ..Default::default() };
    operator.tokens.end_overlap(request).await.unwrap();
    assert_eq!(told(&mut operator, &old).await, Told::Inactive(InactiveReason::Superseded));
    assert_eq!(superseded_uses(&operator, &token.id, 1).await.state(), v1::TokenState::Active);
    // Whoever counted it has judged it by the next write.
    use_often(&mut operator, &new, 1).await;
    counts(&operator, &token.id, 2).await;
    assert_eq!(operator.get_token(&token.id).await.unwrap().state(), v1::TokenState::Active);
}
