//! What 5,000 watchers cost and how soon each is told, also while 50 of them stall; and how long the way is from a commit to a
//! watcher, beside a bare LISTEN/NOTIFY hop.
//!
//! `cargo bench --bench watching -- --write` writes the figures to `docs/performance/watching.md`.

use std::fs;
use std::time::{Duration, Instant};

use tokenkeep::proto::v1::token_service_client::TokenServiceClient;
use tokenkeep::server::limits::raise_descriptor_limit;

use self::fanout::crowd::{Crowd, Ended};
use self::fanout::heard::Delays;
use self::fanout::hop::Hop;
use self::fanout::pace::Pace;
use self::fanout::servers::{Servers, revoke};
use self::measure::arguments::number;
use self::measure::database::PrivateDatabase;
use self::measure::figures::{self, Figure};
use self::measure::minted::{Minted, Minting, mint};
use self::measure::page::{self, Outcome};
use self::measure::process::ServerProcess;
use self::measure::rounds::{Rounds, readable};
use self::measure::served::{ServedDatabase, Tokens};
use self::spread::latencies::Latencies;

mod fanout {
    pub(crate) mod crowd;
    pub(crate) mod heard;
    pub(crate) mod hop;
    pub(crate) mod member;
    pub(crate) mod pace;
    pub(crate) mod servers;
}

#[expect(dead_code, reason = "what only other benchmarks need of it")]
mod load {
    pub(crate) mod fields;
    pub(crate) mod http2;
    pub(crate) mod target;
}

#[expect(dead_code, reason = "what only other benchmarks need of it")]
mod measure {
    pub(crate) mod arguments;
    pub(crate) mod database;
    pub(crate) mod figures;
    pub(crate) mod minted;
    pub(crate) mod page;
    pub(crate) mod process;
    pub(crate) mod rounds;
    pub(crate) mod served;
}

mod spread {
    pub(crate) mod latencies;
}

const WATCHERS: usize = 5_000;

/// Those that stop reading.
const STALLED: usize = 50;

/// Revocations one after another, each begun so long after the one before: all while those that stall are still connected.
const REVOCATIONS: usize = 100;
const INTERVAL: Duration = Duration::from_millis(100);

/// How long a server may leave a client that reads nothing: a ping after 10 s, and 5 s for its answer.
const CUT_AFTER: Duration = Duration::from_secs(18);

/// How long the server is left alone with its watchers.
const QUIET: Duration = Duration::from_secs(10);

/// Commits a second, for how many seconds, and how many times.
const RATE: u32 = 1_000;
const SECONDS: usize = 5;
const ROUNDS: usize = 3;

/// What PostgreSQL must note so that the time of a commit can be asked for.
const SETTINGS: [(&str, &str); 2] = [("track_commit_timestamp", "on"), ("max_connections", "200")];

fn main() -> Outcome<()> {
    raise_descriptor_limit()?;
    let database = PrivateDatabase::start_with(&SETTINGS)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let fan = fan(&database).await?;
        let ways = ways(&database).await?;
        figures::keep("watching", &[fan.figures(), ways.figures()].concat())?;
        let provenance = page::provenance(&database.version().await?)?;
        page::publish("watching.md", &format!("{provenance}\n{}\n{}", fan.told(), ways.told()))
    })
}

/// What was found with a crowd.
struct Fan {
    watchers: usize,
    /// In MiB: before the crowd, with it, after its events, and after those that stalled were cut.
    memory: [f64; 4],
    /// Frames a second that are sent when nothing happens, and the share of one core that it takes.
    quiet: (f64, f64),
    all: Times,
    others: Times,
    ended: Ended,
}

/// When the last watcher was told, counted from when the revocation was asked for and from when it was answered.
struct Times {
    asked: Latencies,
    answered: Latencies,
}

