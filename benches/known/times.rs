//! How long introspections that are answered from the cache take in an open loop.
//!
//! A machine that others share stands still now and then, for longer than a thousand calls take, and hits either side at
//! random. The p99 of all calls tells how often it did. So a turn is cut into tenths of a second, by when calls were due, and
//! the p99 of a common one is compared; that of all calls stands beside it.

use std::time::{Duration, Instant};

use super::rows::{self, Pairs};
use super::stage::{Served, Stage, Way, loading};
use crate::load::call::Call;
use crate::load::course::Course;
use crate::load::generator::{self, Flow, Span};
use crate::load::mix::{Mix, Random};
use crate::load::pace::Load;
use crate::load::tally::Tally;
use crate::measure::empty::Kind;
use crate::measure::figures::{Figure, Goal};
use crate::measure::page::Outcome;
use crate::measure::rounds::{Rounds, readable};

/// Room for a p99: a tenth of a second has thousands of calls at the rates that matter.
const WINDOW: Duration = Duration::from_millis(100);

/// One measurement of a round: ten windows.
const TURN: Span = Span { duration: Duration::from_secs(1), ..rows::TURN };

const ROUNDS: usize = 18;

/// Rounds for each rate of the curve.
const ROUNDS_A_POINT: usize = 3;

/// What takes a server that keeps up far less.
const LONG: Duration = Duration::from_millis(10);

/// What was seen of one side.
#[derive(Default)]
struct Side {
    /// The p99 of each window, in seconds.
    windows: Rounds,
    /// That of a common window of each turn.
    turns: Rounds,
    all: Tally,
}

impl Side {
    /// Takes a turn in, all of whose answers must be right. Gives the p99 of a common window of it.
    fn add(&mut self, turn: &Course) -> Outcome<f64> {
        self.all.merge(&turn.whole().all_right()?);
        let mut windows = Rounds::default();
        for window in turn.steps() {
            windows.add(window.quantile(0.99));
            self.windows.add(window.quantile(0.99));
        }
        self.turns.add(windows.median());
        Ok(windows.median())
    }

    /// p50, the p99 of a common window, and of all calls p99 and p99.9.
    fn quantiles(&self) -> [f64; 4] {
        let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|share| self.all.quantile(share));
        [p50, self.turns.median(), p99, p999]
    }

    fn row(&self, loop_: &str, side: &str) -> String {
        let [_, common, p99, _] = self.quantiles().map(readable);
        format!("| {loop_} | {side} | {common} | {p99} | {} |\n", long(&self.windows))
    }
}

fn long(windows: &Rounds) -> String {
    format!("{:.1} %", 100.0 * windows.share_above(LONG.as_secs_f64()))
}

