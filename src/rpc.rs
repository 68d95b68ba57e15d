//! The wire: parses requests into words of the domain, calls the service, renders its answers.

mod answers;
mod desk;
mod fields;
mod outcomes;
mod requests;
mod sidecar_service;
pub mod status;
mod token_service;
mod watch;
mod workspace_service;

pub use desk::Desk;
pub use sidecar_service::SidecarRpc;
pub use token_service::TokenRpc;
pub use workspace_service::WorkspaceRpc;
