//! What the store promises, tried on a real PostgreSQL.

mod harness;
mod keys;
mod lists;
mod migrations;
mod plans;
mod revision_log;
mod samples;
mod sessions;
mod tls;
mod tokens;
mod workspaces;
