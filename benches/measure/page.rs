//! The page that figures are written to, and what they were measured on.

use std::error::Error;
use std::fs;
use std::process::Command;

/// Failures of a benchmark go to whoever started it.
pub(crate) type Outcome<Value> = Result<Value, Box<dyn Error + Send + Sync>>;

const BEGIN: &str = "<!-- measured: begin -->\n";
const END: &str = "<!-- measured: end -->";

/// Prints what was measured and, given `--write`, puts it between the markers of its page under `docs/performance`.
pub(crate) fn publish(page: &str, measured: &str) -> Outcome<()> {
    println!("{measured}");
    if !is_to_be_written() {
        return Ok(());
    }
    let path = format!("{}/docs/performance/{page}", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(&path)?;
    let (before, rest) = text.split_once(BEGIN).ok_or("the page has no place that begins")?;
    let (_, after) = rest.split_once(END).ok_or("the page has no place that ends")?;
    fs::write(&path, format!("{before}{BEGIN}\n{measured}\n{END}{after}"))?;
    Ok(())
}

/// Whether what was measured is to be kept.
pub(crate) fn is_to_be_written() -> bool {
    std::env::args().any(|argument| argument == "--write")
}

/// One sentence: when, what, and on what machine. `others` names what else took part, with its version.
pub(crate) fn provenance(others: &str) -> Outcome<String> {
    let cores = std::thread::available_parallelism()?;
    let date = said_by("date", &["-u", "+%F"])?;
    let compiler = said_by("rustc", &["--version"])?;
    let compiler = compiler.split(" (").next().unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg")?;
    let load = load.split(' ').next().unwrap_or_default();
    Ok(format!(
        "Measured on {date} at commit {}: tokenkeep {} built by {compiler} for release, {others}, on {cores} cores of \
         {}, whose load was {load} when the run ended.\n",
        commit()?,
        tokenkeep::VERSION,
        processor()?,
    ))
}

fn commit() -> Outcome<String> {
    let commit = said_by("git", &["rev-parse", "--short", "HEAD"])?;
    let measured = ["status", "--porcelain", "--", "src", "benches", "migrations", "Cargo.lock"];
    let changed = !said_by("git", &measured)?.is_empty();
    Ok(if changed { format!("{commit} with changes") } else { commit })
}

fn processor() -> Outcome<String> {
    let text = fs::read_to_string("/proc/cpuinfo")?;
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    Ok(model.map_or("an unnamed processor", |(_, model)| model).to_owned())
}

fn said_by(program: &str, arguments: &[&str]) -> Outcome<String> {
    let output = Command::new(program).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
