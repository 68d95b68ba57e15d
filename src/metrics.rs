//! What is counted. One value that every part is given a clone of; there are no globals.
//!
//! Labels are bounded: each takes its values from an enum or from the list of the API's methods, never from a caller.

mod labels;
mod process;
mod requests;
mod sampled;
mod watcher;

use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

pub use labels::{
    Argon2Purpose, CallerRejection, FleetWait, FlushResult, HeartbeatResult, IntrospectionResult, WatcherEnd,
};
pub use requests::{CountRequests, CountRequestsLayer};
pub use sampled::Sampled;
pub use watcher::Watcher;

use labels::Label;
use process::Process;
use requests::Requests;

/// A counter for each value of one label, at the value's place: counting takes no lock and no look into a table.
struct CounterBy<L> {
    counters: Vec<Counter>,
    label: PhantomData<fn(L)>,
}

/// A histogram for each value of one label.
type HistogramBy = Family<[(&'static str, &'static str); 1], Histogram, fn() -> Histogram>;

/// The media type of [`Metrics::render`]'s text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All counts of this process. Clones share them.
#[derive(Clone)]
pub struct Metrics {
    counts: Arc<Counts>,
    registry: Arc<Mutex<Registry>>,
}

struct Counts {
    requests: Requests,
    introspections: CounterBy<IntrospectionResult>,
    argon2_runs: CounterBy<Argon2Purpose>,
    argon2_duration: Histogram,
    credential_reads: Counter,
    cached_answers: Counter,
    proof_cache_hits: Counter,
    caller_rejections: CounterBy<CallerRejection>,
    watchers: Gauge,
    events_delivered: Counter,
    watchers_ended: CounterBy<WatcherEnd>,
    log_revision: Gauge,
    database_up: Gauge,
    last_use_flushes: CounterBy<FlushResult>,
    heartbeats: CounterBy<HeartbeatResult>,
    fleet_waits: HistogramBy,
    doorbell_up: Gauge,
}

