//! How long the way is from a commit to a watcher at the same server and at another, beside a bare LISTEN/NOTIFY hop.

use super::heard::Delays;
use super::hop::Hop;
use super::pace::Pace;
use super::servers::Servers;
use super::table::{row, yes};
use crate::measure::arguments::number;
use crate::measure::database::PrivateDatabase;
use crate::measure::figures::Figure;
use crate::measure::page::Outcome;
use crate::measure::rounds::{Rounds, readable};
use crate::spread::latencies::Latencies;

/// Commits a second, for how many seconds, and how many times.
const RATE: u32 = 1_000;
const SECONDS: usize = 5;
const ROUNDS: usize = 3;

/// What was found of the ways from a commit to whoever hears of it: each pooled over all rounds.
#[derive(Default)]
pub(crate) struct Ways {
    hop: Delays,
    same: Delays,
    other: Delays,
    /// How often the median of the other server's watcher was the hop's, from the commit, round by round.
    ratios: Rounds,
}

/// Measures all of them in turns.
pub(crate) async fn ways(database: &PrivateDatabase) -> Outcome<Ways> {
    let seconds = number("--seconds", SECONDS)?;
    let pace = Pace { count: usize::try_from(RATE)? * seconds, a_second: RATE };
    let mut hop = Hop::prepare(database).await?;
    let mut servers = Servers::prepare(database, "ways", pace.count * (ROUNDS + 1)).await?;
    let mut ways = Ways::default();
    // The first round is for getting warm.
    for round in 0..=ROUNDS {
        let (bare, [same, other]) = (hop.measure(pace).await?, servers.measure(pace).await?);
        if round > 0 {
            let half = |delays: &Delays| delays.latencies().0.quantile(0.5);
            ways.ratios.add(half(&other) / half(&bare));
            ways.hop.add(bare);
            ways.same.add(same);
            ways.other.add(other);
        }
    }
    Ok(ways)
}

impl Ways {
    pub(crate) fn figures(&self) -> Vec<Figure> {
        let told = |times: &Latencies| {
            format!("p50 {}, p99 {}", readable(times.quantile(0.5)), readable(times.quantile(0.99)))
        };
        let hop = format!("a bare LISTEN/NOTIFY hop: {}", told(&self.hop.latencies().0));
        let figure = |what: &str, delays: &Delays| {
            let (times, _) = delays.latencies();
            let met = times.quantile(0.5) <= 0.005 && times.quantile(0.99) <= 0.1;
            Figure::new([what, &hop, "p50 ≤ 5 ms, p99 ≤ 100 ms"], &told(&times), None, Some(met))
        };
        vec![
            figure("commit → event at a watcher of the same server, 1,000 revokes/s", &self.same),
            figure("commit → event at a watcher of another server, 1,000 revokes/s", &self.other),
        ]
    }

    pub(crate) fn told(&self) -> String {
        let head = "| from a commit to whoever hears of it | times | p50 | p99 | p99.9 | max | goal | reached |\n\
                    |---|---|---|---|---|---|---|---|\n";
        let mut rows = String::new();
        for (name, delays, has_goal) in [
            ("bare LISTEN/NOTIFY hop", &self.hop, false),
            ("watcher at the same server", &self.same, true),
            ("watcher at another server", &self.other, true),
        ] {
            let (from_commit, from_answer) = delays.latencies();
            for (from, times) in [("its time in the database", from_commit), ("its answer", from_answer)] {
                let met = times.quantile(0.5) <= 0.005 && times.quantile(0.99) <= 0.1;
                let (goal, met) =
                    if has_goal { ("p50 ≤ 5 ms, p99 ≤ 100 ms", yes(met)) } else { ("–", "–") };
                rows += &row(&format!("{name}, from {from}"), delays.from_answer.len(), &times, goal, met);
            }
        }
        let (low, high) = self.ratios.middle_half();
        format!(
            "{head}{rows}\nFrom the commit's time in the database, the median at the other server is {:.2} × the bare hop's \
             ({low:.2} – {high:.2} over {ROUNDS} rounds).\n",
            self.ratios.median(),
        )
    }
}
