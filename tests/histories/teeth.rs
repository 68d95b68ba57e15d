//! Shows that the checker bites: each seeded defect is caught by the scenario that leads to it, every time, and the same
//! scenario finds nothing wrong with the program as it is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use crate::arguments::Arguments;
use crate::check::{self, Promise, Violation};
use crate::ground::Ground;
use crate::scenarios::{self, Scenario, Scene};
use crate::world::{Plan, World};
use crate::{random, report, run};

/// Where the table goes.
const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/histories.md");

/// What came of one defect.
struct Bite {
    scenario: Scenario,
    /// How often each promise was seen broken.
    broken: BTreeMap<Promise, u32>,
    caught: u32,
    rounds: u32,
    /// Whether the program without the defect passed.
    passes: bool,
    /// What came of looking for it with random histories.
    hunt: String,
}

/// Tries every scenario, or those that are named. Says whether all bit, and nothing else was bitten.
pub async fn show(ground: &Arc<Ground>, arguments: &Arguments) -> bool {
    let only = arguments.defect.as_deref();
    let standby = ground.postgres.lock().await.can_stand_by();
    let mut bites = Vec::new();
    for scenario in scenarios::all() {
        let skipped = scenario.promotes && !standby;
        if skipped || only.is_some_and(|only| !only.split(',').any(|name| name == scenario.defect)) {
            continue;
        }
        let bite = try_out(ground, scenario, arguments).await;
        println!(
            "{}: caught {}/{} {:?}, passes without: {}, random: {}",
            bite.scenario.defect, bite.caught, bite.rounds, bite.broken, bite.passes, bite.hunt
        );
        bites.push(bite);
    }
    if only.is_none() {
        write_table(&bites);
    }
    !bites.is_empty() && bites.iter().all(|bite| bite.passes && bite.caught == bite.rounds)
}

async fn try_out(ground: &Arc<Ground>, scenario: Scenario, arguments: &Arguments) -> Bite {
    let mut bite = Bite {
        scenario,
        broken: BTreeMap::new(),
        caught: 0,
        rounds: arguments.rounds,
        passes: true,
        hunt: String::new(),
    };
    for round in 0..arguments.rounds {
        let seeded = tell(ground, &bite.scenario, true, round, arguments).await;
        let seen = seeded.iter().map(|violation| violation.promise);
        let meant = |promise: &Promise| bite.scenario.breaks.contains(promise);
        bite.caught += u32::from(seen.clone().any(|promise| meant(&promise)));
        let distinct: std::collections::BTreeSet<Promise> = seen.collect();
        for promise in distinct {
            *bite.broken.entry(promise).or_default() += 1;
        }
        bite.passes &= tell(ground, &bite.scenario, false, round, arguments).await.is_empty();
    }
    bite.hunt = match (arguments.hunt, random::hunt(ground, arguments, bite.scenario.defect).await) {
        (0, _) => "not tried".to_owned(),
        (most, None) => format!("not in {most}"),
        (_, Some(number)) => format!("in history {number}"),
    };
    bite
}

/// Tells a scenario of a program with or without its defect, and judges it.
async fn tell(
    ground: &Arc<Ground>,
    scenario: &Scenario,
    seeded: bool,
    round: u32,
    arguments: &Arguments,
) -> Vec<Violation> {
    let plan = Plan {
        servers: 3,
        sidecars: 1,
        lease: scenario.lease,
        defect: seeded.then(|| scenario.defect.to_owned()),
        calm: scenario.calm,
        server_flags: scenario.server_flags.to_vec(),
    };
    let with = if seeded { "with" } else { "without" };
    let name = format!("{}_{with}_{round}", scenario.defect.to_lowercase());
    let world = Arc::new(World::begin(ground, &name, plan).await);
    let mut scene = Scene::new(&world);
    (scenario.tell)(&mut scene).await;
    scene.done().await;
    let history = run::finish(&world).await;
    let violations = check::check(&history);
    let as_meant = seeded == violations.iter().any(|violation| scenario.breaks.contains(&violation.promise));
    if !as_meant || (!seeded && !violations.is_empty()) {
        violations.iter().take(3).for_each(|violation| println!("  {name}: {violation}"));
        let kept = report::keep(&world, &arguments.keep, &[], &history, &violations);
        println!("  kept in {}", kept.display());
    }
    drop(scene);
    run::end(world).await;
    violations
}

fn write_table(bites: &[Bite]) {
    let mut table = String::new();
    for Bite { scenario, broken, caught, rounds, hunt, .. } in bites {
        let promises: Vec<String> = broken.keys().map(|promise| format!("{promise:?}")).collect();
        let promises = promises.join(", ");
        let Scenario { defect, harm, .. } = scenario;
        writeln!(table, "| `{defect}` | {harm} | {promises} | {caught}/{rounds} | {hunt} |").unwrap();
    }
    let text = std::fs::read_to_string(TABLE).unwrap_or_default();
    let (begin, end) = ("<!-- teeth -->\n", "<!-- end of teeth -->");
    let head = text.split(begin).next().unwrap_or_default();
    let tail = text.split(end).nth(1).unwrap_or("\n");
    let title = "| defect | what it does to those who rely on us | caught by | directed | random |\n|---|---|---|---|---|\n";
    std::fs::write(TABLE, format!("{head}{begin}{title}{table}{end}{tail}")).unwrap();
}
