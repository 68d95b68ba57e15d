//! What a crowd of watchers costs a server, and how soon the last of it is told, also while some stall.

use std::fs;
use std::time::{Duration, Instant};

use tokenkeep::proto::v1::token_service_client::TokenServiceClient;

use super::crowd::{Crowd, Ended};
use super::servers::revoke;
use super::table::{row, yes};
use crate::measure::arguments::number;
use crate::measure::database::PrivateDatabase;
use crate::measure::figures::Figure;
use crate::measure::minted::{Minted, Minting, mint};
use crate::measure::page::Outcome;
use crate::measure::process::ServerProcess;
use crate::measure::rounds::readable;
use crate::measure::served::{ServedDatabase, Tokens};
use crate::spread::latencies::Latencies;

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

/// What was found with a crowd.
pub(crate) struct Fan {
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

/// Gathers a crowd, tells it of revocations, and again while some stall.
pub(crate) async fn fan(database: &PrivateDatabase) -> Outcome<Fan> {
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
    let (frames, used, begun) = (crowd.frames(), server.processor_time()?, Instant::now());
    tokio::time::sleep(QUIET).await;
    let elapsed = begun.elapsed().as_secs_f64();
    let frames = u32::try_from(crowd.frames() - frames)?;
    Ok((f64::from(frames) / elapsed, (server.processor_time()? - used) / elapsed))
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

    pub(crate) fn figures(&self) -> Vec<Figure> {
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

    pub(crate) fn told(&self) -> String {
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