impl Metrics {
    /// Starts all counts at zero. Requests are counted by method for these paths, such as
    /// `/tokenkeep.v1.TokenService/GetToken`; those of any other path together as `other`.
    #[must_use]
    pub fn new(paths: impl IntoIterator<Item = String>) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Process::started_now()));
        let ours = registry.sub_registry_with_prefix("tokenkeep");
        ours.register(
            "build",
            "The version of the program",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        let counts = Counts::register(ours, paths);
        Self { counts: Arc::new(counts), registry: Arc::new(Mutex::new(registry)) }
    }

    /// Everything, in the OpenMetrics text format.
    ///
    /// # Errors
    /// None that a text in memory could cause.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut rendered = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        text::encode(&mut rendered, &registry)?;
        Ok(rendered)
    }

    /// Adds gauges that are read when they are asked for, so that what they tell of need not know of metrics.
    pub fn sample(&self, sampled: Sampled) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        registry.sub_registry_with_prefix("tokenkeep").register_collector(Box::new(sampled));
    }

    /// A layer that counts requests by method and final status, and how long they took.
    #[must_use]
    pub fn count_requests(&self) -> CountRequestsLayer {
        CountRequestsLayer::new(self.clone())
    }

    /// A token was introspected.
    pub fn introspected(&self, result: IntrospectionResult) {
        count(&self.counts.introspections, result);
    }

    /// argon2id ran, for so long.
    pub fn argon2_ran(&self, purpose: Argon2Purpose, elapsed: Duration) {
        count(&self.counts.argon2_runs, purpose);
        self.counts.argon2_duration.observe(elapsed.as_secs_f64());
    }

    /// So many credentials were looked for in the database. A forged token must not get this far.
    pub fn credentials_were_read(&self, count: usize) {
        self.counts.credential_reads.inc_by(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// A presented token was judged without the database.
    pub fn answer_was_cached(&self) {
        self.counts.cached_answers.inc();
    }

    /// A secret was known to be proved already, and argon2id spared.
    pub fn proof_was_cached(&self) {
        self.counts.proof_cache_hits.inc();
    }

    /// A caller was turned away.
    pub fn caller_rejected(&self, reason: CallerRejection) {
        count(&self.counts.caller_rejections, reason);
    }

    /// A watcher joined; it is counted until what is returned goes.
    pub fn watcher_joined(&self) -> Watcher {
        Watcher::join(self.clone())
    }

    /// This server has read the log up to this revision.
    pub fn log_was_read_to(&self, revision: i64) {
        self.counts.log_revision.set(revision);
    }

    /// The database answers, or has ceased to.
    pub fn database_is_up(&self, up: bool) {
        self.counts.database_up.set(i64::from(up));
    }

    /// Last uses were written to the database, or could not be.
    pub fn last_use_flushed(&self, result: FlushResult) {
        count(&self.counts.last_use_flushes, result);
    }

    /// A heartbeat was tried.
    pub fn heart_has_beaten(&self, result: HeartbeatResult) {
        count(&self.counts.heartbeats, result);
    }

    /// Somebody waited for the whole fleet, for so long.
    pub fn fleet_was_waited_for(&self, result: FleetWait, elapsed: Duration) {
        let waits = self.counts.fleet_waits.get_or_create(&[(FleetWait::NAME, result.as_str())]);
        waits.observe(elapsed.as_secs_f64());
    }

    /// The doorbell hangs, or has fallen.
    pub fn doorbell_is_connected(&self, connected: bool) {
        self.counts.doorbell_up.set(i64::from(connected));
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Metrics")
    }
}

impl Counts {
    #[rustfmt::skip]
    fn register(registry: &mut Registry, paths: impl IntoIterator<Item = String>) -> Self {
        Self {
            requests: Requests::register(registry, paths),
            introspections: counter_by(registry, "introspections", "Tokens introspected"),
            argon2_runs: counter_by(registry, "argon2_runs", "Runs of argon2id"),
            argon2_duration: argon2_duration(registry),
            credential_reads: counter(registry, "credential_reads", "Database reads of a credential's row"),
            cached_answers: counter(registry, "cached_answers", "Live tokens, callers' own included, found at hand"),
            proof_cache_hits: counter(registry, "proof_cache_hits", "Secrets proved without argon2id"),
            caller_rejections: counter_by(registry, "caller_rejections", "Callers turned away"),
            watchers: gauge(registry, "watchers", "Open streams of revocations"),
            events_delivered: counter(registry, "events_delivered", "Revocations sent to watchers"),
            watchers_ended: counter_by(registry, "watchers_ended", "Streams of revocations that ended"),
            log_revision: gauge(registry, "log_revision", "The last revision that this server has read"),
            database_up: gauge(registry, "database_up", "Whether the database answers"),
            last_use_flushes: counter_by(registry, "last_use_flushes", "Writes of the times of last use"),
            heartbeats: counter_by(registry, "heartbeats", "Heartbeats that renew the lease"),
            fleet_waits: fleet_waits(registry),
            doorbell_up: gauge(registry, "doorbell_up", "Whether servers can ring each other's bell"),
        }
    }
}

/// The registry itself ends the help with a full stop and the name of a counter with `_total`.
fn counter(registry: &mut Registry, name: &str, help: &str) -> Counter {
    let counter = Counter::default();
    registry.register(name, help, counter.clone());
    counter
}

/// All values are there from the start: a series that appears with its first event hides that event from a rate.
fn counter_by<L: Label>(registry: &mut Registry, name: &str, help: &str) -> CounterBy<L> {
    let family = Family::<[(&'static str, &'static str); 1], Counter>::default();
    let counters = L::VALUES.iter().map(|value| family.get_or_create_owned(&[(L::NAME, *value)])).collect();
    registry.register(name, help, family);
    CounterBy { counters, label: PhantomData }
}

fn gauge(registry: &mut Registry, name: &str, help: &str) -> Gauge {
    let gauge = Gauge::default();
    registry.register(name, help, gauge.clone());
    gauge
}

/// From 10 µs, below the default cost, doubling to 160 ms, above OWASP's.
fn argon2_duration(registry: &mut Registry) -> Histogram {
    let histogram = Histogram::new(exponential_buckets(10e-6, 2.0, 15));
    registry.register_with_unit("argon2_duration", "How long argon2id ran", Unit::Seconds, histogram.clone());
    histogram
}

/// From 1 ms doubling to 65 s, beyond the longest lease.
fn fleet_waits(registry: &mut Registry) -> HistogramBy {
    let buckets: fn() -> Histogram = || Histogram::new(exponential_buckets(1e-3, 2.0, 17));
    let waits = HistogramBy::new_with_constructor(buckets);
    for value in FleetWait::VALUES {
        drop(waits.get_or_create(&[(FleetWait::NAME, value)]));
    }
    let help = "How long was waited until no cache answered from before a change";
    registry.register_with_unit("fleet_wait", help, Unit::Seconds, waits.clone());
    waits
}

fn count<L: Label>(by: &CounterBy<L>, value: L) {
    if let Some(counter) = by.counters.get(value.place()) {
        counter.inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn value(metrics: &Metrics, series: &str) -> Option<f64> {
        let rendered = metrics.render().unwrap();
        let line = rendered.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map(|value| value.parse().unwrap())
    }

    #[test]
    fn each_event_moves_its_own_series() {
        let metrics = Metrics::new([]);
        metrics.introspected(IntrospectionResult::Forged);
        metrics.argon2_ran(Argon2Purpose::Verify, Duration::from_millis(1));
        metrics.credentials_were_read(2);
        metrics.answer_was_cached();
        metrics.proof_was_cached();
        metrics.caller_rejected(CallerRejection::Missing);
        metrics.log_was_read_to(42);
        metrics.database_is_up(true);
        metrics.last_use_flushed(FlushResult::Failed);
        metrics.heart_has_beaten(HeartbeatResult::Confirmed);
        metrics.fleet_was_waited_for(FleetWait::RanOut, Duration::from_secs(3));
        metrics.doorbell_is_connected(true);
        for (series, expected) in [
            ("tokenkeep_introspections_total{result=\"forged\"}", 1.0),
            ("tokenkeep_introspections_total{result=\"other_workspace\"}", 0.0),
            ("tokenkeep_argon2_runs_total{purpose=\"verify\"}", 1.0),
            ("tokenkeep_argon2_duration_seconds_count", 1.0),
            ("tokenkeep_credential_reads_total", 2.0),
            ("tokenkeep_cached_answers_total", 1.0),
            ("tokenkeep_proof_cache_hits_total", 1.0),
            ("tokenkeep_caller_rejections_total{reason=\"missing\"}", 1.0),
            ("tokenkeep_log_revision", 42.0),
            ("tokenkeep_database_up", 1.0),
            ("tokenkeep_last_use_flushes_total{result=\"failed\"}", 1.0),
            ("tokenkeep_heartbeats_total{result=\"confirmed\"}", 1.0),
            ("tokenkeep_fleet_wait_seconds_count{result=\"ran_out\"}", 1.0),
            ("tokenkeep_fleet_wait_seconds_count{result=\"acknowledged\"}", 0.0),
            ("tokenkeep_doorbell_up", 1.0),
            (concat!("tokenkeep_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1.0),
        ] {
            assert_eq!(value(&metrics, series), Some(expected), "{series}");
        }
    }

    #[test]
    fn clones_share_their_counts() {
        let metrics = Metrics::new([]);
        metrics.clone().credentials_were_read(1);
        assert_eq!(value(&metrics, "tokenkeep_credential_reads_total"), Some(1.0));
    }
}
