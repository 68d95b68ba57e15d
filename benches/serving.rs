//! How fast a server answers what it knows, beside a server that does nothing.
//!
//! `cargo bench --bench serving -- --write` writes the figures to `docs/performance/serving.md`, and a picture beside it.

use std::fs;

use self::known::rows;
use self::known::stage::{CONNECTIONS, Stage, TOKENS};
use self::known::times::{self, Point};
use self::measure::empty;
use self::measure::figures;
use self::measure::page::{self, Outcome};
use self::measure::picture::{self, Bar, Line};
use self::measure::rounds::Rounds;

mod known {
    pub(crate) mod rows;
    pub(crate) mod stage;
    pub(crate) mod times;
}

#[expect(dead_code, reason = "what only other benchmarks need of it")]
mod load {
    pub(crate) mod call;
    pub(crate) mod connection;
    pub(crate) mod course;
    pub(crate) mod fields;
    pub(crate) mod generator;
    pub(crate) mod headers;
    pub(crate) mod http2;
    pub(crate) mod mix;
    pub(crate) mod pace;
    pub(crate) mod tally;
    pub(crate) mod target;
}

#[expect(dead_code, reason = "what only other benchmarks need of it")]
mod measure {
    pub(crate) mod arguments;
    pub(crate) mod database;
    pub(crate) mod empty;
    pub(crate) mod figures;
    pub(crate) mod minted;
    pub(crate) mod page;
    pub(crate) mod picture;
    pub(crate) mod process;
    pub(crate) mod rounds;
    pub(crate) mod served;
    pub(crate) mod svg;
}

fn main() -> Outcome<()> {
    empty::serve_if_told()?;
    let stage = tokio::runtime::Runtime::new()?.block_on(Stage::prepare(TOKENS))?;
    let (mut all, mut rates, capacity) = rows::hot(&stage)?;
    all.push(rows::two_cores(&stage)?);
    let (others, other_rates) = rows::other_ways(&stage)?;
    all.extend(others);
    rates.extend(other_rates);
    all.push(rows::batches(&stage)?);
    let (at_half, sides) = times::at_half(&stage, capacity)?;
    let (forged, other_sides) = times::forged(&stage, capacity)?;
    all.push(at_half);
    all.extend(forged);
    let points = times::curve(&stage, capacity)?;
    let version = tokio::runtime::Runtime::new()?.block_on(stage.database.version())?;
    let table = figures::keep("serving", &all)?;
    let (provenance, curve) = (page::provenance(&version)?, times::told(&points));
    let sides = [times::HEAD, &sides, &other_sides].concat();
    let page = [&provenance, &conditions(), &table, &sides, &curve].map(String::as_str).join("\n");
    page::publish("serving.md", &page)?;
    draw(&points)?;
    draw_rates(&rates)
}

fn conditions() -> String {
    let (rates, times) = (rows::conditions(), times::conditions());
    format!("{CONNECTIONS} connections; {rates}; {times}; medians.\n")
}

fn draw_rates(rates: &[(String, Rounds)]) -> Outcome<()> {
    if !page::is_to_be_written() {
        return Ok(());
    }
    let bar = |(name, rates): &(String, Rounds)| Bar {
        name: name.clone(),
        colour: if name.starts_with("hot") { "#2563eb" } else { "#d97706" },
        length: rates.median(),
        told: format!("{:.1} k/s", rates.median() / 1e3),
    };
    let bars: Vec<Bar> = rates.iter().map(bar).collect();
    let svg = picture::bars("Calls a second on one core", &bars, None)?;
    fs::write(format!("{}/docs/performance/throughput.svg", env!("CARGO_MANIFEST_DIR")), svg)?;
    Ok(())
}

/// Draws the p99 of a common tenth of a second, since that of all calls tells of the machine.
fn draw(points: &[Point]) -> Outcome<()> {
    if !page::is_to_be_written() {
        return Ok(());
    }
    let line = |name: &str, colour, value: fn(&Point) -> f64| Line {
        name: name.to_owned(),
        colour,
        points: points.iter().map(|point| (point.a_second / 1e3, value(point))).collect(),
    };
    let lines = [
        line("hot, p99 of a common tenth", "#2563eb", |point| point.hot[1]),
        line("p50", "#93c5fd", |point| point.hot[0]),
        line("empty, p99 of a common tenth", "#d97706", |point| point.empty[1]),
        line("p50", "#fcd34d", |point| point.empty[0]),
    ];
    let svg = picture::curves("Times at a rate, open loop, one core", "thousand calls a second", &lines)?;
    fs::write(format!("{}/docs/performance/serving.svg", env!("CARGO_MANIFEST_DIR")), svg)?;
    Ok(())
}
