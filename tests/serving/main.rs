//! What the serving machinery promises to clients, good and bad, over real sockets.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod connections;
mod deadlines;
mod drain;
mod harness;
mod requests;
mod threads;
mod tls;
mod unix;
