//! The wire: parses requests into words of the domain, calls the service, renders its answers.

mod answers;
mod audit_service;
mod check;
mod desk;
mod fields;
mod forward_auth;
mod outcomes;
mod principal_service;
mod requests;
mod sidecar_service;
pub mod status;
mod token_service;
mod watch;
mod workspace_service;

pub(crate) use answers::introspection::verdict;
pub use audit_service::AuditRpc;
pub(crate) use check::unknown_profile;
pub use check::{CheckRpc, Edge};
pub use desk::Desk;
pub use forward_auth::ForwardAuth;
pub(crate) use outcomes::fitting;
pub use principal_service::PrincipalRpc;
pub(crate) use requests::introspection::{Batch, introspect_token, introspect_tokens};
pub use sidecar_service::SidecarRpc;
pub use token_service::TokenRpc;
pub use watch::TokenRoute;
pub use workspace_service::WorkspaceRpc;
