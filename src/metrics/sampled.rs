//! Gauges and counters that others keep in their own way, read when the metrics are asked for.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Reads one number for each value of a label.
type Read<Number> = Box<dyn Fn() -> Vec<(&'static str, Number)> + Send + Sync>;

enum Reading {
    Levels(Read<i64>),
    Totals(Read<u64>),
}

/// A family of numbers by one label.
pub struct Sampled {
    name: &'static str,
    help: &'static str,
    label: &'static str,
    reading: Reading,
}

impl Sampled {
    /// `tokenkeep_database_connections` by `state`: of the pool, for instance `idle` and `used`.
    pub fn database_connections(read: impl Fn() -> Vec<(&'static str, i64)> + Send + Sync + 'static) -> Self {
        let help = "Connections to the database.";
        let reading = Reading::Levels(Box::new(read));
        Self { name: "database_connections", help, label: "state", reading }
    }

    /// `tokenkeep_connections` by `state`: of clients, for instance `open`.
    pub fn connections(read: impl Fn() -> Vec<(&'static str, i64)> + Send + Sync + 'static) -> Self {
        let help = "Connections of clients.";
        Self { name: "connections", help, label: "state", reading: Reading::Levels(Box::new(read)) }
    }

    /// `tokenkeep_leases` by `holder`: the `server` itself, 1 or 0, and the `sidecars` that it granted one.
    pub fn leases(read: impl Fn() -> Vec<(&'static str, i64)> + Send + Sync + 'static) -> Self {
        let help = "Leases that are held.";
        Self { name: "leases", help, label: "holder", reading: Reading::Levels(Box::new(read)) }
    }

    /// `tokenkeep_connection_events_total` by `event`: since the start, for instance `accepted` and `tls_failed`.
    pub fn connection_events(read: impl Fn() -> Vec<(&'static str, u64)> + Send + Sync + 'static) -> Self {
        let help = "What befell connections of clients.";
        let reading = Reading::Totals(Box::new(read));
        Self { name: "connection_events", help, label: "event", reading }
    }

    /// `tokenkeep_sidecar_state` by `of`: what a sidecar has at the moment, for instance `lease` and `revision`.
    pub fn sidecar_state(read: impl Fn() -> Vec<(&'static str, i64)> + Send + Sync + 'static) -> Self {
        let help = "What the sidecar has at the moment.";
        Self { name: "sidecar_state", help, label: "of", reading: Reading::Levels(Box::new(read)) }
    }

    /// `tokenkeep_sidecar_answers_total` by `source`: for instance `cache` and `server`.
    pub fn sidecar_answers(read: impl Fn() -> Vec<(&'static str, u64)> + Send + Sync + 'static) -> Self {
        let help = "Answers of the sidecar, by what it had them from.";
        Self { name: "sidecar_answers", help, label: "source", reading: Reading::Totals(Box::new(read)) }
    }

    /// `tokenkeep_uses_lost_total` by `reason`: uses that will never be on record, for want of room or because they were
    /// refused.
    pub fn uses_lost(read: impl Fn() -> Vec<(&'static str, u64)> + Send + Sync + 'static) -> Self {
        let help = "Uses of tokens that will never be on record.";
        Self { name: "uses_lost", help, label: "reason", reading: Reading::Totals(Box::new(read)) }
    }

    /// `tokenkeep_sidecar_calls_total` by `call`: of servers, for instance `resolve` and `follow`.
    pub fn sidecar_calls(read: impl Fn() -> Vec<(&'static str, u64)> + Send + Sync + 'static) -> Self {
        let help = "Calls of the sidecar to servers.";
        Self { name: "sidecar_calls", help, label: "call", reading: Reading::Totals(Box::new(read)) }
    }
}

impl fmt::Debug for Sampled {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Sampled").field(&self.name).finish()
    }
}

impl Collector for Sampled {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        match &self.reading {
            Reading::Levels(read) => self.encode_each(encoder, read(), ConstGauge::new),
            Reading::Totals(read) => self.encode_each(encoder, read(), ConstCounter::new),
        }
    }
}

impl Sampled {
    fn encode_each<Number, Metric: EncodeMetric>(
        &self,
        mut encoder: DescriptorEncoder<'_>,
        read: Vec<(&'static str, Number)>,
        metric: fn(Number) -> Metric,
    ) -> Result<(), fmt::Error> {
        let mut read = read.into_iter().map(|(value, number)| (value, metric(number))).peekable();
        let Some((_, first)) = read.peek() else { return Ok(()) };
        let mut family = encoder.encode_descriptor(self.name, self.help, None, first.metric_type())?;
        for (value, metric) in read {
            metric.encode(family.encode_family(&[(self.label, value)])?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::super::{Metrics, tests::value};
    use super::*;

    #[test]
    fn a_sample_is_read_anew_each_time() {
        let (metrics, open) = (Metrics::new([]), Arc::new(AtomicI64::new(1)));
        let read = Arc::clone(&open);
        metrics.sample(Sampled::connections(move || vec![("open", read.load(Ordering::Relaxed))]));
        metrics.sample(Sampled::connection_events(|| vec![("accepted", 9)]));
        metrics.sample(Sampled::database_connections(Vec::new));
        assert_eq!(value(&metrics, "tokenkeep_connections{state=\"open\"}"), Some(1.0));
        open.store(2, Ordering::Relaxed);
        assert_eq!(value(&metrics, "tokenkeep_connections{state=\"open\"}"), Some(2.0));
        assert_eq!(value(&metrics, "tokenkeep_connection_events_total{event=\"accepted\"}"), Some(9.0));
    }
}
