//! What asking a sidecar adds to a request through Envoy.
//!
//! `cargo bench --bench edge -- --write` writes the figures to `docs/performance/edge.md`. It needs Python 3 with venv, since
//! Envoy comes from its package registry. `--rounds 2` is a short one.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use self::guarded::envoy::Envoy;
use self::guarded::load::{self, Clients};
use self::guarded::setting::Setting;
use self::measure::arguments;
use self::measure::page::{self, Outcome};
use self::measure::rounds::{Rounds, readable, readable_range};
use self::spread::latencies::Latencies;

mod guarded {
    pub(crate) mod envoy;
    pub(crate) mod load;
    pub(crate) mod setting;
}

#[expect(dead_code, reason = "what only other benchmarks need of it")]
mod measure {
    pub(crate) mod arguments;
    pub(crate) mod page;
    pub(crate) mod process;
    pub(crate) mod rounds;
}

mod spread {
    pub(crate) mod latencies;
}

/// How many rounds there are unless told otherwise; each is a slice of time with the question and one without it.
const ROUNDS: usize = 30;
const SLICE: Duration = Duration::from_secs(1);

/// What part of the capacity is asked for.
const SHARE: f64 = 0.2;

/// The goals, in seconds.
const MEDIAN: f64 = 0.000_5;
const MOST: f64 = 0.002;

fn main() -> Outcome<()> {
    let rounds = arguments::number("--rounds", ROUNDS)?;
    let directory = tempfile::Builder::new().prefix("tk").tempdir()?;
    // Started by root, PostgreSQL runs as another user, who must get through.
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755))?;
    let setting = Setting::start(directory.path())?;
    let envoy = Envoy::start(directory.path(), &setting.socket)?;
    let mut asking = Clients::connect(envoy.asking, &setting.secrets)?;
    let mut alone = Clients::connect(envoy.alone, &setting.secrets)?;
    let capacity = asking.capacity(Duration::from_secs(3))?;
    let rate = capacity * SHARE;
    let mut told = Told::default();
    for round in 0..rounds {
        // Who goes first takes turns, so that neither always follows the other.
        let (with, without) = if round % 2 == 0 {
            let with = asking.open_loop(rate, SLICE)?;
            (with, alone.open_loop(rate, SLICE)?)
        } else {
            let without = alone.open_loop(rate, SLICE)?;
            (asking.open_loop(rate, SLICE)?, without)
        };
        told.add(with, without);
    }
    let provenance = page::provenance(&format!("{}, a private PostgreSQL", envoy.version))?;
    page::publish("edge.md", &format!("{provenance}\n{}", told.table(rounds, capacity, rate)?))
}

/// What was measured.
#[derive(Default)]
struct Told {
    with: Vec<Duration>,
    without: Vec<Duration>,
    /// What the question added to the median and to the 99th percentile of each round, in seconds.
    added: [Rounds; 2],
}

impl Told {
    fn add(&mut self, with: Vec<Duration>, without: Vec<Duration>) {
        let of_round = [&with, &without].map(|times| times.iter().copied().collect::<Latencies>());
        let [asked, alone] = of_round;
        for (rounds, share) in self.added.iter_mut().zip([0.5, 0.99]) {
            rounds.add(asked.quantile(share) - alone.quantile(share));
        }
        self.with.extend(with);
        self.without.extend(without);
    }

    fn table(&self, rounds: usize, capacity: f64, rate: f64) -> Outcome<String> {
        let mut text = format!(
            "With the question {} clients got at most {capacity:.0} answers a second, one request after the other. In {rounds} \
             rounds each slice of {} asked for a fifth of that, {rate:.0} a second.\n\n",
            load::CLIENTS,
            readable(SLICE.as_secs_f64()),
        );
        text.push_str("| | requests | p50 | p99 | p99.9 | max |\n|---|---|---|---|---|---|\n");
        for (name, times) in [("Envoy alone", &self.without), ("Envoy that asks a warm sidecar", &self.with)]
        {
            let latencies: Latencies = times.iter().copied().collect();
            writeln!(text, "| {name} | {} | {} |", times.len(), latencies.cells())?;
        }
        text.push_str("\n| added | median of the rounds | half of the rounds | goal | reached |\n|---|---|---|---|---|\n");
        for ((name, goal), rounds) in [("p50", MEDIAN), ("p99", MOST)].into_iter().zip(&self.added) {
            let (added, middle) = (rounds.median(), readable_range(rounds.middle_half()));
            let reached = if added <= goal { "yes" } else { "**no**" };
            writeln!(text, "| {name} | {} | {middle} | ≤ {} | {reached} |", readable(added), readable(goal))?;
        }
        Ok(text)
    }
}
