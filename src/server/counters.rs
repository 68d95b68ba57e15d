//! What the transport counts, for the metrics to read.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Counts of one server's connections and refusals since it started. Reading is a relaxed load.
#[derive(Debug, Default)]
pub struct ConnectionCounters {
    /// Connections open now, those still in their handshake included.
    pub open: AtomicUsize,
    /// Connections accepted and given to a serving thread.
    pub accepted: AtomicU64,
    /// Connections closed at once because a connection limit was reached.
    pub refused_over_limit: AtomicU64,
    /// TLS handshakes that failed or took too long.
    pub tls_failed: AtomicU64,
    /// Looks at changed certificate files that found them unusable; the old ones stayed in use.
    pub tls_reload_failed: AtomicU64,
    /// Connections closed because the HTTP/2 preface did not arrive in time.
    pub preface_timeout: AtomicU64,
    /// Connections closed because what arrived was not the HTTP/2 preface.
    pub preface_invalid: AtomicU64,
    /// Failures of `accept` itself, such as a process out of file descriptors.
    pub accept_failed: AtomicU64,
    /// Requests being answered now, streams until their headers are sent.
    pub in_flight: AtomicUsize,
    /// The same of those that have places of their own.
    pub reserved_in_flight: AtomicUsize,
    /// Requests refused because too many were in flight.
    pub requests_refused: AtomicU64,
}

/// Adds one to a count.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
