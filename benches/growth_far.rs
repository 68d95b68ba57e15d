//! Whether an operation takes longer when there are a thousand times as many tokens, beside how much longer one row takes.
//!
//! Two databases stand side by side, one with 10,000 tokens and one with 10,000,000, each with a server of its own and a
//! table of as many rows for pgbench. Every call on one side is followed by the same call on the other. `cargo bench --bench
//! growth_far -- --write` writes the figures to `docs/performance/growth_far.md`; `--tokens` and `--rounds` say how many. It
//! takes 20 GB of disk.

use std::fmt::Write as _;
use std::time::Duration;

use self::far::filled::Side;
use self::far::operation::Operation;
use self::measure::arguments;
use self::measure::database::PrivateDatabase;
use self::measure::figures::{self, Figure};
use self::measure::page::{self, Outcome};
use self::measure::picture::{self, Bar};
use self::measure::rounds::{Rounds, readable};

mod far {
    pub(crate) mod filled;
    pub(crate) mod operation;
}

#[expect(dead_code, reason = "what only other benchmarks need of it")]
mod measure {
    pub(crate) mod arguments;
    pub(crate) mod database;
    pub(crate) mod figures;
    pub(crate) mod minted;
    pub(crate) mod page;
    pub(crate) mod pgbench;
    pub(crate) mod picture;
    pub(crate) mod process;
    pub(crate) mod rounds;
    pub(crate) mod served;
    pub(crate) mod svg;
}

const FEW: usize = 10_000;
const MANY: usize = 10_000_000;

const ROUNDS: usize = 15;

/// Calls of one operation in a round, on either side.
const CALLS: usize = 40;

const REFERENCE_TIME: Duration = Duration::from_secs(2);

/// What the growth of an operation may be, in times of that of one row.
const GOAL: f64 = 1.3;

fn main() -> Outcome<()> {
    let database = PrivateDatabase::start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (many, rounds) = (arguments::number("--tokens", MANY)?, arguments::number("--rounds", ROUNDS)?);
        let mut compared = Compared {
            few: Side::fill(&database, FEW).await?,
            many: Side::fill(&database, many).await?,
            reference: Growth::default(),
            operations: Operation::ALL.map(|operation| (operation, Growth::default())),
        };
        for round in 0..rounds {
            compared.round().await?;
            eprintln!("round {round} of {rounds} is over");
        }
        figures::keep("growth_far", &compared.figures(many))?;
        let provenance = page::provenance(&database.version().await?)?;
        page::publish("growth_far.md", &format!("{provenance}\n{}", compared.table(many, rounds)?))?;
        compared.draw(many)
    })
}

/// The time of one call on either side, and how they compare, round by round.
#[derive(Default)]
struct Growth {
    few: Rounds,
    many: Rounds,
    ratios: Rounds,
}

impl Growth {
    fn add(&mut self, few: f64, many: f64) {
        self.few.add(few);
        self.many.add(many);
        self.ratios.add(many / few);
    }
}

struct Compared {
    few: Side,
    many: Side,
    reference: Growth,
    operations: [(Operation, Growth); Operation::ALL.len()],
}

impl Compared {
    async fn round(&mut self) -> Outcome<()> {
        let Self { few, many, reference, operations } = self;
        for (operation, growth) in operations {
            let (mut with_few, mut with_many) = (Rounds::default(), Rounds::default());
            for call in 0..CALLS {
                for first in [call % 2 == 0, call % 2 != 0] {
                    let (side, times) =
                        if first { (&mut *few, &mut with_few) } else { (&mut *many, &mut with_many) };
                    times.add(operation.time(side).await?);
                }
            }
            growth.add(with_few.median(), with_many.median());
        }
        let with_few = few.reference.reads_a_second(1, REFERENCE_TIME).await?;
        let with_many = many.reference.reads_a_second(1, REFERENCE_TIME).await?;
        reference.add(1.0 / with_few, 1.0 / with_many);
        Ok(())
    }

    /// That which grows most, and an introspection.
    fn figures(&self, many: usize) -> Vec<Figure> {
        let reference = self.reference.ratios.median();
        let figure = |(operation, growth): &(Operation, Growth)| {
            let (times, (low, high)) = (growth.ratios.median() / reference, growth.ratios.middle_half());
            Figure::new(
                [
                    &format!("growth from {FEW} to {many} tokens: {}", operation.name()),
                    &format!("`pgbench -S -M prepared` over as many rows: {reference:.2} ×"),
                    &format!("≤ {GOAL} × it"),
                ],
                &format!("{:.2} × = {times:.2} × it", growth.ratios.median()),
                Some(format!("{:.2} – {:.2} × it", low / reference, high / reference)),
                Some(times <= GOAL),
            )
        };
        self.operations.iter().map(figure).collect()
    }

    fn draw(&self, many: usize) -> Outcome<()> {
        if !page::is_to_be_written() {
            return Ok(());
        }
        let bar = |name: &str, colour, growth: &Growth| Bar {
            name: name.to_owned(),
            colour,
            length: growth.ratios.median(),
            told: format!("{:.2} ×", growth.ratios.median()),
        };
        let reference = bar("one row, by pgbench", "#d97706", &self.reference);
        let ours = self.operations.iter().map(|(operation, growth)| bar(operation.name(), "#2563eb", growth));
        let bars: Vec<Bar> = std::iter::once(reference).chain(ours).collect();
        let title = format!("How many times as long it takes with {many} tokens as with {FEW}");
        let svg = picture::bars(&title, &bars, Some(GOAL * self.reference.ratios.median()))?;
        std::fs::write(format!("{}/docs/performance/growth_far.svg", env!("CARGO_MANIFEST_DIR")), svg)?;
        Ok(())
    }

    fn table(&self, many: usize, rounds: usize) -> Outcome<String> {
        let mut text = format!(
            "{rounds} rounds of {CALLS} calls; medians. The databases take {} and {} MB.\n\n\
             | operation | with {FEW} | with {many} | growth | half of the rounds | in times of that of one row | at most \
             {GOAL} |\n|---|---|---|---|---|---|---|\n",
            self.few.bytes / 1_000_000,
            self.many.bytes / 1_000_000,
        );
        line(&mut text, "one row, by `pgbench -S -M prepared`", &self.reference, None)?;
        for (operation, growth) in &self.operations {
            line(&mut text, operation.name(), growth, Some(&self.reference))?;
        }
        Ok(text)
    }
}

fn line(text: &mut String, name: &str, growth: &Growth, reference: Option<&Growth>) -> Outcome<()> {
    let Growth { few, many, ratios } = growth;
    let (low, high) = ratios.middle_half();
    write!(
        text,
        "| {name} | {} | {} | {:.2} | {low:.2} – {high:.2} |",
        readable(few.median()),
        readable(many.median()),
        ratios.median(),
    )?;
    match reference.map(|reference| ratios.median() / reference.ratios.median()) {
        Some(times) => writeln!(text, " {times:.2} | {} |", if times <= GOAL { "yes" } else { "**no**" })?,
        None => writeln!(text, " | |")?,
    }
    Ok(())
}
