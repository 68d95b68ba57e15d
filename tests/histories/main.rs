//! Real histories under real faults, judged against every promise. A program of its own: see `arguments.rs`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    unreachable_pub,
    reason = "a test that fails should say where, and reads better than it runs"
)]

mod arguments;
mod calls;
mod chance;
mod check;
mod client;
mod cluster;
mod cut;
mod faults;
mod ground;
mod history;
mod moment;
mod process;
mod proxy;
mod random;
mod recorder;
mod report;
mod run;
mod scenarios;
mod tables;
mod teeth;
mod watcher;
mod world;

use std::process::ExitCode;
use std::sync::Arc;

use arguments::Arguments;
use ground::Ground;
use history::History;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => return ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    if let Some(path) = &arguments.check {
        let history: History = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let violations = check::check(&history);
        for violation in &violations {
            println!("{violation}");
        }
        return if violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let clean = runtime.block_on(work(&arguments));
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs everything that is asked for, and says whether nothing was wrong.
async fn work(arguments: &Arguments) -> bool {
    let ground = Arc::new(Ground::lay(&arguments.program).await);
    if arguments.teeth {
        return teeth::show(&ground, arguments).await;
    }
    let mut clean = true;
    if arguments.cut > 0 {
        clean &= cut::run(&ground, arguments).await;
    }
    if arguments.histories > 0 {
        clean &= random::run(&ground, arguments).await;
    }
    clean
}