async fn fan(database: &PrivateDatabase) -> Outcome<Fan> {
    let watchers = number("--watchers", WATCHERS)?;
    let tenant = ServedDatabase::prepare(database, "crowd").await?;
    let server = tenant.serve(&[])?;
    tenant.create_workspace(server.address).await?;
    let mut tokens = mint(database, &tenant, Minting::of(3 * REVOCATIONS)).await?;
    let revoker = TokenServiceClient::new(tenant.operator(server.address).await?);
    let credential = fs::read_to_string(tenant.credential_file())?.trim().to_owned();
    // Whatever the first watcher and the first events take is no part of what each takes.
    let mut first = Crowd::gather(server.address, credential.clone(), (1, 0)).await?;
    times(&revoker, &mut first, tokens.split_off(2 * REVOCATIONS)).await?;
    let mut memory = [server.resident_memory()?; 4];
    let mut crowd = Crowd::gather(server.address, credential, (watchers, STALLED)).await?;
    let quiet = quiet(&server, &crowd).await?;
    memory[1] = server.resident_memory()?;
    let all = times(&revoker, &mut crowd, tokens.split_off(REVOCATIONS)).await?;
    memory[2] = server.resident_memory()?;
    let stalled = Instant::now();
    crowd.stall(STALLED)?;
    let others = times(&revoker, &mut crowd, tokens).await?;
    tokio::time::sleep_until((stalled + CUT_AFTER).into()).await;
    memory[3] = server.resident_memory()?;
    let ended = crowd.recover().await?;
    Ok(Fan { watchers, memory, quiet, all, others, ended })
}

/// Nothing happens but that everybody is told so.
async fn quiet(server: &ServerProcess, crowd: &Crowd) -> Outcome<(f64, f64)> {
    let (frames, used, begun) = (crowd.frames(), processor_time(server)?, Instant::now());
    tokio::time::sleep(QUIET).await;
    let elapsed = begun.elapsed().as_secs_f64();
    let frames = u32::try_from(crowd.frames() - frames)?;
    Ok((f64::from(frames) / elapsed, (processor_time(server)? - used) / elapsed))
}

/// In seconds, of all its threads.
fn processor_time(server: &ServerProcess) -> Outcome<f64> {
    const TICKS_A_SECOND: f64 = 100.0;
    let status = fs::read_to_string(format!("/proc/{}/stat", server.id()))?;
    let (_, fields) = status.rsplit_once(") ").ok_or("no name")?;
    let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u32>);
    let ticks = ticks.sum::<Result<u32, _>>()?;
    Ok(f64::from(ticks) / TICKS_A_SECOND)
}

async fn times(revoker: &Tokens, crowd: &mut Crowd, tokens: Vec<Minted>) -> Outcome<Times> {
    let mut turns = tokio::time::interval(INTERVAL);
    let (mut since_asked, mut since_answered) = (Vec::new(), Vec::new());
    for token in tokens {
        turns.tick().await;
        let asked = Instant::now();
        let (revision, _) = revoke(revoker.clone(), Some(token.id)).await?;
        let answered = Instant::now();
        let last = crowd.heard(u64::try_from(revision)?).await?;
        since_asked.push(last.saturating_duration_since(asked));
        since_answered.push(last.saturating_duration_since(answered));
    }
    Ok(Times { asked: since_asked.into_iter().collect(), answered: since_answered.into_iter().collect() })
}

impl Fan {
    /// In KiB.
    fn memory_each(&self) -> f64 {
        let [before, with, ..] = self.memory;
        #[expect(clippy::cast_precision_loss, reason = "there are few watchers")]
        let watchers = self.watchers as f64;
        (with - before) * 1024.0 / watchers
    }

    fn figures(&self) -> Vec<Figure> {
        let (each, watchers) = (self.memory_each(), self.watchers);
        let told = |times: &Latencies| {
            format!("p50 {}, max {}", readable(times.quantile(0.5)), readable(times.longest()))
        };
        let event = |what: &str, times: &Latencies| {
            Figure::new([what, "–", "≤ 250 ms"], &told(times), None, Some(times.longest() <= 0.25))
        };
        vec![
            Figure::new(
                [
                    &format!("{watchers} watchers on one server, plaintext, one connection each"),
                    "–",
                    "≤ 40 KiB each",
                ],
                &format!("{each:.1} KiB each"),
                None,
                Some(each <= 40.0),
            ),
            event("an event to all of them", &self.all.answered),
            event(&format!("the same while {STALLED} of them stall"), &self.others.answered),
        ]
    }

