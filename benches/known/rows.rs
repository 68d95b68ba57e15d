//! The figures of introspections that are answered from the cache.

use std::time::Duration;

use super::stage::{CONNECTIONS, Served, Stage, Way, loading};
use crate::load::call::Call;
use crate::load::generator::{Flow, Span, all_right, tallies};
use crate::load::mix::{Mix, Random};
use crate::load::pace::Load;
use crate::load::tally::Tally;
use crate::measure::figures::{Figure, Goal};
use crate::measure::page::Outcome;
use crate::measure::rounds::{Rounds, readable};

const ROUNDS: usize = 9;

/// One measurement of a round.
const TURN: Span = Span {
    warm_up: Duration::from_millis(300),
    duration: Duration::from_secs(2),
    restless: true,
    patient: false,
};

/// One with room for a p99 at a moderate rate.
const LONG_TURN: Span = Span { duration: Duration::from_secs(4), ..TURN };

const BATCH: usize = 256;

/// Values of pairs that were measured in turns.
#[derive(Default)]
pub(crate) struct Pairs {
    pub(crate) ours: Rounds,
    pub(crate) reference: Rounds,
    pub(crate) ratio: Rounds,
}

impl Pairs {
    fn add(&mut self, ours: f64, reference: f64) {
        self.ours.add(ours);
        self.reference.add(reference);
        self.ratio.add(ours / reference);
    }

    pub(crate) fn figure(
        &self,
        what: &str,
        reference: &str,
        goal: Goal,
        told: impl Fn(f64) -> String,
    ) -> Figure {
        let (low, high) = self.ratio.middle_half();
        let (ours, theirs) = (told(self.ours.median()), told(self.reference.median()));
        Figure {
            what: what.to_owned(),
            reference: format!("{reference}: {theirs}"),
            goal: goal.told("×"),
            value: format!("{ours} = **{:.2} ×**", self.ratio.median()),
            spread: format!("{low:.2} – {high:.2} ×"),
            reached: goal.is_reached(self.ratio.median()),
        }
    }
}

fn a_second(rate: f64) -> String {
    format!("{:.1} k/s", rate / 1e3)
}

fn measured(flow: Flow<'_>, span: Span) -> Outcome<Tally> {
    loading(|| all_right(flow, span))
}

/// How many a second, in turns with a reference.
pub(crate) fn rates(stage: &Stage, ours: &Served, reference: &Served) -> Outcome<Pairs> {
    let mut pairs = Pairs::default();
    for _ in 0..ROUNDS {
        let hot = measured(stage.hot_flow(ours), TURN)?.rate();
        pairs.add(hot, measured(stage.empty_flow(reference), TURN)?.rate());
    }
    Ok(pairs)
}

/// How many a second, by what they were.
pub(crate) type Rates = Vec<(String, Rounds)>;

/// Hot introspections beside empty calls: as hard as both can, and at the same moderate rate.
pub(crate) fn hot(stage: &Stage) -> Outcome<(Vec<Figure>, Rates, f64)> {
    let (ours, empty) = (stage.server(Way::Plaintext)?, stage.empty_server(Way::Plaintext, false)?);
    let rates = rates(stage, &ours, &empty)?;
    let half = Load::Open { a_second: rates.ours.median() / 2.0 };
    let mut times = Pairs::default();
    for _ in 0..ROUNDS {
        let hot = measured(stage.flow(&ours, &stage.hot, half), TURN)?.quantile(0.99);
        times.add(hot, measured(stage.flow(&empty, &stage.empty, half), TURN)?.quantile(0.99));
    }
    let stock = stage.empty_server(Way::Plaintext, true)?;
    let beside_stock = self::rates(stage, &ours, &stock)?;
    let figures = vec![
        rates.figure(
            "hot introspection, caller authenticated, 100,000 live tokens, 4 callers, one core",
            "an empty unary RPC of the same sizes on the same serving",
            Goal::AtLeast(0.85),
            a_second,
        ),
        times.figure(
            "its p99, open loop at half of what it can",
            "the same of the empty RPC",
            Goal::AtMost(1.3),
            readable,
        ),
        beside_stock.figure(
            "the same, beside the stock runtime",
            "an empty unary RPC on tonic's own server",
            Goal::None,
            a_second,
        ),
    ];
    let capacity = rates.ours.median();
    let told = [
        ("hot introspection", rates.ours),
        ("empty RPC", rates.reference),
        ("empty RPC, tonic's own server", beside_stock.reference),
    ];
    Ok((figures, told.map(|(name, rates)| (name.to_owned(), rates)).into(), capacity))
}

