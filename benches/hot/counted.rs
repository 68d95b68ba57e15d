//! What was counted, beside what was the last time that anybody took it down.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use serde::Deserialize;

use super::profile::Profile;
use crate::measure::page::{self, Outcome};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/hot_path.counts.toml");

/// How much more there may be, in instructions: compilers and libraries differ a little.
const MOST: f64 = 1.05;

/// With less than this, the counts should be taken down anew.
const LEAST: f64 = 0.90;

/// How many more times memory may be asked for: buffers and tables grow now and then.
const MORE_ALLOCATIONS: f64 = 0.5;

/// How many functions are named.
const FUNCTIONS: usize = 40;

/// What one call costs the thread that serves it.
#[derive(Deserialize)]
pub(crate) struct Counted {
    instructions: f64,
    allocations: f64,
    /// The instructions of the functions that have the most.
    functions: BTreeMap<String, f64>,
}

/// What each kind of call costs.
#[derive(Deserialize)]
pub(crate) struct Counts {
    pub(crate) introspection: Counted,
    pub(crate) empty: Counted,
    /// Of a batch, for each token.
    pub(crate) batched: Counted,
}

impl Counted {
    /// What each of so many calls had of it.
    pub(crate) fn of(profile: &Profile, calls: usize) -> Outcome<Self> {
        let calls = f64::from(u32::try_from(calls)?);
        let each = |count: u64| Ok::<_, std::num::TryFromIntError>(f64::from(u32::try_from(count)?) / calls);
        let functions = profile.instructions.iter();
        let functions = functions.map(|(name, count)| Ok((name.clone(), each(*count)?)));
        Ok(Self {
            instructions: each(profile.instructions())?,
            allocations: each(profile.allocations())?,
            functions: functions.collect::<Outcome<_>>()?,
        })
    }

    fn busiest(&self) -> Vec<(&str, f64)> {
        let mut functions: Vec<_> =
            self.functions.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        functions.sort_by(|one, other| other.1.total_cmp(&one.1));
        functions.truncate(FUNCTIONS);
        functions
    }

    /// What is wrong with it, in lines that tell which functions grew.
    fn judged(&self, name: &str, before: &Self) -> String {
        let many = (self.instructions > before.instructions * MOST).then(|| {
            format!("{name}: {:.0} instructions, of {:.0}\n", self.instructions, before.instructions)
        });
        let more = (self.allocations > before.allocations + MORE_ALLOCATIONS)
            .then(|| format!("{name}: {:.2} allocations, of {:.2}\n", self.allocations, before.allocations));
        let wrong: String = many.into_iter().chain(more).collect();
        if wrong.is_empty() {
            if self.instructions < before.instructions * LEAST {
                println!("{name} costs much less than was taken down: take it down anew, with --write");
            }
            return wrong;
        }
        wrong + &self.grown(before)
    }

    fn grown(&self, before: &Self) -> String {
        let grown = |(name, count): (&str, f64)| {
            let more = count - before.functions.get(name).copied().unwrap_or_default();
            (more, format!("    {more:+8.0}  {name}\n"))
        };
        let mut grown: Vec<_> = self.busiest().into_iter().map(grown).collect();
        grown.sort_by(|one, other| other.0.total_cmp(&one.0));
        grown.into_iter().take(8).map(|(_, line)| line).collect()
    }

    fn write(&self, name: &str, file: &mut String) -> Outcome<()> {
        writeln!(
            file,
            "[{name}]\ninstructions = {:.1}\nallocations = {:.2}\n",
            self.instructions, self.allocations
        )?;
        writeln!(file, "[{name}.functions]")?;
        for (name, count) in self.busiest() {
            writeln!(file, "{name:?} = {count:.1}")?;
        }
        Ok(writeln!(file)?)
    }
}

impl Counts {
    fn each(&self) -> [(&'static str, &Counted); 3] {
        [("introspection", &self.introspection), ("empty", &self.empty), ("batched", &self.batched)]
    }

    /// A table of all, and the profile of an introspection.
    pub(crate) fn page(&self) -> Outcome<String> {
        let mut page = "| | instructions | allocations |\n|---|---|---|\n".to_owned();
        let empty = &self.empty;
        let rows = [("a hot introspection", &self.introspection), ("an empty call of the same sizes", empty)];
        for (name, counted) in rows.into_iter().chain([("a token in a batch of 256", &self.batched)]) {
            writeln!(page, "| {name} | {:.0} | {:.1} |", counted.instructions, counted.allocations)?;
        }
        let ratio = empty.instructions / self.introspection.instructions;
        writeln!(page, "\nAn empty call has {ratio:.2} times the instructions of a hot introspection.\n")?;
        writeln!(page, "```text\n introspection  empty call")?;
        for (name, count) in self.introspection.busiest() {
            let in_empty = empty.functions.get(name).copied().unwrap_or_default();
            writeln!(page, "{count:14.0}  {in_empty:10.0}  {name}")?;
        }
        writeln!(page, "```")?;
        Ok(page)
    }
}

/// Prints what was counted; given `--write`, takes it down, else fails if it is more than was taken down before.
pub(crate) fn publish(counts: &Counts, measured: &str) -> Outcome<()> {
    page::publish("hot_path.md", measured)?;
    if std::env::args().any(|argument| argument == "--write") {
        let mut file =
            "# Taken down by `cargo bench --bench hot_path -- --write`: what a call costs its thread.\n\n"
                .to_owned();
        counts.each().into_iter().try_for_each(|(name, counted)| counted.write(name, &mut file))?;
        return Ok(fs::write(FILE, file)?);
    }
    let before: Counts = toml::from_str(&fs::read_to_string(FILE)?)?;
    let judged = counts.each().into_iter().zip(before.each());
    let wrong: String = judged.map(|((name, counted), (_, before))| counted.judged(name, before)).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    eprintln!("{wrong}");
    Err("calls cost more than benches/hot_path.counts.toml says".into())
}
