//! What memory a token takes that is known.
//!
//! A cache in this process, filled as a server fills its own, and then a server of its own. `cargo bench --bench memory --
//! --write` writes the figures to `docs/performance/memory.md`.

use std::fmt::Write as _;

use self::holding::filled::Filled;
use self::holding::server;
use self::measure::arguments::number;
use self::measure::database::PrivateDatabase;
use self::measure::figures::{self, Figure};
use self::measure::page::{self, Outcome};

mod holding {
    pub(crate) mod filled;
    pub(crate) mod server;
}

#[expect(dead_code, reason = "what only other benchmarks need of it")]
mod measure {
    pub(crate) mod arguments;
    pub(crate) mod database;
    pub(crate) mod figures;
    pub(crate) mod minted;
    pub(crate) mod page;
    pub(crate) mod process;
    pub(crate) mod rounds;
    pub(crate) mod served;
}

/// What a token may take, in bytes.
const GOAL: f64 = 300.0;

fn main() -> Outcome<()> {
    let tokens = number("--tokens", 1_000_000)?;
    let served = number("--served", 100_000)?;
    let filled = Filled::with(tokens)?;
    let mut text = table(&filled)?;
    filled.look_up(number("--rounds", 1)?)?;
    if served == 0 {
        println!("{text}");
        return Ok(());
    }
    let database = PrivateDatabase::start()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let bytes = server::bytes_per_token(&database, served).await?;
        writeln!(
            text,
            "\nA server process grew by {bytes:.0} bytes for each of {served} tokens that were introspected, with all that \
             serving them took beside the cache.\n"
        )?;
        figures::keep("memory", &[figure(&filled)])?;
        let provenance = page::provenance(&database.version().await?)?;
        page::publish("memory.md", &format!("{provenance}\n{text}"))
    })
}

fn figure(filled: &Filled) -> Figure {
    let each = filled.bytes_per_token();
    let what = format!("a cached token, few interned scopes, no metadata, of {}", filled.tokens());
    Figure::new([&what, "–", "≤ 300 B resident"], &format!("{each:.0} B"), None, Some(each <= GOAL))
}

fn table(filled: &Filled) -> Outcome<String> {
    let each = filled.bytes_per_token();
    let mut text = format!("{} tokens.\n\n| what | bytes for a token |\n|---|---|\n", filled.tokens());
    let mut sum = 0.0;
    for (what, bytes) in filled.parts() {
        sum += bytes;
        writeln!(text, "| {what} | {bytes:.1} |")?;
    }
    let reached = if each <= GOAL { "is reached" } else { "is **not** reached" };
    writeln!(
        text,
        "| the rest: the index, room to grow, what the allocator keeps | {:.1} |\n| **in all, resident** | \
         **{each:.1}** |\n\nThe goal of at most {GOAL:.0} bytes {reached}.\n",
        each - sum
    )?;
    Ok(text)
}
