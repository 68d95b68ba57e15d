//! tokenkeep
pub mod postgres;
