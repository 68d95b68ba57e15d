//! The promises of the API, kept by a real server process on a real PostgreSQL, as its clients see them.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::float_cmp,
    clippy::items_after_statements,
    clippy::indexing_slicing,
    clippy::assigning_clones,
    unreachable_pub,
    reason = "a test that fails should say where, and reads better than it runs"
)]

mod audit;
mod bad_requests;
mod batch;
mod bulk_races;
mod bulk_revocation;
mod cached;
mod cached_undecided;
mod calls;
mod clients;
mod command_line;
mod crash;
mod deposed;
mod dev;
mod doors;
mod edge;
mod edge_callers;
mod edge_outage;
mod edge_rules;
mod finding;
mod fleet;
mod fleet_waits;
mod grants;
mod group_commit;
mod group_creation;
mod harness;
mod keyring;
mod keyring_audit;
mod ledger;
mod life;
mod limits;
mod load;
mod mutations;
mod outage;
mod principal_ends;
mod principals;
mod process;
mod profiles;
mod races;
mod reading;
mod refusals;
mod request_keys;
mod retries;
mod revoke_secret;
mod right_requests;
mod rights;
mod roles;
mod rotation;
mod rotation_ends;
mod scanner;
mod secrets;
mod sidecar;
mod sidecar_credentials;
mod sidecar_failures;
mod sidecar_service;
mod sidecar_silence;
mod sidecar_without_lease;
mod sidecars;
mod suspension;
mod tls;
mod unconfirmed;
mod uses;
mod watch;
mod watch_ends;
mod watch_progress;
mod watchers;
mod where_used;
mod workspace_invalidation;
mod wrong_changes;
mod wrong_tokens;

#[path = "../histories/proxy.rs"]
#[expect(dead_code, reason = "histories do more to links")]
mod proxy;
