//! Random histories, one after the other: of the program as it is, or of one with a defect that they are to find.

use std::sync::Arc;

use crate::arguments::Arguments;
use crate::check::{self, Violation};
use crate::faults::{Fault, Scope};
use crate::ground::Ground;
use crate::moment::Moment;
use crate::report::{self, Totals};
use crate::run;
use crate::world::Plan;

/// Runs the histories that are asked for, and says whether none broke a promise.
pub async fn run(ground: &Arc<Ground>, arguments: &Arguments) -> bool {
    if !ground.postgres.lock().await.can_stand_by() {
        println!("this build of PostgreSQL has no pg_basebackup: no standby, and nothing is promoted");
    }
    let mut totals = Totals::default();
    for seed in arguments.seed..arguments.seed + arguments.histories {
        one(ground, arguments, arguments.defect.as_deref(), seed, &mut totals).await;
    }
    totals.print();
    totals.is_clean()
}

/// Looks for a defect with so many histories at most; gives the number of the one that found it, from 1.
pub async fn hunt(ground: &Arc<Ground>, arguments: &Arguments, defect: &str) -> Option<u64> {
    for number in 1..=arguments.hunt {
        let seed = arguments.seed + number;
        let violations = one(ground, arguments, Some(defect), seed, &mut Totals::default()).await;
        // A busy machine may be late without any defect.
        if violations.iter().any(|violation| violation.promise != check::Promise::Converges) {
            return Some(number);
        }
    }
    None
}

async fn one(
    ground: &Arc<Ground>,
    arguments: &Arguments,
    defect: Option<&str>,
    seed: u64,
    totals: &mut Totals,
) -> Vec<Violation> {
    let Arguments { servers, sidecars, lease, length, .. } = *arguments;
    let standby = ground.postgres.lock().await.can_stand_by();
    let faults = run::schedule(seed, Scope { servers, sidecars, standby }, length);
    let begun = Moment::now();
    let defect = defect.map(str::to_owned);
    let plan = Plan { servers, sidecars, lease, defect, calm: false, server_flags: Vec::new() };
    let world = run::world(ground, &format!("history_{seed}"), plan).await;
    let history = run::run(&world, seed, &faults, length).await;
    let violations = check::check(&history);
    totals.add(seed, &history, &violations);
    let (operations, took) = (history.operations.len(), Moment::now().since(begun));
    println!("seed {seed}: {operations} operations, {} violations, {took:.1?}", violations.len());
    if !violations.is_empty() && world.plan.defect.is_none() {
        let kept = report::keep(&world, &arguments.keep, &faults, &history, &violations);
        tell(arguments, seed, &faults, &violations);
        println!("  kept in {}", kept.display());
    }
    run::end(world).await;
    violations
}

fn tell(arguments: &Arguments, seed: u64, faults: &[Fault], violations: &[Violation]) {
    for fault in faults {
        println!("  {fault}");
    }
    for violation in violations.iter().take(5) {
        println!("  {violation}");
    }
    let Arguments { length, servers, sidecars, lease, .. } = arguments;
    let (seconds, lease) = (length.as_secs(), lease.as_millis());
    println!(
        "  again by: cargo test --test histories -- --seed {seed} --histories 1 --seconds {seconds} \
         --servers {servers} --sidecars {sidecars} --lease {lease}"
    );
}
