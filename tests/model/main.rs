//! A model of the lease protocol: the real caches, leases and grants of servers and sidecars, in a world whose network,
//! database, clocks and failures are made up. docs/protocol.md tells what it covers and how it is run.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    reason = "a model that fails should say where"
)]

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
    explore(schedules(500));
}

/// `MODEL_SCHEDULES=100000 cargo test --release --test model many -- --ignored --nocapture`
#[test]
#[ignore = "minutes"]
fn the_protocol_keeps_its_promises_in_many_schedules() {
    explore(schedules(20_000));
}

/// Every sequence of so many faults, each after the last began.
fn exhaust(length: u32) {
    let (faults, prover) = (schedule::faults(), Prover::new().unwrap());
    for number in 0..faults.len().pow(length) {
        let digit = |place| faults[number / faults.len().pow(place) % faults.len()];
        let sequence: Vec<_> = (0..length).map(digit).collect();
        let violation = schedule::run_with(&sequence, &prover).violation;
        assert_eq!(violation, None, "{sequence:?}");
    }
    println!("all {} sequences of {length} faults, no violation", faults.len().pow(length));
}

#[test]
fn no_sequence_of_two_faults_breaks_it() {
    exhaust(2);
}

/// `cargo test --release --test model sequence_of_three -- --ignored --nocapture`
#[test]
#[ignore = "minutes"]
fn no_sequence_of_three_faults_breaks_it() {
    exhaust(3);
}

/// Finds those defects that are found in so many schedules, and gives the others.
fn find_all(most: u64) -> Vec<Defect> {
    let mut missed = Vec::new();
    for defect in Defect::ALL {
        match find(defect, most) {
            Some((count, violation)) => println!("| {defect:?} | {count} | {violation} |"),
            None => missed.push(defect),
        }
    }
    missed
}

#[test]
fn a_common_defect_is_found_at_once() {
    let missed = find_all(schedules(100));
    assert!(missed.len() <= Defect::ALL.len() / 2, "not found: {missed:?}");
    assert!(
        !missed.contains(&Defect::UsableBeforeApplied) && !missed.contains(&Defect::AcknowledgeIgnoresGrants)
    );
}

/// `cargo test --release --test model every_defect -- --ignored --nocapture`
#[test]
#[ignore = "a minute"]
fn every_defect_is_found() {
    assert_eq!(find_all(schedules(30_000)), []);
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
