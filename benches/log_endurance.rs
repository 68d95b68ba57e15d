//! A million revocations by sixteen writers on two servers, while a snapshot of the database is held and a transaction in
//! another database stays open: does any watcher miss one, see one twice, or out of order?
//!
//! `cargo bench --bench log_endurance -- --write` takes about a quarter of an hour and writes what it found to
//! `docs/performance/log-endurance.md`. `--events 20000 --hold 10` is a short one: so many events, so many seconds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokenkeep::proto::v1::RevocationWait;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_postgres::Client;

use self::endurance::ledger::Ledger;
use self::endurance::watcher::{self, Found};
use self::measure::arguments;
use self::measure::database::{FIRST, PrivateDatabase};
use self::measure::page::{self, Outcome};
use self::spread::fleet::{Fleet, Issued, Tokens, revoke};
use self::spread::latencies::Latencies;

#[expect(dead_code, reason = "what only other benchmarks need of it")]
mod measure {
    pub(crate) mod arguments;
    pub(crate) mod database;
    pub(crate) mod page;
    pub(crate) mod process;
    pub(crate) mod rounds;
    pub(crate) mod served;
}

#[expect(dead_code, reason = "what only the other benchmark needs of it")]
mod spread {
    pub(crate) mod fleet;
    pub(crate) mod latencies;
    pub(crate) mod link;
}

mod endurance {
    pub(crate) mod ledger;
    pub(crate) mod watcher;
}

const WRITERS: usize = 16;

/// How many revocations of one writer may be under way at once: a rate is kept only by who need not wait for each.
const UNDER_WAY: usize = 8;

/// Revocations a second while the snapshot is held.
const RATE: usize = 1_000;

/// How long revocations go at that rate before the snapshot is taken, in seconds.
const BEFORE: usize = 30;

/// The database that they all happen in.
const DATABASE: &str = "endurance";

#[expect(clippy::cast_precision_loss, reason = "a rate of some thousands")]
fn main() -> Outcome<()> {
    let (events, hold) = (arguments::number("--events", 1_000_000)?, arguments::number("--hold", 600)?);
    let quiet = BEFORE.min(hold);
    let database = PrivateDatabase::start()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let fleet = Fleet::start(&database, DATABASE, (2, 0), &[]).await?;
        let client = database.connect(DATABASE).await?;
        let tokens = insert_tokens(&client, events).await?;
        let before = revisions(&client).await?;
        let ledger = Arc::new(Ledger::new(before, events));
        let watchers = watcher::start(&fleet, &ledger).await?;
        let writers = Writers { fleet: &fleet, tokens: Arc::new(tokens), ledger: Arc::clone(&ledger) };
        let quiet = 0..(quiet * RATE).min(events);
        writers.revoke(quiet.clone(), Some(RATE)).await?;
        let during = quiet.end..(quiet.end + hold * RATE).min(events);
        let stranger = hold_write(&database).await?;
        let snapshot = hold_snapshot(&database).await?;
        let begun = Instant::now();
        writers.revoke(during.clone(), Some(RATE)).await?;
        let held_for = begun.elapsed();
        let begun = Instant::now();
        let rest = during.end..events;
        writers.revoke(rest.clone(), None).await?;
        let rate = rest.len() as f64 / begun.elapsed().as_secs_f64();
        snapshot.batch_execute("COMMIT").await?;
        stranger.batch_execute("COMMIT").await?;
        let found = watcher::finish(watchers).await?;
        let logged = logged(&client).await?;
        let report = Report { events, held_for, during: during.len(), rate, rest: rest.len(), found, logged };
        let (quiet, during) = (ledger.latencies(quiet), ledger.latencies(during));
        let provenance = page::provenance(&database.version().await?)?;
        page::publish("log-endurance.md", &format!("{provenance}\n{}", report.told(&quiet, &during)?))
    })
}

/// Tokens that nobody ever presents, so that none needs a true hash.
async fn insert_tokens(client: &Client, count: usize) -> Outcome<Vec<Issued>> {
    let count = i32::try_from(count)?;
    let insert = "INSERT INTO tokens (id, workspace, name, description, creator, scopes, metadata, generation, \
        obfuscated_secret, kid, tag, secret_hash) \
        SELECT gen_random_uuid(), 'acme', 'one of many', '', 'endurance', '{}', '{}', 1, 'tk_…0000', '01', \
        '\\x0000000000000000', '$argon2id$' FROM generate_series(1, $1::int) RETURNING id::text";
    let rows = client.query(insert, &[&count]).await?;
    client.batch_execute("VACUUM ANALYZE tokens").await?;
    rows.iter().map(|row| Ok(Issued { id: row.try_get(0)?, secret: String::new() })).collect()
}

/// A snapshot of the database, as a dump holds one. It ends when the client is told to commit.
async fn hold_snapshot(database: &PrivateDatabase) -> Outcome<Client> {
    let client = database.connect(DATABASE).await?;
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM workspaces").await?;
    Ok(client)
}

