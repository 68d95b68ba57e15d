//! The wire: parses requests into words of the domain, calls the service, renders its answers.

mod answers;
mod audit_service;
mod check;
mod desk;
mod direct;
mod fields;
mod forward_auth;
mod introspecting;
mod outcomes;
mod principal_service;
mod requests;
mod sidecar_service;
pub mod status;
mod token_service;
mod watch;
mod workspace_service;

pub use audit_service::AuditRpc;
pub(crate) use check::unknown_profile;
pub use check::{CheckRpc, Edge};
pub use desk::Desk;
pub(crate) use direct::decoded;
pub use direct::{Direct, DirectCalls, Encoded};
pub use forward_auth::ForwardAuth;
pub use introspecting::Introspecting;
pub use principal_service::PrincipalRpc;
pub use sidecar_service::SidecarRpc;
pub use token_service::TokenRpc;
pub use watch::TokenRoute;
pub use workspace_service::WorkspaceRpc;

/// The words of introspections, for whoever else answers them.
pub(crate) mod introspection {
    pub(crate) use super::answers::encoded;
    pub(crate) use super::answers::introspection::{batch, judged, verdict};
    pub(crate) use super::requests::introspection::{introspect_token, introspect_tokens};
}
