//! How soon `dev` serves on a data directory that is there, and what memory it takes when nobody asks anything of it.
//!
//! `cargo bench --bench start -- --write` writes it to `docs/performance/start.md`.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use self::measure::page::{self, Outcome};
use self::measure::process::{ServerProcess, tokenkeep};
use self::measure::rounds::{Rounds, readable, readable_range};

#[expect(dead_code, reason = "what only other benchmarks need of it")]
mod measure {
    pub(crate) mod page;
    pub(crate) mod process;
    pub(crate) mod rounds;
}

const STARTS: usize = 9;

/// How long a server is left alone before its memory is looked at.
const IDLE: Duration = Duration::from_secs(5);

/// The goals.
const SOON: f64 = 1.0;
const SMALL: f64 = 40.0;

fn main() -> Outcome<()> {
    let directory = tempfile::Builder::new().prefix("tk").tempdir()?;
    // Started by root, PostgreSQL runs as another user, who must get through.
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755))?;
    let first = start(directory.path())?;
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        starts.push(start(directory.path())?);
    }
    page::publish(
        "start.md",
        &format!("{}\n{}", page::provenance("a private PostgreSQL")?, table(&first, &starts)?),
    )
}

/// One start, from the first instruction to an idle server.
struct Start {
    /// Seconds until it answered a health check over gRPC that it serves.
    serving: f64,
    /// Resident memory of its own process, in MiB.
    resident: f64,
}

fn start(directory: &Path) -> Outcome<Start> {
    let begun = Instant::now();
    let server = ServerProcess::start(tokenkeep("dev").arg("--data-dir").arg(directory))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(check_health(&server))?;
    let serving = begun.elapsed().as_secs_f64();
    thread::sleep(IDLE);
    Ok(Start { serving, resident: server.resident_memory()? })
}

async fn check_health(server: &ServerProcess) -> Outcome<()> {
    let channel = Endpoint::from_shared(format!("http://{}", server.address))?.connect().await?;
    let answer = HealthClient::new(channel).check(HealthCheckRequest::default()).await?;
    if answer.into_inner().status() == ServingStatus::Serving {
        return Ok(());
    }
    Err("the server says that it does not serve".into())
}

fn table(first: &Start, starts: &[Start]) -> Outcome<String> {
    let (mut serving, mut resident) = (Rounds::default(), Rounds::default());
    for start in starts {
        serving.add(start.serving);
        resident.add(start.resident);
    }
    let (low, high) = resident.middle_half();
    let mut text = format!(
        "{STARTS} starts on a directory that is there, after one that made it.\n\n\
         | what | median | half of the starts | goal |\n|---|---|---|---|\n"
    );
    writeln!(
        text,
        "| from nothing running to the first answer over gRPC | {} | {} | below {} |",
        readable(serving.median()),
        readable_range(serving.middle_half()),
        readable(SOON),
    )?;
    writeln!(
        text,
        "| resident memory when idle, without PostgreSQL | {:.1} MiB | {low:.1} – {high:.1} MiB | below {SMALL:.0} MiB |",
        resident.median(),
    )?;
    writeln!(
        text,
        "\nThe start that made the directory, PostgreSQL's cluster included, took {}.",
        readable(first.serving)
    )?;
    Ok(text)
}
