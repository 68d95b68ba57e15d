//! The gRPC services of a server and the layers every request passes.

use std::convert::Infallible;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tower::{Layer as _, Service, ServiceExt};

use super::health::Health;
use super::process::ProcessError;
use crate::metrics::Metrics;
use crate::proto::envoy::service::auth::v3::authorization_server::AuthorizationServer;
use crate::proto::v1::audit_service_server::AuditServiceServer;
use crate::proto::v1::principal_service_server::PrincipalServiceServer;
use crate::proto::v1::sidecar_service_server::SidecarServiceServer;
use crate::proto::v1::workspace_service_server::WorkspaceServiceServer;
use crate::proto::{DESCRIPTOR_SET, ENVOY_DESCRIPTOR_SET};
use crate::rpc::{
    AuditRpc, CheckRpc, Desk, Direct, DirectCalls, Edge, PrincipalRpc, SidecarRpc, TokenRoute, TokenRpc,
    WorkspaceRpc, status,
};
use crate::server::connection::GrpcService;
use crate::server::deadline::{DeadlineRules, Deadlines};
use crate::server::in_flight::{InFlight, Reserve};
use crate::server::serving::ServingOptions;
use crate::service::Error;
use crate::text::Invalid;

/// The largest request: a token with all its fields at their limits, in the longest characters, fits.
pub(super) const LARGEST_REQUEST: usize = 64 * 1024;

/// The largest question of Envoy's: it tells all headers of a client's request, of which it takes 60 KiB unless told
/// otherwise, and the start of a body if it is told to.
const LARGEST_CHECK: usize = 1024 * 1024;

/// The largest answer: a full page stays well below.
pub(super) const LARGEST_ANSWER: usize = 4 * 1024 * 1024;

/// The most renewals and acknowledgements of leases at once. They have places of their own: under a flood of introspections
/// sidecars would otherwise lose their leases and add to it.
const LEASES: usize = 4_096;

/// Puts the services of a server together.
pub(super) fn build(
    desk: &Desk,
    metrics: &Metrics,
    health: &Health,
    reflection: bool,
    serving: &ServingOptions,
) -> Result<impl GrpcService, ProcessError> {
    let tokens = TokenRoute::new(desk, LARGEST_REQUEST, LARGEST_ANSWER);
    let workspaces = WorkspaceServiceServer::new(WorkspaceRpc(desk.clone()))
        .max_decoding_message_size(LARGEST_REQUEST)
        .max_encoding_message_size(LARGEST_ANSWER);
    let principals = PrincipalServiceServer::new(PrincipalRpc(desk.clone()))
        .max_decoding_message_size(LARGEST_REQUEST)
        .max_encoding_message_size(LARGEST_ANSWER);
    let audit = AuditServiceServer::new(AuditRpc(desk.clone()))
        .max_decoding_message_size(LARGEST_REQUEST)
        .max_encoding_message_size(LARGEST_ANSWER);
    let sidecars = SidecarServiceServer::new(SidecarRpc::new(desk.clone(), desk.with_own_places(LEASES)))
        .max_decoding_message_size(LARGEST_REQUEST)
        .max_encoding_message_size(LARGEST_ANSWER);
    let routes = Routes::new(tokens)
        .add_service(workspaces)
        .add_service(principals)
        .add_service(audit)
        .add_service(sidecars);
    let routes = routes.add_service(check(desk.clone()));
    let routes = common(routes, health.reporter(), reflection)?;
    Ok(bounded(directly(TokenRpc(desk.clone()), routes), metrics, serving))
}

/// What Envoy asks.
pub(super) fn check<Decides: Edge>(edge: Decides) -> AuthorizationServer<CheckRpc<Decides>> {
    AuthorizationServer::new(CheckRpc(edge))
        .max_decoding_message_size(LARGEST_CHECK)
        .max_encoding_message_size(LARGEST_ANSWER)
}

/// Lets calls that can be go past the router.
pub(super) fn directly<Calls: DirectCalls>(calls: Calls, routes: Routes) -> Direct<Calls, Routes> {
    Direct::new(calls, routes.prepare(), LARGEST_REQUEST)
}

/// Adds what goes with every API: health, and if wanted reflection.
pub(super) fn common(
    routes: Routes,
    health: HealthReporter,
    reflection: bool,
) -> Result<Routes, tonic_reflection::server::Error> {
    let mut routes = routes.add_service(HealthServer::new(HealthService::from_health_reporter(health)));
    if reflection {
        routes = routes.add_service(reflection_builder().build_v1()?);
        routes = routes.add_service(reflection_builder().build_v1alpha()?);
    }
    Ok(routes)
}

/// The layers that every request passes, from outside in: count, admit, bound the time.
#[must_use]
pub fn bounded<Api>(api: Api, metrics: &Metrics, serving: &ServingOptions) -> impl GrpcService + use<Api>
where
    Api: Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send>,
    Api: Clone + Send + 'static,
{
    let rules = DeadlineRules {
        unary_maximum: serving.limits.unary_deadline,
        is_streaming,
        exceeded: || status::from_error(&Error::DeadlineExceeded),
        malformed: malformed_timeout,
    };
    let bounded = Deadlines::new(api, rules);
    let limit = serving.limits.requests_in_flight;
    let admitted = InFlight::new(bounded, limit, overloaded, Arc::clone(&serving.counters))
        .with_reserve(Reserve { keeps_for: is_of_leases, limit: LEASES });
    let counted = metrics.count_requests().layer(admitted);
    ServiceExt::<Request<Incoming>>::map_response(counted, |response| response.map(Body::new))
}

fn reflection_builder<'bytes>() -> tonic_reflection::server::Builder<'bytes> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(ENVOY_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // What errors carry, so that grpcurl can print it.
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
}

fn overloaded() -> Status {
    status::from_error(&Error::Overloaded)
}

fn malformed_timeout() -> Status {
    status::from_error(&Error::field(
        "grpc-timeout",
        Invalid::Malformed("up to 8 digits and one of H, M, S, m, u, n"),
    ))
}

/// The methods without which sidecars lose their leases.
fn is_of_leases(path: &str) -> bool {
    matches!(
        path,
        "/tokenkeep.v1.SidecarService/RenewLease" | "/tokenkeep.v1.SidecarService/AcknowledgeRevision"
    )
}

/// The methods that answer with a stream.
fn is_streaming(path: &str) -> bool {
    matches!(
        path,
        "/tokenkeep.v1.TokenService/WatchRevocations"
            | "/grpc.health.v1.Health/Watch"
            | "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
            | "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
    )
}