/// The same over TLS and over a Unix socket.
pub(crate) fn other_ways(stage: &Stage) -> Outcome<(Vec<Figure>, Rates)> {
    let (mut figures, mut told) = (Vec::new(), Vec::new());
    for (way, over) in [(Way::Tls, "TLS 1.3"), (Way::Unix, "a Unix socket")] {
        let (ours, empty) = (stage.server(way)?, stage.empty_server(way, false)?);
        let rates = rates(stage, &ours, &empty)?;
        let what = format!("the same over {over}");
        figures.push(rates.figure(&what, "the empty RPC", Goal::None, a_second));
        told.push((format!("hot introspection, {over}"), rates.ours));
        told.push((format!("empty RPC, {over}"), rates.reference));
    }
    Ok((figures, told))
}

/// What a thread does for each second of processor time while another works beside it, of what it does alone. The load
/// shares both cores with the two then, so that time on the clock would tell nothing.
pub(crate) fn two_cores(stage: &Stage) -> Outcome<Figure> {
    let (wide, narrow) = (stage.wide_server()?, stage.server(Way::Plaintext)?);
    let mut pairs = Pairs::default();
    for _ in 0..ROUNDS {
        let both = 2.0 * per_processor_second(&wide, || all_right(stage.hot_flow(&wide), TURN))?;
        let one = per_processor_second(&narrow, || measured(stage.hot_flow(&narrow), TURN))?;
        pairs.add(both, one);
    }
    Ok(pairs.figure("two cores, by processor time", "one core", Goal::AtLeast(1.7), |rate| {
        format!("{:.1} k per processor second", rate / 1e3)
    }))
}

#[expect(clippy::cast_precision_loss, reason = "no run makes 2^52 calls")]
fn per_processor_second(server: &Served, make: impl FnOnce() -> Outcome<Tally>) -> Outcome<f64> {
    let before = server.process.processor_time()?;
    let tally = make()?;
    // What was made to get warm took processor time too.
    let share = tally.elapsed.as_secs_f64() / (tally.elapsed + TURN.warm_up).as_secs_f64();
    Ok(tally.right as f64 / ((server.process.processor_time()? - before) * share))
}

/// Batches of all tokens.
pub(crate) fn batches(stage: &Stage) -> Outcome<Figure> {
    let server = stage.server(Way::Plaintext)?;
    let mix = Mix::any(
        stage.tokens.chunks(BATCH).filter(|batch| batch.len() == BATCH).map(Call::introspect_all).collect(),
    );
    let mut rates = Rounds::default();
    for _ in 0..ROUNDS {
        let flow = stage.flow(&server, &mix, Load::Closed { streams: 2 });
        rates.add(256.0 * measured(flow, TURN)?.rate());
    }
    let (low, high) = rates.middle_half();
    let goal = Goal::AtLeast(500.0);
    Ok(Figure {
        what: "batches of 256, no metadata, one core".to_owned(),
        reference: "–".to_owned(),
        goal: goal.told("k tokens/s"),
        value: format!("**{:.0} k tokens/s**", rates.median() / 1e3),
        spread: format!("{:.0} – {:.0} k tokens/s", low / 1e3, high / 1e3),
        reached: goal.is_reached(rates.median() / 1e3),
    })
}

