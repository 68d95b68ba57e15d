//! How soon a revocation is felt by every cache: when all is well, with the doorbell dead, and across a partition.
//!
//! Two servers and four sidecars, real processes over a private PostgreSQL with durable commits.
//! `cargo bench --bench propagation -- --write` writes the figures to `docs/performance/propagation.md` and its pictures
//! beside it.

use std::fs;
use std::time::{Duration, Instant};

use tokenkeep::proto::v1::RevocationWait;
use tokio::task::JoinSet;

use self::measure::database::PrivateDatabase;
use self::measure::figures::{self, Figure};
use self::measure::page::{self, Outcome};
use self::measure::rounds::readable;
use self::spread::fleet::{Answer, Fleet, Issued, Tokens, ask, revoke};
use self::spread::latencies::Latencies;
use self::spread::picture::{self, Row};

#[expect(dead_code, reason = "what only other benchmarks need of it")]
mod measure {
    pub(crate) mod database;
    pub(crate) mod figures;
    pub(crate) mod page;
    pub(crate) mod process;
    pub(crate) mod rounds;
    pub(crate) mod served;
    pub(crate) mod svg;
}

#[expect(dead_code, reason = "what only other benchmarks need of it")]
mod spread {
    pub(crate) mod fleet;
    pub(crate) mod latencies;
    pub(crate) mod link;
    pub(crate) mod picture;
}

/// Servers and sidecars.
const SIZE: (usize, usize) = (2, 4);

/// Plain revocations in one run, and how many a second.
const PLAIN: usize = 1_500;
const PLAIN_RATE: u32 = 100;

/// With the doorbell dead each waits for a poll, so fewer do.
const DEAF: usize = 500;

/// Revocations that wait for the fleet, one after the other.
const WAITED: usize = 500;

/// How long one sidecar is cut off: longer than any lease.
const PARTITION: Duration = Duration::from_secs(6);

fn main() -> Outcome<()> {
    let database = PrivateDatabase::start()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let healthy = Fleet::start(&database, "healthy", SIZE, &[]).await?;
        let plain = plain(&healthy, PLAIN).await?;
        let waited = waited(&healthy, WAITED).await?;
        let partition = partition(&healthy).await?;
        drop(healthy);
        let deaf = Fleet::start(&database, "deaf", SIZE, &["--doorbell", "false"]).await?;
        let deaf = self::plain(&deaf, DEAF).await?;
        figures::keep("propagation", &[fleet_figure(&waited)])?;
        let provenance = page::provenance(&database.version().await?)?;
        let table = table(&plain, &waited, &deaf);
        page::publish("propagation.md", &format!("{provenance}\n{table}\n{}", partition.told()))?;
        draw(&plain, &waited, &deaf, &partition)
    })
}

/// From the acknowledgement of a plain revocation to the moment at which the last sidecar denied the token.
async fn plain(fleet: &Fleet, count: usize) -> Outcome<Latencies> {
    let mut tokens = Vec::with_capacity(count);
    for _ in 0..count {
        tokens.push(fleet.known_token().await?);
    }
    let mut turns = tokio::time::interval(Duration::from_secs(1) / PLAIN_RATE);
    let mut revocations = JoinSet::new();
    for (number, issued) in tokens.into_iter().enumerate() {
        turns.tick().await;
        let server = fleet.servers.get(number % fleet.servers.len()).cloned().ok_or("no server")?;
        revocations.spawn(last_denial(server, fleet.sidecars.clone(), issued));
    }
    let mut times = Vec::with_capacity(count);
    while let Some(time) = revocations.join_next().await {
        times.push(time??);
    }
    Ok(times.into_iter().collect())
}

