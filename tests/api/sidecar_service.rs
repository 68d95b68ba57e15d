//! What caches beside callers live on: leases, records and last uses, as a sidecar sees them.

use std::time::{Duration, Instant, SystemTime};

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::token_resolution::Resolution;
use tonic::{Code, Status};

use crate::clients::{Client, refusal, refused};
use crate::harness::Server;
use crate::life::forge;

const SIDECAR: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
const ELSEWHERE: &str = "01890a5d-ac96-774b-bcce-b302099a8058";

/// A sidecar of one workspace, and the operator.
async fn scene(server: &Server) -> (Client, Client) {
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    operator.create_workspace("other").await;
    let scopes = ["tokenkeep:sidecar", "tokenkeep:introspect:reason"];
    let (_, secret) = operator.create_token("acme", "sidecar", &scopes).await;
    (operator, server.client(&secret).await)
}

async fn renew(client: &mut Client) -> v1::RenewLeaseResponse {
    let request = v1::RenewLeaseRequest { sidecar_id: SIDECAR.to_owned(), ..Default::default() };
    client.sidecars.renew_lease(request).await.unwrap().into_inner()
}

async fn acknowledge(client: &mut Client, history: &str, applied_revision: i64) -> Result<(), Status> {
    let (sidecar_id, history) = (SIDECAR.to_owned(), history.to_owned());
    let request = v1::AcknowledgeRevisionRequest { sidecar_id, history, applied_revision, released: false };
    client.sidecars.acknowledge_revision(request).await.map(drop)
}

/// Asks for tokens, as of a revision of the present history.
async fn resolve(client: &mut Client, tokens: &[&str], min_revision: i64) -> Result<Vec<Resolution>, Status> {
    let (tokens, history) = (tokens.iter().map(ToString::to_string).collect(), renew(client).await.history);
    let request = v1::ResolveTokensRequest { tokens, history, min_revision, strong: false };
    Ok(resolutions(client.sidecars.resolve_tokens(request).await?.into_inner().resolutions))
}

async fn revalidate(client: &mut Client, tokens: &[(&str, i32)]) -> Vec<Resolution> {
    let history = renew(client).await.history;
    let tokens = tokens.iter().map(|(id, generation)| {
        let (token_id, generation) = ((*id).to_owned(), *generation);
        v1::TokenGeneration { token_id, generation }
    });
    let request = v1::RevalidateTokensRequest { tokens: tokens.collect(), history, min_revision: 0 };
    resolutions(client.sidecars.revalidate_tokens(request).await.unwrap().into_inner().resolutions)
}

fn resolutions(found: Vec<v1::TokenResolution>) -> Vec<Resolution> {
    found.into_iter().map(|found| found.resolution.unwrap()).collect()
}

fn record(resolution: &Resolution) -> &v1::TokenRecord {
    let Resolution::Record(record) = resolution else { panic!("{resolution:?}") };
    record
}

fn inactive(reason: v1::InactiveReason) -> Resolution {
    Resolution::Inactive(reason.into())
}

