//! tokenkeep: a gRPC microservice that owns the API tokens of other products.
//!
//! Data flows one way, wire → service → store, and nothing runs back; ARCHITECTURE.md is the map.

pub mod audit;
pub mod cache;
pub mod cli;
pub mod clock;
pub mod compose;
pub mod crossing;
pub mod defect;
pub mod edge;
pub mod feed;
pub mod fleet;
pub mod hash;
pub mod introspection;
pub mod keyring;
pub mod lease;
pub mod metrics;
pub mod nearest;
pub mod operations;
pub mod peer;
pub mod postgres;
pub mod principal;
pub mod private_file;
pub mod profile;
pub mod proof;
pub mod proto;
pub mod request;
pub mod revocation;
pub mod roles;
pub mod rpc;
pub mod server;
pub mod service;
pub mod settings;
pub mod sidecar;
pub mod store;
pub mod telemetry;
pub mod text;
pub mod token;
pub mod upstream;
pub mod uses;
pub mod workspace;

/// The version of this crate.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
