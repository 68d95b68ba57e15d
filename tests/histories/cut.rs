//! Mutations whose callers are cut off at random: each is made as a whole or not at all, as its caller was told if told
//! anything, and no transaction is left open.

mod caller;
mod request;
mod sessions;
mod tokens;
mod whole;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use crate::arguments::Arguments;
use crate::chance::Chance;
use crate::ground::Ground;
use crate::history::Node;
use crate::moment::Moment;
use crate::world::{Plan, World};
use crate::{report, run};
use caller::{Caller, Cut, Sent};
use sessions::{Sessions, Watching};
use tokens::Tokens;
use whole::{Event, Judgement, Kind, Row, Seen, Told};

const CALLERS: usize = 32;

const SERVERS: usize = 2;

/// How long a server may take to end.
const DRAIN: Duration = Duration::from_secs(10);

/// Sends the mutations that are asked for, and says whether all was as it should be.
pub async fn run(ground: &Arc<Ground>, arguments: &Arguments) -> bool {
    let Arguments { seed, lease, cut, .. } = *arguments;
    let defect = arguments.defect.clone();
    let plan = Plan { servers: SERVERS, sidecars: 0, lease, defect, calm: false, server_flags: Vec::new() };
    let world = run::world(ground, &format!("cut_{seed}"), plan).await;
    let begun = Moment::now();
    let (seen, sent, sessions) = send(&world, seed, cut).await;
    let took = Moment::now().since(begun);
    let judgement = whole::judge(&seen);
    println!("seed {seed}: {}, {took:.1?}", told(&sent, &judgement, &sessions));
    by_cut(&sent, &judgement);
    println!("refused: {:?}", reasons(&sent));
    let wrong = wrong(&world, &judgement, &sessions).await;
    if !wrong.is_empty() {
        let kept = report::keep_logs(&world, &arguments.keep);
        wrong.iter().take(10).for_each(|wrong| println!("  {wrong}"));
        println!("  again by: cargo test --test histories -- --cut {cut} --seed {seed}");
        println!("  kept in {}", kept.display());
    }
    run::end(world).await;
    wrong.is_empty()
}

/// Lets the callers work, and takes down what they and the database say afterwards.
async fn send(world: &Arc<World>, seed: u64, count: usize) -> (Seen, Vec<Sent>, Sessions) {
    // A server has entered its profiles by now.
    let head = "SELECT coalesce(max(revision), 0) FROM revisions";
    let since = connect(world).await.query_one(head, &[]).await.unwrap().get(0);
    let watching = Watching::begin(connect(world).await);
    let (tokens, numbers) = (Arc::new(Tokens::default()), Arc::new(AtomicUsize::new(0)));
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..CALLERS {
        let server = world.address(Node::Server(number % SERVERS)).await;
        let chance = Chance::new(seed).fork(300 + number as u64);
        let caller = Caller::new(chance, server, &world.ground.operator, &tokens).await;
        callers.spawn(caller.work(Arc::clone(&numbers), count));
    }
    let sent: Vec<Sent> = callers.join_all().await.into_iter().flatten().collect();
    let sessions = watching.end().await;
    let mut client = world.reach.client(Node::Server(0));
    let presented = tokens.present(&mut client).await;
    let (log, rows) = tables(world).await;
    let mutations = sent.iter().map(|sent| sent.mutation.clone()).collect();
    (Seen { since, mutations, log, rows, presented }, sent, sessions)
}

async fn connect(world: &World) -> tokio_postgres::Client {
    world.ground.postgres.lock().await.primary.connect(&world.database).await.unwrap()
}