    fn told(&self) -> String {
        let Self { watchers, memory: [before, with, after, cut], quiet: (frames, share), ended, .. } = self;
        let ratio = self.others.answered.quantile(0.5) / self.all.answered.quantile(0.5);
        let each = self.memory_each();
        let memory = format!(
            "The server's resident memory: {before:.1} MiB before, {with:.1} MiB with {watchers} watchers, **{each:.1} KiB \
             each**, of at most 40: {}. After the events {after:.1} MiB; when those that stalled were cut {cut:.1} MiB.\n\n\
             Nothing happening, they are sent {frames:.0} frames a second, which takes the server {:.0} % of one core.\n\n",
            yes(each <= 40.0),
            share * 100.0,
        );
        let head = "| the last of them has the event | times | p50 | p99 | p99.9 | max | goal | reached |\n\
                    |---|---|---|---|---|---|---|---|\n";
        let others = watchers - STALLED;
        let rows = [
            (format!("{watchers} watchers, from the answer to the revoke"), &self.all.answered),
            (format!("{watchers} watchers, from its call"), &self.all.asked),
            (format!("{others} while {STALLED} stall, from the answer"), &self.others.answered),
            (format!("{others} while {STALLED} stall, from the call"), &self.others.asked),
        ];
        let rows = rows.map(|(name, times)| {
            row(&name, REVOCATIONS, times, "max ≤ 250 ms", yes(times.longest() <= 0.25))
        });
        format!(
            "{memory}{head}{}\nWith {STALLED} that stall, the median is {ratio:.2} × that without. Of these {STALLED}, {} were \
             cut off and {} told why.\n",
            rows.concat(),
            ended.cut,
            ended.told,
        )
    }
}

/// What was found of the ways from a commit to whoever hears of it: each pooled over all rounds.
#[derive(Default)]
struct Ways {
    hop: Delays,
    same: Delays,
    other: Delays,
    /// How often the median of the other server's watcher was the hop's, from the commit, round by round.
    ratios: Rounds,
}

async fn ways(database: &PrivateDatabase) -> Outcome<Ways> {
    let seconds = number("--seconds", SECONDS)?;
    let pace = Pace { count: usize::try_from(RATE)? * seconds, a_second: RATE };
    let mut hop = Hop::prepare(database).await?;
    let mut servers = Servers::prepare(database, "ways", pace.count * (ROUNDS + 1)).await?;
    let mut ways = Ways::default();
    // The first round is for getting warm.
    for round in 0..=ROUNDS {
        let (bare, [same, other]) = (hop.measure(pace).await?, servers.measure(pace).await?);
        if round > 0 {
            let half = |delays: &Delays| delays.latencies().0.quantile(0.5);
            ways.ratios.add(half(&other) / half(&bare));
            ways.hop.add(bare);
            ways.same.add(same);
            ways.other.add(other);
        }
    }
    Ok(ways)
}

impl Ways {
    fn figures(&self) -> Vec<Figure> {
        let told = |times: &Latencies| {
            format!("p50 {}, p99 {}", readable(times.quantile(0.5)), readable(times.quantile(0.99)))
        };
        let hop = format!("a bare LISTEN/NOTIFY hop: {}", told(&self.hop.latencies().0));
        let figure = |what: &str, delays: &Delays| {
            let (times, _) = delays.latencies();
            let met = times.quantile(0.5) <= 0.005 && times.quantile(0.99) <= 0.1;
            Figure::new([what, &hop, "p50 ≤ 5 ms, p99 ≤ 100 ms"], &told(&times), None, Some(met))
        };
        vec![
            figure("commit → event at a watcher of the same server, 1,000 revokes/s", &self.same),
            figure("commit → event at a watcher of another server, 1,000 revokes/s", &self.other),
        ]
    }

    fn told(&self) -> String {
        let head = "| from a commit to whoever hears of it | times | p50 | p99 | p99.9 | max | goal | reached |\n\
                    |---|---|---|---|---|---|---|---|\n";
        let mut rows = String::new();
        for (name, delays, has_goal) in [
            ("bare LISTEN/NOTIFY hop", &self.hop, false),
            ("watcher at the same server", &self.same, true),
            ("watcher at another server", &self.other, true),
        ] {
            let (from_commit, from_answer) = delays.latencies();
            for (from, times) in [("its time in the database", from_commit), ("its answer", from_answer)] {
                let met = times.quantile(0.5) <= 0.005 && times.quantile(0.99) <= 0.1;
                let (goal, met) =
                    if has_goal { ("p50 ≤ 5 ms, p99 ≤ 100 ms", yes(met)) } else { ("–", "–") };
                rows += &row(&format!("{name}, from {from}"), delays.from_answer.len(), &times, goal, met);
            }
        }
        let (low, high) = self.ratios.middle_half();
        format!(
            "{head}{rows}\nFrom the commit's time in the database, the median at the other server is {:.2} × the bare hop's \
             ({low:.2} – {high:.2} over {ROUNDS} rounds).\n",
            self.ratios.median(),
        )
    }
}

fn row(name: &str, count: usize, times: &Latencies, goal: &str, met: &str) -> String {
    format!("| {name} | {count} | {} | {goal} | {met} |\n", times.cells())
}

const fn yes(met: bool) -> &'static str {
    if met { "yes" } else { "**no**" }
}
