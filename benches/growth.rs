//! Whether an operation takes longer when there are a hundred times as many tokens.
//!
//! Two databases stand side by side, one with 1,000 tokens and one with 100,000, each with a server of its own, and
//! every call on one side is followed by the same call on the other. `cargo bench --bench growth -- --write` writes the
//! figures to `docs/performance/growth.md`.

use std::fmt::Write as _;

use self::comparison::operation::{Cost, Operation, Timed};
use self::comparison::side::{CALLERS, Side};
use self::measure::database::PrivateDatabase;
use self::measure::page::{self, Outcome};
use self::measure::rounds::{Rounds, readable, readable_range};

mod comparison {
    pub(crate) mod operation;
    pub(crate) mod side;
}

#[expect(dead_code, reason = "what only other benchmarks need of it")]
mod measure {
    pub(crate) mod database;
    pub(crate) mod page;
    pub(crate) mod process;
    pub(crate) mod rounds;
    pub(crate) mod served;
}

const FEW: usize = 1_000;
const MANY: usize = 100_000;

const ROUNDS: usize = 25;

/// What the time with many tokens may be, in times with few.
const GOAL: f64 = 1.3;

fn main() -> Outcome<()> {
    let database = PrivateDatabase::start()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut few = Timed::new(Side::fill(&database, FEW).await?).await?;
        let mut many = Timed::new(Side::fill(&database, MANY).await?).await?;
        let table = table(&compare(&mut few, &mut many).await?)?;
        let provenance = page::provenance(&database.version().await?)?;
        page::publish("growth.md", &format!("{provenance}\n{table}\n{}", around(&few.side, &many.side)?))
    })
}

/// How one operation fared, round by round.
struct Compared {
    operation: Operation,
    few: Rounds,
    many: Rounds,
    ratios: Rounds,
}

async fn compare(few: &mut Timed, many: &mut Timed) -> Outcome<Vec<Compared>> {
    let new = |operation| Compared {
        operation,
        few: Rounds::default(),
        many: Rounds::default(),
        ratios: Rounds::default(),
    };
    let mut all: Vec<Compared> = Operation::ALL.into_iter().map(new).collect();
    for _ in 0..ROUNDS {
        for compared in &mut all {
            let (with_few, with_many) = pair(few, many, compared.operation).await?;
            compared.few.add(with_few);
            compared.many.add(with_many);
            compared.ratios.add(with_many / with_few);
        }
    }
    Ok(all)
}

/// The median time of a round's calls on either side, each call followed by the same one on the other.
async fn pair(few: &mut Timed, many: &mut Timed, operation: Operation) -> Outcome<(f64, f64)> {
    let (mut with_few, mut with_many) = (Rounds::default(), Rounds::default());
    for call in 0..calls(operation) {
        if call % 2 == 0 {
            with_few.add(few.time(operation).await?);
            with_many.add(many.time(operation).await?);
        } else {
            with_many.add(many.time(operation).await?);
            with_few.add(few.time(operation).await?);
        }
    }
    Ok((with_few.median(), with_many.median()))
}

/// How often an operation is done in one round. What makes tokens must leave the few few.
const fn calls(operation: Operation) -> u32 {
    match operation.cost() {
        Cost::AToken => 10,
        Cost::AllPages => 1,
        Cost::ACall => 40,
    }
}

/// How fast the tokens were made and used for the first time, and what memory that took.
fn around(few: &Side, many: &Side) -> Outcome<String> {
    Ok(format!(
        "Before that, {CALLERS} callers at once made {:.0} tokens a second in the small database and {:.0} in the large \
         one, and had {:.0} and {:.0} a second introspected for the first time. At the end the server over the small one \
         took {:.0} MiB of resident memory, the other {:.0} MiB.\n",
        few.creates_a_second,
        many.creates_a_second,
        few.introspections_a_second,
        many.introspections_a_second,
        few.server.resident_memory()?,
        many.server.resident_memory()?,
    ))
}

fn table(all: &[Compared]) -> Outcome<String> {
    let mut text = format!(
        "{ROUNDS} rounds; medians.\n\n| operation | with 1,000 | with 100,000 | half of the rounds | ratio | half of the \
         rounds | at most {GOAL} |\n|---|---|---|---|---|---|---|\n"
    );
    for Compared { operation, few, many, ratios } in all {
        let (median, (low, high)) = (ratios.median(), ratios.middle_half());
        writeln!(
            text,
            "| {} | {} | {} | {} | {median:.2} | {low:.2} – {high:.2} | {} |",
            operation.name(),
            readable(few.median()),
            readable(many.median()),
            readable_range(many.middle_half()),
            if median <= GOAL { "yes" } else { "**no**" },
        )?;
    }
    Ok(text)
}
