//! All figures by one command: runs the benchmarks one after another and gathers what each left in one table.
//!
//! `cargo bench --bench report -- --write` takes about half an hour on two cores and writes `docs/performance/README.md`, and
//! the page and the pictures of every benchmark beside it. `--only serving,cold` runs some, and takes the others as they
//! were left last.

use std::process::Command;
use std::time::Instant;

use self::measure::arguments;
use self::measure::figures::{self, Figure};
use self::measure::page::{self, Outcome};

#[expect(dead_code, reason = "what only other benchmarks need of it")]
mod measure {
    pub(crate) mod arguments;
    pub(crate) mod figures;
    pub(crate) mod page;
    pub(crate) mod rounds;
}

/// The benchmarks that leave figures, in the order of the table.
const BENCHMARKS: [&str; 9] = [
    "serving",
    "cold",
    "group_commit",
    "creating",
    "propagation",
    "watching",
    "memory",
    "growth_far",
    "restart",
];

fn main() -> Outcome<()> {
    let only = arguments::word("--only");
    let mut rows = String::new();
    for benchmark in BENCHMARKS {
        if only.as_ref().is_none_or(|only| only.split(',').any(|name| name == benchmark)) {
            run(benchmark)?;
        }
        let page = format!("[{benchmark}]({benchmark}.md)");
        rows.extend(figures::take(benchmark)?.iter().map(|figure| figure.row_from(&page)));
    }
    let provenance = page::provenance("each as its page says")?;
    page::publish("README.md", &format!("{provenance}\n{}{rows}", Figure::HEAD_WITH_PAGES))
}

/// Runs a benchmark as a person would, which leaves its figures and, with `--write`, its page.
fn run(benchmark: &str) -> Outcome<()> {
    let begun = Instant::now();
    eprintln!("{benchmark} …");
    let mut command = Command::new("cargo");
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["bench", "--locked", "--quiet", "--bench", benchmark, "--"]);
    // What cargo says of this program is for this program: some dependencies would be built anew for it.
    for (name, _) in std::env::vars_os() {
        let is_of_this = |prefix| name.to_string_lossy().starts_with(prefix);
        if is_of_this("CARGO_PKG_") || is_of_this("CARGO_MANIFEST_") || name == "OUT_DIR" {
            command.env_remove(name);
        }
    }
    if page::is_to_be_written() {
        command.arg("--write");
    }
    let status = command.status()?;
    eprintln!("{benchmark}: {} s", begun.elapsed().as_secs());
    if status.success() { Ok(()) } else { Err(format!("{benchmark} has failed: {status}").into()) }
}
