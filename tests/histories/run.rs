//! One random history, from an empty database to the judgement.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::chance::Chance;
use crate::client::{Client, WORKSPACES};
use crate::faults::{Fault, Scope};
use crate::ground::Ground;
use crate::history::{Aftermath, Answer, Freshness, History, Node, TokenRow};
use crate::moment::Moment;
use crate::recorder::Known;
use crate::tables::{Tables, tables};
use crate::watcher::Watcher;
use crate::world::{Plan, World};

const CLIENTS: usize = 6;

/// How long everybody is given to agree with the database, before that is given up.
const PATIENCE: Duration = Duration::from_secs(12);

/// What is drawn for a history.
pub fn schedule(seed: u64, scope: Scope, length: Duration) -> Vec<Fault> {
    let mut chance = Chance::new(seed).fork(1);
    let count = 2 + chance.below(4);
    let mut faults: Vec<Fault> = (0..count).map(|_| Fault::draw(&mut chance, scope, length)).collect();
    faults.sort_by_key(|fault| fault.after);
    faults
}

/// Runs a history under a schedule of faults.
pub async fn run(world: &Arc<World>, seed: u64, faults: &[Fault], length: Duration) -> History {
    let until = Moment::now().after(length);
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..CLIENTS {
        let client = Client::new(number, &world.reach, &world.recorder);
        tasks.spawn(client.work(Chance::new(seed).fork(100 + number as u64), until));
    }
    for (number, workspace) in [None, Some(WORKSPACES[0]), None].into_iter().enumerate() {
        let watcher = Watcher::new(number, &world.reach, &world.recorder, workspace);
        tasks.spawn(watcher.work(Chance::new(seed).fork(200 + number as u64), until));
    }
    for fault in faults.iter().cloned() {
        let world = Arc::clone(world);
        tasks.spawn(async move {
            tokio::time::sleep(fault.after).await;
            world.suffer(&fault).await;
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    finish(world).await
}

/// Ends every fault, waits until everybody agrees, and takes down what the database says.
pub async fn finish(world: &Arc<World>) -> History {
    let healed = world.heal().await;
    let stalls = Stalls::watch();
    let mut agreeing = tokio::task::JoinSet::new();
    for node in world.nodes() {
        agreeing.spawn(agree(Arc::clone(world), node, healed));
    }
    let mut converged = agreeing.join_all().await;
    converged.sort_unstable();
    let stalled = stalls.total();
    let idle_in_transaction = idle_in_transaction(world).await;
    let Tables { log: rest, tokens, principals, workspaces } = tables(world).await;
    let mut log = std::mem::take(&mut *world.compacted.lock().await);
    log.extend(rest);
    crate::history::told::tell_overlap_ends(&mut log);
    let (operations, streams) = world.recorder.finish();
    let renewals = world.renewals.lock().await.clone();
    let mut misdeeds = Vec::new();
    for node in world.nodes() {
        misdeeds
            .extend(world.program(node).lock().await.misdeeds().into_iter().map(|misdeed| (node, misdeed)));
    }
    let aftermath = Aftermath { converged, stalled, idle_in_transaction, misdeeds };
    History {
        lease: world.plan.lease,
        calm: world.plan.calm,
        operations,
        streams,
        renewals,
        log,
        tokens,
        principals,
        workspaces,
        aftermath,
    }
}

/// How late a task is that only wants to run every few milliseconds: on a machine that others keep busy, everybody is.
struct Stalls(Arc<Mutex<Duration>>, JoinHandle<()>);

impl Stalls {
    fn watch() -> Self {
        const TICK: Duration = Duration::from_millis(10);
        let total = Arc::new(Mutex::new(Duration::ZERO));
        let noted = Arc::clone(&total);
        let watching = tokio::spawn(async move {
            loop {
                let begun = Moment::now();
                tokio::time::sleep(TICK).await;
                let late = Moment::now().since(begun).saturating_sub(2 * TICK);
                *noted.lock().unwrap() += late;
            }
        });
        Self(total, watching)
    }

    fn total(self) -> Duration {
        self.1.abort();
        *self.0.lock().unwrap()
    }
}

/// How long it takes until a node says of every token what the database says.
async fn agree(world: Arc<World>, node: Node, healed: Moment) -> (Node, Option<Duration>) {
    let mut client = Client::new(CLIENTS, &world.reach, &world.recorder);
    while Moment::now().since(healed) < PATIENCE {
        let truth: BTreeMap<String, TokenRow> =
            tables(&world).await.tokens.into_iter().map(|row| (row.token.clone(), row)).collect();
        if agrees(&mut client, node, &world.recorder.tokens(), &truth).await {
            return (node, Some(Moment::now().since(healed)));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    (node, None)
}

async fn agrees(
    client: &mut Client,
    node: Node,
    known: &[Known],
    truth: &BTreeMap<String, TokenRow>,
) -> bool {
    let secrets = |known: &Known| known.secrets.keys().rev().take(2).copied().collect::<Vec<i32>>();
    let presented: Vec<(&Known, i32)> = known
        .iter()
        .rev()
        .flat_map(|known| secrets(known).into_iter().map(move |last| (known, last)))
        .collect();
    for presented in presented.chunks(BATCH).take(2) {
        let answers = client.introspect_batch(node, presented, Freshness::Leased).await;
        if !presented.iter().zip(answers).all(|((known, generation), answer)| {
            truth.get(&known.id).is_some_and(|row| is_so(known, *generation, row, &answer))
        }) {
            return false;
        }
    }
    true
}

/// How many tokens are presented at once.
const BATCH: usize = 128;

/// Whether the answer is what the database says.
fn is_so(known: &Known, generation: i32, row: &TokenRow, answer: &Answer) -> bool {
    match answer {
        Answer::Active { revision, .. } => {
            let works = row.generation == generation || row.previous == Some(generation);
            !row.revoked && !row.held_back && works && row.told == *revision
        }
        // Of expiry the rows here say nothing; the checker knows it from the answers themselves.
        Answer::Inactive(_) => row.revoked || row.held_back || row.generation != generation || known.expires,
        _ => false,
    }
}

/// How long a session may be idle in a transaction: after five seconds PostgreSQL is told to end it, for whoever lost the
/// answer to half of a transaction may not have given up on it yet.
const IDLE: Duration = Duration::from_secs(7);

async fn idle_in_transaction(world: &World) -> usize {
    let ask = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
               AND state LIKE 'idle in transaction%' AND state_change < clock_timestamp() - interval '1 second'";
    let client = world.ground.postgres.lock().await.primary.connect_patiently(&world.database).await;
    let begun = Moment::now();
    loop {
        let idle = client.query_one(ask, &[]).await.unwrap().get::<_, i64>(0);
        if idle == 0 || Moment::now().since(begun) > IDLE {
            return usize::try_from(idle).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Takes a world down.
pub async fn end(world: Arc<World>) {
    let (ground, database, directory) =
        (Arc::clone(&world.ground), world.database.clone(), world.directory.clone());
    drop(world);
    ground.drop_database(&database).await;
    std::fs::remove_dir_all(directory).ok();
}

/// A world for a history of its own.
pub async fn world(ground: &Arc<Ground>, name: &str, plan: Plan) -> Arc<World> {
    Arc::new(World::begin(ground, name, plan).await)
}