/// Legitimate calls at 30 % of what the server can, without and with as many forged tokens beside them.
pub(crate) fn forged(stage: &Stage, capacity: f64) -> Outcome<Vec<Figure>> {
    let server = stage.server(Way::Plaintext)?;
    let random = &mut Random::new(7);
    let forged = stage.tokens.iter().map(|known| Call::introspect_forged(known.forged(random)));
    let forged = Mix::any(forged.collect());
    let load = Load::Open { a_second: capacity * 0.3 };
    let legitimate = || stage.flow(&server, &stage.hot, load);
    let before = spent(&server)?;
    let mut pairs = Pairs::default();
    for _ in 0..ROUNDS {
        let alone = measured(legitimate(), LONG_TURN)?.quantile(0.99);
        let flows = [legitimate(), stage.flow(&server, &forged, load)];
        let [beside, refused] = loading(|| tallies(&flows, LONG_TURN))?;
        refused.all_right()?;
        pairs.add(beside.all_right()?.quantile(0.99), alone);
    }
    let spent = spent(&server)?;
    let (reads, hashes) = (spent.0 - before.0, spent.1 - before.1);
    let work = Figure {
        what: "what the forged tokens cost beside that".to_owned(),
        reference: "–".to_owned(),
        goal: "0 reads, 0 argon2".to_owned(),
        value: format!("**{reads:.0} reads, {hashes:.0} argon2**"),
        spread: "–".to_owned(),
        reached: Some(reads == 0.0 && hashes == 0.0),
    };
    let what = "p99 of legitimate calls at 30 % of what the server can, beside as many forged ones";
    Ok(vec![pairs.figure(what, "without them", Goal::AtMost(1.5), readable), work])
}

/// How many tokens were read from the database, and how often argon2 ran to verify one.
fn spent(server: &Served) -> Outcome<(f64, f64)> {
    let reads = server.process.metric("tokenkeep_credential_reads_total")?;
    let hashes = server.process.metric(r#"tokenkeep_argon2_runs_total{purpose="verify"}"#)?;
    Ok((reads, hashes))
}

/// p50 and p99 at rates from a tenth of what the server can to nearly all.
pub(crate) fn curve(stage: &Stage, capacity: f64) -> Outcome<Vec<Point>> {
    let (ours, empty) = (stage.server(Way::Plaintext)?, stage.empty_server(Way::Plaintext, false)?);
    let mut points = Vec::new();
    for share in [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95] {
        let load = Load::Open { a_second: capacity * share };
        let hot = measured(stage.flow(&ours, &stage.hot, load), TURN)?;
        let empty = measured(stage.flow(&empty, &stage.empty, load), TURN)?;
        points.push(Point { a_second: capacity * share, hot: quantiles(&hot), empty: quantiles(&empty) });
    }
    Ok(points)
}

/// Times at a rate.
pub(crate) struct Point {
    pub(crate) a_second: f64,
    pub(crate) hot: [f64; 3],
    pub(crate) empty: [f64; 3],
}

fn quantiles(tally: &Tally) -> [f64; 3] {
    [0.5, 0.99, 0.999].map(|share| tally.quantile(share))
}

/// How a curve is read aloud.
pub(crate) fn told(points: &[Point]) -> String {
    let head = "| calls a second | p50 | p99 | p99.9 | empty RPC: p50 | p99 | p99.9 |\n|---|---|---|---|---|---|---|\n";
    let row = |Point { a_second, hot, empty }: &Point| {
        let cells: Vec<String> = hot.iter().chain(empty).map(|time| readable(*time)).collect();
        format!("| {:.1} k | {} |\n", a_second / 1e3, cells.join(" | "))
    };
    head.to_owned() + &points.iter().map(row).collect::<String>()
}

/// That nothing was left to chance.
pub(crate) fn conditions() -> String {
    format!(
        "{ROUNDS} rounds of pairs, {:.0} s each after {:.0} ms that do not count; {CONNECTIONS} connections; medians.\n",
        TURN.duration.as_secs_f64(),
        TURN.warm_up.as_secs_f64() * 1e3
    )
}
