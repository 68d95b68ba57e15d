//! tokenkeep

pub mod server;