/// A transaction in another database that has written something.
async fn hold_write(database: &PrivateDatabase) -> Outcome<Client> {
    let client = database.connect(FIRST).await?;
    client.batch_execute("CREATE TABLE things (thing int); BEGIN; INSERT INTO things VALUES (1)").await?;
    Ok(client)
}

/// How many changes there were before the first revocation.
async fn revisions(client: &Client) -> Outcome<usize> {
    let count: i64 = client.query_one("SELECT count(*) FROM revisions", &[]).await?.try_get(0)?;
    Ok(usize::try_from(count)?)
}

/// The log as the database holds it: the token of each revocation.
async fn logged(client: &Client) -> Outcome<Vec<String>> {
    let query = "SELECT token::text FROM revisions WHERE kind = 'revoked' ORDER BY revision";
    let rows = client.query(query, &[]).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?)
}

struct Writers<'fleet> {
    fleet: &'fleet Fleet,
    tokens: Arc<Vec<Issued>>,
    ledger: Arc<Ledger>,
}

impl Writers<'_> {
    /// Revokes the tokens of those numbers, all writers together at `rate` a second or as fast as they can.
    async fn revoke(&self, numbers: std::ops::Range<usize>, rate: Option<usize>) -> Outcome<()> {
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let server = self.fleet.servers.get(writer % self.fleet.servers.len());
            let server = server.cloned().ok_or("no server")?;
            let (tokens, ledger) = (Arc::clone(&self.tokens), Arc::clone(&self.ledger));
            let own = numbers.clone().skip(writer).step_by(WRITERS);
            let mut turns = rate.map(|rate| turns(rate, writer));
            writers.spawn(async move {
                let mut under_way = JoinSet::new();
                for number in own {
                    if let Some(turns) = &mut turns {
                        turns.tick().await;
                    }
                    if under_way.len() == UNDER_WAY {
                        under_way.join_next().await.ok_or("nothing was under way")???;
                    }
                    let (server, tokens, ledger) = (server.clone(), Arc::clone(&tokens), Arc::clone(&ledger));
                    under_way.spawn(acknowledge(server, tokens, number, ledger));
                }
                while let Some(ended) = under_way.join_next().await {
                    ended??;
                }
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
            });
        }
        while let Some(ended) = writers.join_next().await {
            ended??;
        }
        Ok(())
    }
}

/// One writer's share of the rate; a turn that is missed is made up for.
#[expect(clippy::cast_precision_loss, reason = "a rate of some thousands")]
fn turns(rate: usize, writer: usize) -> tokio::time::Interval {
    let each = Duration::from_secs_f64(WRITERS as f64 / rate as f64);
    let start = tokio::time::Instant::now() + each.mul_f64(writer as f64 / WRITERS as f64);
    let mut turns = tokio::time::interval_at(start, each);
    turns.set_missed_tick_behavior(MissedTickBehavior::Burst);
    turns
}

async fn acknowledge(
    mut server: Tokens,
    tokens: Arc<Vec<Issued>>,
    number: usize,
    ledger: Arc<Ledger>,
) -> Outcome<()> {
    let issued = tokens.get(number).ok_or("no such token")?;
    let revision = revoke(&mut server, issued, RevocationWait::Commit).await?.revision;
    ledger.acknowledged(usize::try_from(revision)?);
    Ok(())
}

struct Report {
    events: usize,
    held_for: Duration,
    during: usize,
    rate: f64,
    rest: usize,
    found: Vec<Found>,
    logged: Vec<String>,
}

impl Report {
    #[expect(clippy::cast_precision_loss, reason = "a rate of some thousands")]
    fn told(&self, quiet: &Latencies, held: &Latencies) -> Outcome<String> {
        use std::fmt::Write as _;
        let mut text = format!(
            "{} revocations. Under the snapshot {:.0} s of them came, {RATE} a second being asked for and {:.0} made, and then the last {}, which \
             {WRITERS} writers then made as fast as they could, each with up to {UNDER_WAY} under way: {:.0} a second.\n\n\
             | watcher | events | missed | doubled | out of order | another than in the log | resumed |\n\
             |---|---|---|---|---|---|---|\n",
            self.events,
            self.held_for.as_secs_f64(),
            self.during as f64 / self.held_for.as_secs_f64(),
            self.rest,
            self.rate,
        );
        for found in &self.found {
            let other = found.tokens.iter().zip(&self.logged).filter(|(seen, logged)| seen != logged).count();
            let missed = self.logged.len().saturating_sub(found.tokens.len()) + found.missed;
            writeln!(
                text,
                "| {} | {} | {missed} | {} | {} | {other} | {} times |",
                found.name,
                found.tokens.len(),
                found.doubled,
                found.out_of_order,
                found.resumed,
            )?;
        }
        writeln!(
            text,
            "\n| acknowledged → heard by the first watcher, at {RATE}/s | p50 | p99 | p99.9 | max |"
        )?;
        writeln!(text, "|---|---|---|---|---|")?;
        writeln!(text, "| without the snapshot | {} |", quiet.cells())?;
        writeln!(text, "| with it | {} |", held.cells())?;
        if self.logged.len() != self.events {
            return Err(format!("the log holds {} of {} events", self.logged.len(), self.events).into());
        }
        Ok(text)
    }
}
