//! The process as its operating system sees it, by the names that dashboards expect.

use std::fmt;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use rustix::param::{clock_ticks_per_second, page_size};

/// Reads `/proc/self` when the metrics are asked for; what cannot be read is left out.
#[derive(Debug)]
pub(super) struct Process {
    start: f64,
}

/// The fields of `/proc/self/stat` that are told.
struct Stat {
    processor_seconds: f64,
    resident_bytes: u64,
}

impl Process {
    /// The metrics are made when the process starts, give or take milliseconds.
    pub(super) fn started_now() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start: since_epoch.as_secs_f64() }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut tell = |name, help, metric: &dyn Tell| metric.tell(&mut encoder, name, help);
        let start = ConstGauge::new(self.start);
        tell("process_start_time_seconds", "When the process started, since the Unix epoch.", &start)?;
        if let Some(stat) = stat() {
            let processor = ConstCounter::new(stat.processor_seconds);
            tell("process_cpu_seconds", "Processor time used by the process.", &processor)?;
            let resident = ConstGauge::new(stat.resident_bytes);
            tell("process_resident_memory_bytes", "Memory that the process holds resident.", &resident)?;
        }
        if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
            // The directory that is being read is open itself.
            let open = u64::try_from(descriptors.count().saturating_sub(1)).unwrap_or(u64::MAX);
            tell(
                "process_open_fds",
                "Files and sockets that the process holds open.",
                &ConstGauge::new(open),
            )?;
        }
        Ok(())
    }
}

/// A metric without labels, under its full name.
trait Tell {
    fn tell(&self, encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str) -> Result<(), fmt::Error>;
}

impl<Metric: EncodeMetric> Tell for Metric {
    fn tell(&self, encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str) -> Result<(), fmt::Error> {
        self.encode(encoder.encode_descriptor(name, help, None, self.metric_type())?)
    }
}

fn stat() -> Option<Stat> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the program's name in parentheses and may hold anything; the third comes after the last one.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u32>().ok();
    let ticks = f64::from(field(14)?) + f64::from(field(15)?);
    let per_second = f64::from(u32::try_from(clock_ticks_per_second()).ok()?);
    let pages = u64::from(field(24)?);
    Some(Stat {
        processor_seconds: ticks / per_second,
        resident_bytes: pages * u64::try_from(page_size()).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Metrics, tests::value};

    #[test]
    fn the_process_tells_its_memory_files_processor_and_start() {
        let metrics = Metrics::new([]);
        assert!(value(&metrics, "process_resident_memory_bytes").unwrap() > 1e6);
        assert!(value(&metrics, "process_open_fds").unwrap() >= 3.0);
        assert!(value(&metrics, "process_cpu_seconds_total").unwrap() >= 0.0);
        assert!(value(&metrics, "process_start_time_seconds").unwrap() > 1.7e9);
    }
}
