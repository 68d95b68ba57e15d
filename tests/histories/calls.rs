//! The calls that clients make, and what an answer or a failure means for the history.

mod life;
mod principals;

use std::net::SocketAddr;
use std::time::Duration;

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::introspection_outcome::Outcome;
use tokenkeep::proto::v1::token_service_client::TokenServiceClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use crate::history::{Answer, Freshness, Reason, Scopes};
use crate::moment::Moment;
pub use life::{end_overlap, resume, revoke_group, suspend};
pub use principals::{Born, Products, change_principal, create_principal, invalidate};

/// How long a client waits for an answer.
pub const PATIENCE: Duration = Duration::from_millis(2_500);

/// The bytes that are taken before they are asked for: what HTTP/2 begins with.
const WINDOW: u32 = 65_535;

/// The scope that versions of scopes differ by.
const VERSION_SCOPE: &str = "version:";

/// The scope that versions of principals differ by.
const HELD_SCOPE: &str = "held:";

/// The scope that requests need, and that not every principal has.
const NEEDED: &str = "needed";

pub type Tokens = TokenServiceClient<InterceptedService<Channel, Credential>>;

/// Puts the credential into every request.
#[derive(Clone)]
pub struct Credential(Option<MetadataValue<Ascii>>);

impl Interceptor for Credential {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(credential) = &self.0 {
            request.metadata_mut().insert("authorization", credential.clone());
        }
        Ok(request)
    }
}

/// A client that connects when it first needs to, and again when it must.
pub fn client(address: SocketAddr, secret: Option<&str>) -> Tokens {
    TokenServiceClient::new(connection(address, secret))
}

fn connection(address: SocketAddr, secret: Option<&str>) -> InterceptedService<Channel, Credential> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    // Little is taken ahead, so that one who is slow is slow for the server too.
    let endpoint = endpoint.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
    let channel = endpoint.connect_timeout(Duration::from_millis(500)).connect_lazy();
    let credential = Credential(secret.map(|secret| format!("Bearer {secret}").parse().unwrap()));
    InterceptedService::new(channel, credential)
}

/// The scopes of a version, within any principal's.
pub fn scopes(version: u32) -> Vec<String> {
    ["base", "held:*", NEEDED]
        .map(str::to_owned)
        .into_iter()
        .chain([format!("{VERSION_SCOPE}{version}")])
        .collect()
}

/// What an answer tells of its scopes; `None` if they are of no shape that they can have.
fn told(scopes: &str) -> Option<Scopes> {
    let part = |name: &str| scopes.split(' ').find_map(|scope| scope.strip_prefix(name));
    let version = part(VERSION_SCOPE).map(str::parse).transpose().ok()?;
    let held = part(HELD_SCOPE).filter(|held| *held != "*").map(str::parse).transpose().ok()?;
    let mut expected =
        vec!["base".to_owned(), held.map_or("held:*".to_owned(), |held: u32| format!("held:{held}"))];
    if let Some(version) = version {
        expected.extend([NEEDED.to_owned(), format!("{VERSION_SCOPE}{version}")]);
    }
    scopes.split(' ').eq(expected).then_some(Scopes { version, held })
}

/// The same, if the decision follows from it.
fn judged(answer: &v1::IntrospectTokenResponse) -> Option<Scopes> {
    let told = told(&answer.scope)?;
    let (decision, missing) = match told.version {
        Some(_) => (v1::Decision::Allow, vec![]),
        None => (v1::Decision::DenyScope, vec![NEEDED.to_owned()]),
    };
    (answer.decision() == decision && answer.missing_scopes == missing).then_some(told)
}

/// Waits for an answer, but not for ever.
pub async fn patiently<T>(
    answer: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, Status> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => answer.map(tonic::Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded("nobody answered")),
    }
}

/// The reason that a server gives for a failure; none if no server gave it.
pub fn reason(status: &Status) -> Option<String> {
    status.get_error_details().error_info().map(|info| info.reason.clone())
}

/// What a failure means: only a server can say that nothing was changed.
pub fn failure(status: &Status) -> Answer {
    match (status.code(), reason(status)) {
        (Code::DeadlineExceeded | Code::Cancelled, _) | (_, None) => Answer::Unknown,
        (_, Some(reason)) if reason == "OUTCOME_UNKNOWN" => Answer::Unknown,
        (Code::Internal, Some(_)) => Answer::Refused("INTERNAL".to_owned()),
        (_, Some(reason)) => Answer::Refused(reason),
    }
}

/// What a token is asked for with.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'w> {
    pub workspace: &'w str,
    /// Its name, which it shares with others.
    pub group: &'w str,
    pub principal: Option<&'w str>,
    pub lifetime: Option<Duration>,
}

pub async fn create(client: &mut Tokens, wanted: Wanted<'_>, request_id: &str) -> (Answer, Option<String>) {
    let request = v1::CreateTokenRequest { request_id: request_id.to_owned(), ..new_token(wanted) };
    match patiently(client.create_token(request)).await {
        Ok(created) => issued(created.token.unwrap(), created.secret),
        Err(status) => (failure(&status), None),
    }
}

fn new_token(wanted: Wanted<'_>) -> v1::CreateTokenRequest {
    let Wanted { workspace, group, principal, lifetime } = wanted;
    let expiration = lifetime.map(|lifetime| {
        let lifetime = prost_types::Duration::try_from(lifetime).unwrap();
        v1::create_token_request::Expiration::Lifetime(lifetime)
    });
    v1::CreateTokenRequest {
        workspace: workspace.to_owned(),
        name: group.to_owned(),
        principal: principal.unwrap_or_default().to_owned(),
        scopes: scopes(0),
        expiration,
        ..Default::default()
    }
}

