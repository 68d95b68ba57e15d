//! A model of the lease protocol: the real caches, leases and grants of servers and sidecars, in a world whose network,
//! database, clocks and failures are made up. docs/protocol.md tells what it covers and how it is run.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a model that fails should say where")]

mod checks;
mod choices;
mod client;
mod database;
mod defects;
mod fleet;
mod schedule;
mod server;
mod sidecar;
mod world;

use std::time::Instant;

use tokenkeep::proof::Prover;

use self::defects::Defect;

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// The first seed; each schedule has the next.
fn first() -> u64 {
    number("MODEL_SEED").unwrap_or(1)
}

fn schedules(usual: u64) -> u64 {
    number("MODEL_SCHEDULES").unwrap_or(usual)
}

/// Runs so many schedules of the protocol as it is.
fn explore(schedules: u64) {
    let (prover, begun) = (Prover::new().unwrap(), Instant::now());
    let (mut accepts, mut denials, mut refusals) = (0, 0, 0);
    for seed in (first()..).take(usize::try_from(schedules).unwrap()) {
        let checks = schedule::run(seed, None, &prover, false);
        if let Some(violation) = checks.violation {
            panic!(
                "{violation}; to see it: MODEL_SEED={seed} cargo test --test model replay -- --ignored --nocapture"
            );
        }
        (accepts, denials, refusals) =
            (accepts + checks.accepts, denials + checks.denials, refusals + checks.refusals);
    }
    let seeds = (first(), first() + schedules - 1);
    println!(
        "{schedules} schedules, seeds {seeds:?}, {accepts} accepts, {denials} denials, {refusals} refusals, no violation, {:?}",
        begun.elapsed()
    );
    assert!(accepts > schedules * 10 && denials > schedules, "the schedules ask too little");
}

/// How many schedules it takes to find a defect.
fn find(defect: Defect, most: u64) -> Option<(u64, String)> {
    let prover = Prover::new().unwrap();
    (1..=most).find_map(|count| {
        let violation = schedule::run(first() + count - 1, Some(defect), &prover, false).violation?;
        Some((count, violation))
    })
}

#[test]
fn the_protocol_keeps_its_promises() {
    explore(schedules(1000));
}

/// `MODEL_SCHEDULES=100000 cargo test --release --test model many -- --ignored --nocapture`
#[test]
#[ignore = "minutes"]
fn the_protocol_keeps_its_promises_in_many_schedules() {
    explore(schedules(20_000));
}

#[test]
fn every_defect_is_found() {
    let most = schedules(2000);
    let found = Defect::ALL.map(|defect| (defect, find(defect, most)));
    for (defect, found) in &found {
        println!("{defect:?}: {found:?}");
    }
    assert!(found.iter().all(|(_, found)| found.is_some()), "a defect was not found in {most} schedules");
}

/// `MODEL_SEED=1 MODEL_DEFECT=NoFence cargo test --test model replay -- --ignored --nocapture`
#[test]
#[ignore = "for reading one schedule"]
fn replay() {
    let name = std::env::var("MODEL_DEFECT").unwrap_or_default();
    let defect = Defect::ALL.into_iter().find(|defect| format!("{defect:?}") == name);
    let checks = schedule::run(first(), defect, &Prover::new().unwrap(), true);
    println!("{:?}", checks.violation);
}