fn seconds(duration: prost_types::Duration) -> f64 {
    Duration::try_from(duration).unwrap().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_tells_how_long_it_lasts_what_it_needs_and_how_forged_tokens_are_told() {
    let server = Server::start_with(crate::harness::Database::fresh().await, |command| {
        command.args(["--lease", "2s"])
    })
    .await;
    let (mut operator, mut sidecar) = scene(&server).await;
    let (token, _) = operator.create_token("acme", "doomed", &[]).await;
    let revision = operator.revoke(&token.id).await.unwrap().revision;
    let lease = renew(&mut sidecar).await;
    assert_eq!((seconds(lease.lease_length.unwrap()), lease.revision), (2.0, revision));
    assert_eq!(lease.history.len(), 36);
    assert_eq!(lease.tag_keys.len(), 1);
    assert_eq!((lease.tag_keys[0].kid.as_str(), lease.tag_keys[0].key.len()), ("01", 64));
    assert_eq!(server.metric("tokenkeep_leases{holder=\"sidecars\"}").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_holder_of_a_lease_acknowledges_and_only_in_the_present_history() {
    let server = Server::start().await;
    let (mut operator, mut sidecar) = scene(&server).await;
    let history = renew(&mut sidecar).await.history;
    acknowledge(&mut sidecar, &history, 0).await.unwrap();
    let unknown = refused(Code::FailedPrecondition, "LEASE_UNKNOWN");
    let foreign = refused(Code::FailedPrecondition, "HISTORY_FOREIGN");
    // The operator may do everything, but this lease is not its own.
    assert_eq!(refusal(&acknowledge(&mut operator, &history, 0).await.unwrap_err()), unknown);
    assert_eq!(refusal(&acknowledge(&mut sidecar, ELSEWHERE, 0).await.unwrap_err()), foreign);
    let released = v1::AcknowledgeRevisionRequest {
        sidecar_id: SIDECAR.to_owned(),
        history: history.clone(),
        applied_revision: 0,
        released: true,
    };
    sidecar.sidecars.acknowledge_revision(released).await.unwrap();
    assert_eq!(refusal(&acknowledge(&mut sidecar, &history, 0).await.unwrap_err()), unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fleet_waits_for_a_sidecar_until_it_acknowledges_or_its_lease_runs_out() {
    let server = Server::start().await;
    let (mut operator, mut sidecar) = scene(&server).await;
    let history = renew(&mut sidecar).await.history;
    let mut revoke = async || {
        let (token, _) = operator.create_token("acme", "doomed", &[]).await;
        let wait = v1::RevocationWait::Fleet.into();
        let request = v1::RevokeTokenRequest { id: token.id, wait, ..Default::default() };
        let begun = Instant::now();
        assert!(operator.tokens.revoke_token(request).await.unwrap().into_inner().fleet_confirmed);
        begun.elapsed()
    };
    assert!(revoke().await > Duration::from_secs(1), "nobody acknowledged");
    let applied = renew(&mut sidecar).await.revision;
    acknowledge(&mut sidecar, &history, applied + 1).await.unwrap();
    assert!(revoke().await < Duration::from_secs(1), "everybody has acknowledged already");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolved_token_is_a_record_to_answer_from() {
    let server = Server::start().await;
    let (mut operator, mut sidecar) = scene(&server).await;
    operator.create_principal("acme", "mia", &["*"]).await;
    let lifetime = prost_types::Duration { seconds: 3_600, nanos: 0 };
    let request = v1::CreateTokenRequest {
        workspace: "acme".to_owned(),
        name: "reader".to_owned(),
        principal: "mia".to_owned(),
        scopes: vec!["articles:*".to_owned()],
        metadata: [("team".to_owned(), "red".to_owned())].into(),
        expiration: Some(v1::create_token_request::Expiration::Lifetime(lifetime)),
        ..Default::default()
    };
    let created = operator.tokens.create_token(request).await.unwrap().into_inner();
    let (token, secret) = (created.token.unwrap(), created.secret);
    // From the database first, then from the cache.
    for _ in 0..3 {
        let found = resolve(&mut sidecar, &[&secret], 0).await.unwrap();
        let record = record(&found[0]);
        let left = seconds(record.expires_in.unwrap());
        assert!((3_590.0..=3_600.0).contains(&left), "{left}");
        let expected = v1::TokenRecord {
            token_id: token.id.clone(),
            workspace: "acme".to_owned(),
            name: "reader".to_owned(),
            principal: "mia".to_owned(),
            scopes: vec!["articles:*".to_owned()],
            metadata: token.metadata.clone(),
            create_time: token.create_time,
            expire_time: token.expire_time,
            expires_in: record.expires_in,
            generation: 1,
            revision: 0,
            r#type: v1::TokenType::Custom.into(),
            username: "mia".to_owned(),
            ..Default::default()
        };
        assert_eq!(*record, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_live_is_resolved_to_the_reason_for_those_who_may_know_it() {
    let server = Server::start().await;
    let (mut operator, mut sidecar) = scene(&server).await;
    let (_, live) = operator.create_token("acme", "live", &[]).await;
    let (dead, revoked) = operator.create_token("acme", "dead", &[]).await;
    let revision = operator.revoke(&dead.id).await.unwrap().revision;
    let (_, foreign) = operator.create_token("other", "foreign", &[]).await;
    let forged = forge(&live);
    let asked = [revoked.as_str(), "nonsense", &forged, &live, &foreign];
    let found = resolve(&mut sidecar, &asked, revision).await.unwrap();
    assert_eq!(record(&found[3]).name, "live");
    use v1::InactiveReason::{Forged, Malformed, Revoked, Unknown};
    assert_eq!(found[..3], [Revoked, Malformed, Forged].map(inactive));
    assert_eq!(found[4], inactive(Unknown));
    let (_, secret) = operator.create_token("acme", "ignorant", &["tokenkeep:sidecar"]).await;
    let found = resolve(&mut server.client(&secret).await, &asked[..1], 0).await.unwrap();
    assert_eq!(found, [inactive(v1::InactiveReason::Unspecified)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_resolved_from_another_history_nor_from_before_what_the_sidecar_has_applied() {
    let (here, there) = Server::two_with(&["--doorbell", "false"]).await;
    let (mut operator, _) = scene(&here).await;
    let (token, secret) = operator.create_token("acme", "doomed", &[]).await;
    let mut elsewhere = there.operator().await;
    for _ in 0..3 {
        record(&resolve(&mut elsewhere, &[&secret], 0).await.unwrap()[0]);
    }
    let revision = operator.revoke(&token.id).await.unwrap().revision;
    let found = resolve(&mut elsewhere, &[&secret], revision).await.unwrap();
    assert_eq!(found, [inactive(v1::InactiveReason::Revoked)]);
    for number in 0..5 {
        let (token, secret) = operator.create_token("acme", &format!("doomed {number}"), &[]).await;
        // Whoever follows nothing asks without a history.
        let asked = v1::ResolveTokensRequest { tokens: vec![secret], ..Default::default() };
        let found = elsewhere.sidecars.resolve_tokens(asked.clone()).await.unwrap().into_inner();
        record(&resolutions(found.resolutions)[0]);
        operator.revoke(&token.id).await.unwrap();
        let asked = v1::ResolveTokensRequest { strong: true, ..asked };
        let found = elsewhere.sidecars.resolve_tokens(asked).await.unwrap().into_inner();
        assert_eq!(resolutions(found.resolutions), [inactive(v1::InactiveReason::Revoked)]);
    }
    let revision = revision + 5;

    let status = resolve(&mut elsewhere, &[&secret], revision + 1).await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::Unavailable, "REVISION_NOT_REACHED"));
    let foreign = refused(Code::FailedPrecondition, "HISTORY_FOREIGN");
    let (tokens, history) = (vec![secret], ELSEWHERE.to_owned());
    let request = v1::ResolveTokensRequest { tokens, history: history.clone(), ..Default::default() };
    assert_eq!(refusal(&elsewhere.sidecars.resolve_tokens(request).await.unwrap_err()), foreign);
    let tokens = vec![v1::TokenGeneration { token_id: token.id, generation: 1 }];
    let request = v1::RevalidateTokensRequest { tokens, history, min_revision: 0 };
    assert_eq!(refusal(&elsewhere.sidecars.revalidate_tokens(request).await.unwrap_err()), foreign);
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_are_told_neither_from_another_history_nor_from_before_what_the_sidecar_has_applied() {
    let server = Server::start().await;
    let (_, mut sidecar) = scene(&server).await;
    let (history, head) = (renew(&mut sidecar).await.history, server.database.head().await);
    let mut ask = async |history: &str, min_revision| {
        let request = v1::GetProfilesRequest { history: history.to_owned(), min_revision };
        let answer = sidecar.sidecars.get_profiles(request).await;
        answer.map(|answer| answer.into_inner().documents.len()).map_err(|status| refusal(&status))
    };
    // Whoever follows nothing asks without a history.
    for followed in [history.as_str(), ""] {
        assert_eq!(ask(followed, head).await, Ok(5));
        let not_reached = refused(Code::Unavailable, "REVISION_NOT_REACHED");
        assert_eq!(ask(followed, head + 1).await, Err(not_reached));
    }
    let foreign = refused(Code::FailedPrecondition, "HISTORY_FOREIGN");
    assert_eq!(ask(ELSEWHERE, 0).await, Err(foreign));
    let wrong = ask("h", -1).await.unwrap_err();
    assert_eq!((wrong.code, wrong.fields.len()), (Code::InvalidArgument, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_revalidated_by_generation_without_argon2() {
    let server = Server::start().await;
    let (mut operator, mut sidecar) = scene(&server).await;
    let (live, _) = operator.create_token("acme", "live", &[]).await;
    let (regenerated, _) = operator.create_token("acme", "regenerated", &[]).await;
    operator.regenerate(&regenerated.id, "*").await.unwrap();
    let revision = server.database.head().await;
    let (dead, _) = operator.create_token("acme", "dead", &[]).await;
    operator.revoke(&dead.id).await.unwrap();
    let (foreign, _) = operator.create_token("other", "foreign", &[]).await;
    renew(&mut sidecar).await;
    let runs = "tokenkeep_argon2_runs_total{purpose=\"verify\"}";
    let before = server.metric(runs).await;
    let regenerated = regenerated.id.as_str();
    let asked =
        [(regenerated, 1), (&dead.id, 1), (&foreign.id, 1), (SIDECAR, 1), (regenerated, 2), (&live.id, 1)];
    let found = revalidate(&mut sidecar, &asked).await;
    use v1::InactiveReason::{Revoked, Superseded, Unknown};
    assert_eq!(found[..4], [Superseded, Revoked, Unknown, Unknown].map(inactive));
    assert_eq!((record(&found[4]).generation, record(&found[4]).revision), (2, revision));
    assert_eq!(record(&found[5]).name, "live");
    assert_eq!(server.metric(runs).await, before);
    // It is no use of the token.
    server.signal("TERM");
    assert_eq!(
        server
            .database
            .connect()
            .await
            .query("SELECT FROM token_last_uses JOIN tokens ON id = token WHERE name = 'live' AND last_use_time IS NOT NULL", &[])
            .await
            .unwrap()
            .len(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reported_use_is_the_last_if_it_is_the_latest_and_the_caller_acts_on_the_token() {
    let server = Server::start().await;
    let (mut operator, mut sidecar) = scene(&server).await;
    let (used, _) = operator.create_token("acme", "used", &[]).await;
    let (foreign, _) = operator.create_token("other", "foreign", &[]).await;
    let report = |sequence: i64, age: i64| v1::ReportUsageRequest {
        uses: [used.id.as_str(), &foreign.id, SIDECAR]
            .map(|id| {
                let age = Some(prost_types::Duration { seconds: age, nanos: 0 });
                v1::TokenUse { token_id: id.to_owned(), age, generation: 1, count: 2 }
            })
            .to_vec(),
        sidecar_id: SIDECAR.to_owned(),
        sequence,
    };
    let now = SystemTime::now();
    // The second is repeated, and the first comes late.
    for (sequence, age) in [(1, 60), (2, 30), (2, 20), (1, 10), (3, 90)] {
        sidecar.sidecars.report_usage(report(sequence, age)).await.unwrap();
    }
    let shown = operator.get_token(&used.id).await.unwrap();
    assert_eq!(shown.use_count, 6);
    let last = shown.last_use_time.unwrap();
    let ago = now.duration_since(SystemTime::try_from(last).unwrap()).unwrap().as_secs_f64();
    assert!((20.0..=31.0).contains(&ago), "{ago} s ago");
    assert_eq!(operator.get_token(&foreign.id).await.unwrap().last_use_time, None);
    operator.sidecars.report_usage(report(4, 10)).await.unwrap();
    assert_eq!(operator.get_token(&foreign.id).await.unwrap().use_count, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_sidecars_are_told_what_is_wrong_with_them() {
    let server = Server::start().await;
    let (_, mut sidecar) = scene(&server).await;
    let history = renew(&mut sidecar).await.history;
    let fields = |status: Status| refusal(&status).fields;
    let renewal = v1::RenewLeaseRequest { history: "h".to_owned(), ..Default::default() };
    let status = sidecar.sidecars.renew_lease(renewal).await.unwrap_err();
    assert_eq!(fields(status), ["sidecar_id", "history"]);
    let status = acknowledge(&mut sidecar, "", -1).await.unwrap_err();
    assert_eq!(fields(status), ["history", "applied_revision"]);
    for count in [0, 257] {
        let (tokens, history) = (vec!["t".to_owned(); count], history.clone());
        let request = v1::ResolveTokensRequest { tokens, history, min_revision: -1, strong: false };
        let status = sidecar.sidecars.resolve_tokens(request).await.unwrap_err();
        assert_eq!(fields(status), ["min_revision", "tokens"]);
    }
    let tokens = vec![v1::TokenGeneration { token_id: "t".to_owned(), generation: 1 }];
    let request = v1::RevalidateTokensRequest { tokens, history, min_revision: 0 };
    let status = sidecar.sidecars.revalidate_tokens(request).await.unwrap_err();
    assert_eq!(fields(status), ["tokens[0].token_id"]);
    reports_are_told_what_is_wrong_with_them(&mut sidecar).await;
}

async fn reports_are_told_what_is_wrong_with_them(sidecar: &mut Client) {
    let right = v1::TokenUse { token_id: SIDECAR.to_owned(), generation: 1, count: 1, ..Default::default() };
    let age = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let uses = vec![
        v1::TokenUse { token_id: String::new(), age: age(-1), generation: 0, count: 0 },
        v1::TokenUse { age: age(400_000_000), count: 1_000_000_000_001, ..right.clone() },
        v1::TokenUse { age: age(300_000_000), count: 1_000_000_000_000, ..right.clone() },
    ];
    let request = v1::ReportUsageRequest { uses, sidecar_id: SIDECAR.to_owned(), sequence: 1 };
    let status = sidecar.sidecars.report_usage(request.clone()).await.unwrap_err();
    let expected = ["[0].token_id", "[0].age", "[0].generation", "[0].count", "[1].age", "[1].count"];
    assert_eq!(refusal(&status).fields, expected.map(|field| format!("uses{field}")));
    for count in [0, 1_001] {
        let request = v1::ReportUsageRequest { uses: vec![right.clone(); count], ..Default::default() };
        let status = sidecar.sidecars.report_usage(request).await.unwrap_err();
        assert_eq!(refusal(&status).fields, ["sidecar_id", "sequence", "uses"]);
    }
    let request = v1::ReportUsageRequest { uses: vec![right], ..request };
    sidecar.sidecars.report_usage(request).await.unwrap();
}