fn issued(token: v1::Token, secret: String) -> (Answer, Option<String>) {
    let expires = token.expire_time.map(moment);
    (Answer::Created { token: token.id, workspace: token.workspace, expires }, Some(secret))
}

fn moment(time: prost_types::Timestamp) -> Moment {
    Moment::of(std::time::SystemTime::try_from(time).unwrap())
}

fn introspection(secret: &str, freshness: Freshness) -> v1::IntrospectTokenRequest {
    let (token, required_scopes) = (secret.to_owned(), vec![NEEDED.to_owned()]);
    let mut request = v1::IntrospectTokenRequest { token, required_scopes, ..Default::default() };
    match freshness {
        Freshness::Leased => {}
        Freshness::AtLeast(revision) => request.min_revision = revision,
        Freshness::Strong => request.strong = true,
    }
    request
}

pub async fn introspect(client: &mut Tokens, secret: &str, freshness: Freshness) -> Answer {
    match patiently(client.introspect_token(introspection(secret, freshness))).await {
        Ok(answer) => verdict(&answer),
        Err(status) => failure(&status),
    }
}

pub async fn introspect_batch(client: &mut Tokens, secrets: &[String], freshness: Freshness) -> Vec<Answer> {
    let requests = secrets.iter().map(|secret| introspection(secret, freshness)).collect();
    let request = v1::BatchIntrospectTokensRequest { requests };
    match patiently(client.batch_introspect_tokens(request)).await {
        Ok(answer) => answer.outcomes.iter().map(outcome).collect(),
        Err(status) => vec![failure(&status); secrets.len()],
    }
}

fn outcome(outcome: &v1::IntrospectionOutcome) -> Answer {
    match &outcome.outcome {
        Some(Outcome::Answer(answer)) => verdict(answer),
        Some(Outcome::Failure(failure)) => {
            let reason = failure.reason().as_str_name();
            Answer::Refused(reason.trim_start_matches("ERROR_REASON_").to_owned())
        }
        None => Answer::Refused("INTERNAL".to_owned()),
    }
}

fn verdict(answer: &v1::IntrospectTokenResponse) -> Answer {
    if answer.active {
        let (revision, generation) = (answer.revision, answer.generation);
        return Answer::Active { revision, generation, scopes: judged(answer) };
    }
    Answer::Inactive(match answer.inactive_reason() {
        v1::InactiveReason::Unspecified => Reason::Untold,
        v1::InactiveReason::Expired => Reason::Expired,
        v1::InactiveReason::Revoked => Reason::Revoked,
        v1::InactiveReason::Superseded => Reason::Superseded,
        v1::InactiveReason::Malformed
        | v1::InactiveReason::Forged
        | v1::InactiveReason::Unknown
        | v1::InactiveReason::OtherWorkspace
        | v1::InactiveReason::OtherAudience
        | v1::InactiveReason::OtherAddress => Reason::NotOurs,
        v1::InactiveReason::Suspended => Reason::Suspended,
        v1::InactiveReason::Invalidated => Reason::Invalidated,
        v1::InactiveReason::PrincipalDisabled => Reason::PrincipalDisabled,
    })
}

fn changed(token: Option<v1::Token>, confirmed: bool) -> Answer {
    let token = token.unwrap();
    Answer::Changed { revision: token.revision, generation: token.generation, confirmed }
}

fn wait(fleet: bool) -> i32 {
    let wait = if fleet { v1::RevocationWait::Fleet } else { v1::RevocationWait::Commit };
    wait.into()
}

pub async fn revoke(client: &mut Tokens, id: &str, fleet: bool, request_id: &str) -> Answer {
    let (id, request_id) = (id.to_owned(), request_id.to_owned());
    let request = v1::RevokeTokenRequest { id, wait: wait(fleet), request_id, ..Default::default() };
    match patiently(client.revoke_token(request)).await {
        Ok(revoked) => changed(revoked.token, revoked.fleet_confirmed),
        Err(status) => failure(&status),
    }
}

/// Lets the old secret work on for a while, if one is given.
pub async fn regenerate(
    client: &mut Tokens,
    id: &str,
    overlap: Option<Duration>,
    request_id: &str,
) -> (Answer, Option<String>) {
    let request = v1::RegenerateTokenRequest {
        id: id.to_owned(),
        etag: "*".to_owned(),
        overlap: overlap.map(|overlap| prost_types::Duration::try_from(overlap).unwrap()),
        request_id: request_id.to_owned(),
        ..Default::default()
    };
    match patiently(client.regenerate_token(request)).await {
        Ok(answer) => (changed(answer.token, false), Some(answer.secret)),
        Err(status) => (failure(&status), None),
    }
}

pub async fn update(client: &mut Tokens, id: &str, version: u32) -> Answer {
    let token = v1::Token { id: id.to_owned(), scopes: scopes(version), ..Default::default() };
    let mask = prost_types::FieldMask { paths: vec!["scopes".to_owned()] };
    let request =
        v1::UpdateTokenRequest { token: Some(token), update_mask: Some(mask), ..Default::default() };
    match patiently(client.update_token(request)).await {
        Ok(updated) => changed(updated.token, false),
        Err(status) => failure(&status),
    }
}

pub async fn wait_for(client: &mut Tokens, revision: i64) -> Answer {
    match patiently(client.wait_for_revision(v1::WaitForRevisionRequest { revision })).await {
        Ok(answer) => Answer::Awaited { confirmed: answer.fleet_confirmed },
        Err(status) => failure(&status),
    }
}
