//! What the store promises, tried on a real PostgreSQL.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what is not as promised fails the test"
)]

mod bounds;
mod bulk_revocations;
mod doorbell;
mod harness;
mod histories;
mod keys;
mod limits;
mod lists;
mod migrations;
mod overlaps;
mod plans;
mod revision_log;
mod samples;
mod servers;
mod sessions;
mod tls;
mod tokens;
mod uses;
mod various;
mod workspaces;
