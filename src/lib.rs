//! tokenkeep: a gRPC microservice that owns the API tokens of other products.
//!
//! Data flows one way, wire → service → store, and nothing runs back. Below are the words that all of them share.

pub mod hash;
pub mod keyring;
pub mod metrics;
pub mod operations;
pub mod proof;
pub mod proto;
pub mod revocation;
pub mod roles;
pub mod settings;
pub mod telemetry;
pub mod text;
pub mod token;
pub mod workspace;
