//! Real histories under real faults, judged against every promise. A program of its own: see `arguments.rs`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    clippy::cast_precision_loss,
    unreachable_pub,
    reason = "a test that fails should say where, and reads better than it runs"
)]

mod arguments;
mod calls;
mod chance;
mod check;
mod client;
mod cluster;
mod faults;
mod ground;
mod history;
mod moment;
mod process;
mod proxy;
mod recorder;
mod report;
mod run;
mod scenarios;
mod teeth;
mod watcher;
mod world;

use std::process::ExitCode;
use std::sync::Arc;

use arguments::Arguments;
use faults::Scope;
use ground::Ground;
use history::History;
use report::Totals;
use world::Plan;

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
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
    let clean = runtime.block_on(async {
        if arguments.teeth { teeth::show(&arguments).await } else { random(&arguments).await }
    });
    if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs random histories, and says whether none broke a promise.
async fn random(arguments: &Arguments) -> bool {
    let ground = Arc::new(Ground::lay(&arguments.program).await);
    let standby = ground.postgres.lock().await.can_stand_by();
    if !standby {
        println!("this build of PostgreSQL has no pg_basebackup: no standby, and nothing is promoted");
    }
    let scope = Scope { servers: arguments.servers, sidecars: arguments.sidecars, standby };
    let mut totals = Totals::default();
    for seed in arguments.seed..arguments.seed + arguments.histories {
        one(&ground, arguments, scope, seed, &mut totals).await;
    }
    totals.print();
    totals.is_clean()
}

async fn one(ground: &Arc<Ground>, arguments: &Arguments, scope: Scope, seed: u64, totals: &mut Totals) {
    let plan = Plan {
        servers: arguments.servers,
        sidecars: arguments.sidecars,
        lease: arguments.lease,
        defect: arguments.defect.clone(),
        calm: false,
        server_flags: Vec::new(),
    };
    let faults = run::schedule(seed, scope, arguments.length);
    let begun = moment::Moment::now();
    let world = run::world(ground, &format!("history_{seed}"), plan).await;
    let history = run::run(&world, seed, &faults, arguments.length).await;
    let violations = check::check(&history);
    totals.add(seed, &history, &violations);
    let took = moment::Moment::now().since(begun);
    println!(
        "seed {seed}: {} operations, {} violations, {took:.1?}",
        history.operations.len(),
        violations.len()
    );
    if !violations.is_empty() {
        for fault in &faults {
            println!("  {fault}");
        }
        violations.iter().take(5).for_each(|violation| println!("  {violation}"));
        let kept = report::keep(&world, &arguments.keep, &faults, &history, &violations);
        println!(
            "  kept in {}; again by: cargo test --test histories -- --seed {seed} --histories 1 --seconds {} --servers {} --sidecars {} --lease {}",
            kept.display(),
            arguments.length.as_secs(),
            arguments.servers,
            arguments.sidecars,
            arguments.lease.as_millis()
        );
    }
    let (database, directory) = (world.database.clone(), world.directory.clone());
    drop(world);
    ground.drop_database(&database).await;
    std::fs::remove_dir_all(directory).ok();
}