/// What the log tells of tokens, and the tokens, but for the operator's.
async fn tables(world: &World) -> (Vec<Event>, Vec<Row>) {
    let client = connect(world).await;
    let log = "SELECT revision, kind, token::text, generation, initiator, reason FROM revisions
               WHERE token IS NOT NULL ORDER BY 1";
    let log = client.query(log, &[]).await.unwrap().into_iter().map(|row| Event {
        revision: row.get(0),
        kind: kind(row.get(1)),
        token: row.get(2),
        generation: row.get(3),
        initiator: row.get(4),
        reason: row.get(5),
    });
    let tokens = "SELECT id::text, creator, name, description, array_to_string(scopes, ' '), generation,
                         revision, revoke_reason
                  FROM tokens WHERE workspace <> 'tokenkeep'";
    let tokens = client.query(tokens, &[]).await.unwrap().into_iter().map(|row| Row {
        token: row.get(0),
        creator: row.get(1),
        words: [row.get(2), row.get(3), row.get(4)],
        generation: row.get(5),
        revision: row.get(6),
        revoked: row.get(7),
    });
    (log.collect(), tokens.collect())
}

fn kind(name: &str) -> Kind {
    match name {
        "updated" => Kind::Update,
        "secret_replaced" => Kind::Regenerate,
        "revoked" => Kind::Revoke,
        other => panic!("the log has a {other}"),
    }
}

/// Everything that is not as it should be, also once the servers have ended.
async fn wrong(world: &World, judgement: &Judgement, sessions: &Sessions) -> Vec<String> {
    let mut wrong = judgement.wrong.clone();
    wrong.extend(sessions.left.values().cloned());
    if sessions.open > 0 {
        wrong.push(format!("{} transactions or advisory locks are left", sessions.open));
    }
    let before = tables(world).await;
    for server in &world.servers {
        let mut server = server.lock().await;
        wrong.extend(server.misdeeds());
        server.end(DRAIN).await;
    }
    if tables(world).await != before {
        wrong.push("something was made when all was over".to_owned());
    }
    wrong
}

/// The counts, in one line.
fn told(sent: &[Sent], judgement: &Judgement, sessions: &Sessions) -> String {
    let count = |which: &dyn Fn(&Sent) -> bool| sent.iter().filter(|sent| which(sent)).count();
    let acknowledged = count(&|sent| matches!(sent.mutation.told, Told::Made { .. }));
    let refused = count(&|sent| matches!(sent.mutation.told, Told::Refused(_)));
    let unknown = count(&|sent| sent.mutation.told == Told::Nothing);
    let cut = count(&|sent| sent.cut_off());
    let made = count(&|sent| sent.mutation.told == Told::Nothing && judgement.has_made(&sent.mutation));
    format!(
        "{} mutations, {acknowledged} acknowledged, {refused} refused, {unknown} unknown ({cut} of them cut off), of \
         which {made} were made; {} checks, {} wrong; {} looks at the sessions, {} idle in transaction (the longest \
         for {:.1?}), {} transactions or advisory locks left",
        sent.len(),
        judgement.checks,
        judgement.wrong.len(),
        sessions.looks,
        sessions.left.len(),
        sessions.longest,
        sessions.open,
    )
}

/// For each way of cutting off: how many came to what.
fn by_cut(sent: &[Sent], judgement: &Judgement) {
    let mut counts: BTreeMap<Cut, [usize; 4]> = BTreeMap::new();
    for Sent { mutation, cut } in sent {
        let column = match &mutation.told {
            Told::Made { .. } => 0,
            Told::Refused(_) => 1,
            Told::Nothing if judgement.has_made(mutation) => 2,
            Told::Nothing => 3,
        };
        counts.entry(*cut).or_default()[column] += 1;
    }
    for (cut, [acknowledged, refused, made, not]) in counts {
        println!(
            "{:>18}: {acknowledged} acknowledged, {refused} refused; unknown: {made} made, {not} not made",
            cut.to_string()
        );
    }
}

/// How many were refused for what.
fn reasons(sent: &[Sent]) -> BTreeMap<&str, usize> {
    let mut reasons = BTreeMap::new();
    for sent in sent {
        if let Told::Refused(reason) = &sent.mutation.told {
            *reasons.entry(reason.as_str()).or_default() += 1;
        }
    }
    reasons
}
