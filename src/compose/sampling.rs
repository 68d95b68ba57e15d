//! What the pool and the connections count themselves, read when the metrics are asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cache::Cache;
use crate::clock::BootTime;
use crate::fleet::Fleet;
use crate::metrics::{Metrics, Sampled};
use crate::server::counters::ConnectionCounters;
use crate::store::Store;

pub(super) fn add(metrics: &Metrics, store: Store, counters: Arc<ConnectionCounters>) {
    metrics.sample(Sampled::database_connections(move || {
        let status = store.pool_status();
        let used = status.open.saturating_sub(status.idle);
        [("idle", status.idle), ("used", used), ("awaited", status.waiting), ("limit", status.limit)]
            .map(|(state, count)| (state, i64::try_from(count).unwrap_or(i64::MAX)))
            .to_vec()
    }));
    add_connections(metrics, counters);
}

/// Of the connections alone.
pub(super) fn add_connections(metrics: &Metrics, counters: Arc<ConnectionCounters>) {
    let open = Arc::clone(&counters);
    metrics.sample(Sampled::connections(move || {
        vec![("open", i64::try_from(open.open.load(Ordering::Relaxed)).unwrap_or(i64::MAX))]
    }));
    metrics.sample(Sampled::connection_events(move || {
        let total = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        vec![
            ("accepted", total(&counters.accepted)),
            ("refused_over_limit", total(&counters.refused_over_limit)),
            ("tls_failed", total(&counters.tls_failed)),
            ("preface_timeout", total(&counters.preface_timeout)),
            ("preface_invalid", total(&counters.preface_invalid)),
            ("tls_reload_failed", total(&counters.tls_reload_failed)),
            ("accept_failed", total(&counters.accept_failed)),
            ("request_refused", total(&counters.requests_refused)),
        ]
    }));
}

/// Which leases are held: by this server, and by the sidecars that it granted one.
pub(super) fn add_leases(metrics: &Metrics, cache: Arc<Cache>, fleet: Fleet) {
    metrics.sample(Sampled::leases(move || {
        let held = cache.standing(BootTime::now()).is_some();
        let granted = i64::try_from(fleet.granted()).unwrap_or(i64::MAX);
        vec![("server", i64::from(held)), ("sidecars", granted)]
    }));
}
