//! The wire: parses requests into words of the domain, calls the service, renders its answers.

pub(crate) mod answers;
mod desk;
mod fields;
pub(crate) mod requests;
pub mod status;
mod token_service;
mod watch;
mod workspace_service;

pub use desk::Desk;
pub use token_service::TokenRpc;
pub use workspace_service::WorkspaceRpc;