/// Makes calls for a turn, on the load's core.
fn turn<const FLOWS: usize>(flows: &[Flow<'_>; FLOWS]) -> Outcome<[Course; FLOWS]> {
    loading(|| {
        let mut courses = std::array::from_fn(|_| Course::new(WINDOW));
        generator::run(flows, TURN, &mut |flow, at, done| {
            if let Some(course) = courses.get_mut(flow) {
                course.add(at, done);
            }
        })?;
        Ok(courses)
    })
}

/// Watches the clock for a turn, on the load's core, while nothing is asked: what stands still then is the machine. Adds for
/// each window the longest time for which it was not watched.
fn idle(longest: &mut Rounds) -> Outcome<()> {
    loading(|| {
        let mut seen = Instant::now();
        let end = seen + TURN.duration;
        while seen < end {
            let (window_end, mut gap) = (seen + WINDOW, Duration::ZERO);
            while seen < window_end {
                let now = Instant::now();
                gap = gap.max(now - seen);
                seen = now;
            }
            longest.add(gap.as_secs_f64());
        }
        Ok(())
    })
}

/// The head of the table in which each side of a comparison has a row.
pub(crate) const HEAD: &str = "| open loop | side | p99 of a common tenth of a second | p99 of all calls | tenths with a p99 \
    over 10 ms |\n|---|---|---|---|---|\n";

/// Hot introspections beside empty calls at half of what the server can, and the machine alone. Gives rows of the table too.
pub(crate) fn at_half(stage: &Stage, capacity: f64) -> Outcome<(Figure, String)> {
    const LOOP: &str = "at half of what the server can";
    let (ours, empty) = (stage.server(Way::Plaintext)?, stage.empty_server(Way::Plaintext, Kind::PerCore)?);
    let half = Load::Open { a_second: capacity / 2.0 };
    let (mut hot, mut nothing, mut alone) = (Side::default(), Side::default(), Rounds::default());
    let mut pairs = Pairs::default();
    for _ in 0..ROUNDS {
        let [turn_of_ours] = turn(&[stage.flow(&ours, &stage.hot, half)])?;
        let [turn_of_empty] = turn(&[stage.flow(&empty, &stage.empty, half)])?;
        pairs.add(hot.add(&turn_of_ours)?, nothing.add(&turn_of_empty)?);
        idle(&mut alone)?;
    }
    let rows = [
        hot.row(LOOP, "hot introspection"),
        nothing.row(LOOP, "empty RPC"),
        format!(
            "| nothing is asked | a thread that watches the clock | – | – | {} with a stop as long |\n",
            long(&alone)
        ),
    ];
    let what =
        "p99 of a common tenth of a second, hot introspection, open loop at half of what the server can";
    Ok((pairs.figure(what, "the same of the empty RPC", Goal::AtMost(1.3), readable), rows.concat()))
}

/// Legitimate calls at 30 % of what the server can, without and with as many forged tokens beside them. Gives rows of the
/// table too.
pub(crate) fn forged(stage: &Stage, capacity: f64) -> Outcome<([Figure; 2], String)> {
    const LOOP: &str = "legitimate calls at 30 %";
    let server = stage.server(Way::Plaintext)?;
    let random = &mut Random::new(7);
    let forged = stage.tokens.iter().map(|known| Call::introspect_forged(known.forged(random)));
    let forged = Mix::any(forged.collect());
    let load = Load::Open { a_second: capacity * 0.3 };
    let legitimate = || stage.flow(&server, &stage.hot, load);
    let before = spent(&server)?;
    let (mut beside, mut alone, mut refused) = (Side::default(), Side::default(), Side::default());
    let mut pairs = Pairs::default();
    for _ in 0..ROUNDS {
        let [turn_alone] = turn(&[legitimate()])?;
        let [turn_beside, turn_refused] = turn(&[legitimate(), stage.flow(&server, &forged, load)])?;
        refused.add(&turn_refused)?;
        pairs.add(beside.add(&turn_beside)?, alone.add(&turn_alone)?);
    }
    let what = "p99 of a common tenth of a second, legitimate calls at 30 % of what the server can beside as many forged ones";
    let figure = pairs.figure(what, "without them", Goal::AtMost(1.5), readable);
    let rows = beside.row(LOOP, "beside as many forged ones") + &alone.row(LOOP, "alone");
    Ok(([figure, cost(before, spent(&server)?)], rows))
}

fn cost(before: (f64, f64), after: (f64, f64)) -> Figure {
    let (reads, hashes) = (after.0 - before.0, after.1 - before.1);
    Figure::new(
        ["what the forged tokens cost beside that", "–", "0 reads, 0 argon2"],
        &format!("{reads:.0} reads, {hashes:.0} argon2"),
        None,
        Some(reads == 0.0 && hashes == 0.0),
    )
}

/// How many tokens were read from the database, and how often argon2 ran to verify one.
fn spent(server: &Served) -> Outcome<(f64, f64)> {
    let reads = server.process.metric("tokenkeep_credential_reads_total")?;
    let hashes = server.process.metric(r#"tokenkeep_argon2_runs_total{purpose="verify"}"#)?;
    Ok((reads, hashes))
}

/// Times at rates from a tenth of what the server can to nearly all.
pub(crate) fn curve(stage: &Stage, capacity: f64) -> Outcome<Vec<Point>> {
    let (ours, empty) = (stage.server(Way::Plaintext)?, stage.empty_server(Way::Plaintext, Kind::PerCore)?);
    let mut points = Vec::new();
    for share in [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95] {
        let load = Load::Open { a_second: capacity * share };
        let (mut hot, mut nothing) = (Side::default(), Side::default());
        for _ in 0..ROUNDS_A_POINT {
            let [turn_of_ours] = turn(&[stage.flow(&ours, &stage.hot, load)])?;
            let [turn_of_empty] = turn(&[stage.flow(&empty, &stage.empty, load)])?;
            hot.add(&turn_of_ours)?;
            nothing.add(&turn_of_empty)?;
        }
        points.push(Point { a_second: capacity * share, hot: hot.quantiles(), empty: nothing.quantiles() });
    }
    Ok(points)
}

/// Times at a rate: p50, the p99 of a common window, p99 and p99.9 of all calls.
pub(crate) struct Point {
    pub(crate) a_second: f64,
    pub(crate) hot: [f64; 4],
    pub(crate) empty: [f64; 4],
}

/// The curve as a table.
pub(crate) fn told(points: &[Point]) -> String {
    let head = "| calls a second | p50 | p99 of a common tenth | p99 | p99.9 | empty RPC: p50 | p99 of a common tenth | p99 | \
        p99.9 |\n|---|---|---|---|---|---|---|---|---|\n";
    let row = |Point { a_second, hot, empty }: &Point| {
        let cells: Vec<String> = hot.iter().chain(empty).map(|time| readable(*time)).collect();
        format!("| {:.1} k | {} |\n", a_second / 1e3, cells.join(" | "))
    };
    head.to_owned() + &points.iter().map(row).collect::<String>()
}

/// How often it was measured, and for how long.
pub(crate) fn conditions() -> String {
    let seconds = TURN.duration.as_secs();
    format!(
        "times of {ROUNDS} rounds of pairs, {seconds} s each, and of {ROUNDS_A_POINT} for each rate of the curve"
    )
}