async fn last_denial(mut server: Tokens, sidecars: Vec<Tokens>, issued: Issued) -> Outcome<Duration> {
    revoke(&mut server, &issued, RevocationWait::Commit).await?;
    let acknowledged = Instant::now();
    let mut denials = JoinSet::new();
    for mut sidecar in sidecars {
        let issued = issued.clone();
        denials.spawn(async move {
            while ask(&mut sidecar, &issued).await? != Answer::Denied {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(acknowledged.elapsed())
        });
    }
    let mut last = Duration::ZERO;
    while let Some(denied) = denials.join_next().await {
        last = last.max(denied??);
    }
    Ok(last)
}

/// How long revocations took that waited for the fleet; after each, every cache is asked, and none may accept.
async fn waited(fleet: &Fleet, count: usize) -> Outcome<Latencies> {
    let mut times = Vec::with_capacity(count);
    for number in 0..count {
        let issued = fleet.known_token().await?;
        let mut server = fleet.servers.get(number % fleet.servers.len()).cloned().ok_or("no server")?;
        let begun = Instant::now();
        if !revoke(&mut server, &issued, RevocationWait::Fleet).await?.fleet_confirmed {
            return Err("the fleet did not confirm".into());
        }
        times.push(begun.elapsed());
        for cache in fleet.servers.iter().chain(&fleet.sidecars) {
            if ask(&mut cache.clone(), &issued).await? == Answer::Accepted {
                return Err("a token was accepted after the fleet had confirmed its end".into());
            }
        }
    }
    Ok(times.into_iter().collect())
}

/// What each cache answered around a revocation while the first sidecar was cut off.
struct Partition {
    rows: Vec<Row>,
    /// In seconds after the acknowledgement.
    cut: f64,
    healed: f64,
}

async fn partition(fleet: &Fleet) -> Outcome<Partition> {
    let (doomed, spared) = (fleet.known_token().await?, fleet.known_token().await?);
    let link = fleet.links.first().ok_or("no link")?;
    let begun = Instant::now();
    let end = begun + Duration::from_secs(1) + PARTITION + Duration::from_secs(4);
    let mut watched = JoinSet::new();
    let caches = fleet.sidecars.iter().enumerate().map(|(number, cache)| (sidecar_name(number), cache));
    let servers =
        fleet.servers.iter().enumerate().map(|(number, cache)| (format!("server {}", number + 1), cache));
    for (order, (name, cache)) in caches.chain(servers).enumerate() {
        watched.spawn(watch(order, name, cache.clone(), doomed.clone(), begun, end));
    }
    let first = fleet.sidecars.first().cloned().ok_or("no sidecar")?;
    watched.spawn(watch(99, "sidecar 1, a live token".to_owned(), first, spared, begun, end));
    tokio::time::sleep(Duration::from_secs(1)).await;
    link.set_open(false);
    let cut = begun.elapsed();
    tokio::time::sleep(Duration::from_millis(500)).await;
    revoke(&mut fleet.first()?, &doomed, RevocationWait::Commit).await?;
    let acknowledged = begun.elapsed();
    tokio::time::sleep_until((begun + Duration::from_secs(1) + PARTITION).into()).await;
    link.set_open(true);
    let healed = begun.elapsed();
    let mut rows = Vec::new();
    while let Some(row) = watched.join_next().await {
        rows.push(row??);
    }
    rows.sort_by_key(|(order, _)| *order);
    let since = |time: Duration| time.as_secs_f64() - acknowledged.as_secs_f64();
    let shift = |(_, mut row): (usize, Row)| {
        row.answers.iter_mut().for_each(|(at, _)| *at -= acknowledged.as_secs_f64());
        row
    };
    Ok(Partition { rows: rows.into_iter().map(shift).collect(), cut: since(cut), healed: since(healed) })
}

fn sidecar_name(number: usize) -> String {
    if number == 0 { "sidecar 1, cut off".to_owned() } else { format!("sidecar {}", number + 1) }
}

/// Asks a cache again and again, and notes the answers by the moments at which they were asked for.
async fn watch(
    order: usize,
    name: String,
    mut cache: Tokens,
    issued: Issued,
    begun: Instant,
    end: Instant,
) -> Outcome<(usize, Row)> {
    let mut answers = Vec::new();
    while Instant::now() < end {
        let asked = begun.elapsed().as_secs_f64();
        let answer = tokio::time::timeout(Duration::from_secs(1), ask(&mut cache, &issued)).await;
        answers.push((asked, answer.unwrap_or(Ok(Answer::Undecided))?));
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    Ok((order, Row { name, answers }))
}

impl Partition {
    /// The last accept of the doomed token by a cache, in seconds after the acknowledgement.
    fn last_accept(&self) -> f64 {
        let doomed = self.rows.iter().filter(|row| !row.name.contains("live"));
        let accepts = doomed.flat_map(|row| &row.answers).filter(|(_, answer)| *answer == Answer::Accepted);
        accepts.map(|(at, _)| *at).fold(f64::NEG_INFINITY, f64::max)
    }

    /// When the live token was accepted again by the sidecar that had been cut off, in seconds after the heal.
    fn recovered(&self) -> f64 {
        let spared = self.rows.iter().filter(|row| row.name.contains("live")).flat_map(|row| &row.answers);
        let accepts = spared.filter(|(at, answer)| *at > self.healed && *answer == Answer::Accepted);
        accepts.map(|(at, _)| at - self.healed).fold(f64::INFINITY, f64::min)
    }

    fn wrong_denials(&self) -> usize {
        let spared = self.rows.iter().filter(|row| row.name.contains("live")).flat_map(|row| &row.answers);
        spared.filter(|(_, answer)| *answer == Answer::Denied).count()
    }

    fn told(&self) -> String {
        format!(
            "Across the partition, the last accept of the revoked token was asked for {:.2} s after the revocation was \
             acknowledged, of at most 3 s. A live token was called inactive {} times by the sidecar that was cut off, and \
             accepted again {:.2} s after the partition healed.\n",
            self.last_accept(),
            self.wrong_denials(),
            self.recovered(),
        )
    }
}

fn table(plain: &Latencies, waited: &Latencies, deaf: &Latencies) -> String {
    let row = |name: &str, count: usize, times: &Latencies, goal: &str, met: bool| {
        format!(
            "| {name} | {count} | {} | {goal} | {} |\n",
            times.cells(),
            if met { "yes" } else { "**no**" }
        )
    };
    let healthy = plain.quantile(0.5) <= 0.015 && plain.quantile(0.99) <= 0.1;
    let fleet = waited.quantile(0.5) <= 0.010 && waited.quantile(0.99) <= 0.040;
    let head =
        "| what | times | p50 | p99 | p99.9 | max | goal | reached |\n|---|---|---|---|---|---|---|---|\n";
    let plain = row(
        "plain revoke, acknowledged → the last of 4 sidecars denies, at 100/s",
        PLAIN,
        plain,
        "p50 ≤ 15 ms, p99 ≤ 100 ms",
        healthy,
    );
    let waited = row("revoke that waits for the fleet", WAITED, waited, "p50 ≤ 10 ms, p99 ≤ 40 ms", fleet);
    let silent = deaf.longest() <= 1.0;
    let deaf = row("plain revoke with the doorbell dead, at 100/s", DEAF, deaf, "max ≤ 1 s", silent);
    format!("{head}{plain}{waited}{deaf}")
}

fn fleet_figure(waited: &Latencies) -> Figure {
    let (half, most) = (waited.quantile(0.5), waited.quantile(0.99));
    Figure::new(
        ["revoke that waits for the fleet: 2 servers, 4 sidecars", "–", "p50 ≤ 10 ms, p99 ≤ 40 ms"],
        &format!("p50 {}, p99 {}", readable(half), readable(most)),
        None,
        Some(half <= 0.010 && most <= 0.040),
    )
}

fn draw(plain: &Latencies, waited: &Latencies, deaf: &Latencies, partition: &Partition) -> Outcome<()> {
    if !std::env::args().any(|argument| argument == "--write") {
        return Ok(());
    }
    let directory = format!("{}/docs/performance", env!("CARGO_MANIFEST_DIR"));
    let series = [
        ("waiting for the fleet", waited),
        ("plain, last of 4 sidecars", plain),
        ("plain, doorbell dead", deaf),
    ];
    let shares = picture::shares("How many revocations are felt everywhere within which time", &series)?;
    fs::write(format!("{directory}/propagation.svg"), shares)?;
    let marks = [(partition.cut, "cut"), (0.0, "revoked"), (partition.healed, "healed")];
    let title = "What each cache answers around a revocation, one sidecar being cut off (a lease lasts 3 s)";
    let range = (partition.cut - 1.0, partition.healed + 4.0);
    fs::write(
        format!("{directory}/partition.svg"),
        picture::answers(title, &partition.rows, range, &marks)?,
    )?;
    println!("slowest of those that waited for the fleet: {}", readable(waited.longest()));
    Ok(())
}
