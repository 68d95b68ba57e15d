//! How many introspections that are answered from the cache a server makes.

use std::time::Duration;

use super::stage::{Served, Stage, Way, loading};
use crate::load::call::Call;
use crate::load::generator::{Flow, Span, all_right};
use crate::load::mix::Mix;
use crate::load::pace::Load;
use crate::load::tally::Tally;
use crate::measure::empty::Kind;
use crate::measure::figures::{Figure, Goal};
use crate::measure::page::Outcome;
use crate::measure::rounds::Rounds;

const ROUNDS: usize = 9;

/// One measurement of a round.
pub(crate) const TURN: Span = Span {
    warm_up: Duration::from_millis(300),
    duration: Duration::from_secs(2),
    restless: true,
    patient: false,
};

const BATCH: usize = 256;

/// Values of pairs that were measured in turns.
#[derive(Default)]
pub(crate) struct Pairs {
    pub(crate) ours: Rounds,
    pub(crate) reference: Rounds,
    pub(crate) ratio: Rounds,
}

impl Pairs {
    pub(crate) fn add(&mut self, ours: f64, reference: f64) {
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

/// Hot introspections beside empty calls, as hard as both can.
pub(crate) fn hot(stage: &Stage) -> Outcome<(Vec<Figure>, Rates, f64)> {
    let (ours, empty) = (stage.server(Way::Plaintext)?, stage.empty_server(Way::Plaintext, Kind::PerCore)?);
    let rates = rates(stage, &ours, &empty)?;
    let stock = stage.empty_server(Way::Plaintext, Kind::Stock)?;
    let beside_stock = self::rates(stage, &ours, &stock)?;
    let direct = stage.empty_server(Way::Plaintext, Kind::Direct)?;
    let beside_direct = self::rates(stage, &ours, &direct)?;
    let figures = vec![
        rates.figure(
            "hot introspection, caller authenticated, 100,000 live tokens, 4 callers, one core",
            "an empty unary RPC of the same sizes on the same serving",
            Goal::AtLeast(0.85),
            a_second,
        ),
        beside_direct.figure(
            "the same, beside a call that has the shorter way too",
            "an empty unary RPC by the way of introspections",
            Goal::None,
            a_second,
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
        ("empty RPC, the shorter way", beside_direct.reference),
        ("empty RPC, tonic's own server", beside_stock.reference),
    ];
    Ok((figures, told.map(|(name, rates)| (name.to_owned(), rates)).into(), capacity))
}

/// The same over TLS and over a Unix socket.
pub(crate) fn other_ways(stage: &Stage) -> Outcome<(Vec<Figure>, Rates)> {
    let (mut figures, mut told) = (Vec::new(), Vec::new());
    for (way, over) in [(Way::Tls, "TLS 1.3"), (Way::Unix, "a Unix socket")] {
        let (ours, empty) = (stage.server(way)?, stage.empty_server(way, Kind::PerCore)?);
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

/// How often it was measured, and for how long.
pub(crate) fn conditions() -> String {
    let (seconds, warm_up) = (TURN.duration.as_secs(), TURN.warm_up.as_millis());
    format!("rates of {ROUNDS} rounds of pairs, {seconds} s each after {warm_up} ms that do not count")
}
