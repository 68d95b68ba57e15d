//! The promises of the API, kept by a real server process on a real PostgreSQL, as its clients see them.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp,
    unreachable_pub,
    reason = "a test that fails should say where, and what it counts is whole"
)]

mod bad_requests;
mod calls;
mod clients;
mod harness;
mod life;
mod rights;
mod watch;
mod watch_ends;
mod watchers;
