//! What a restart costs whoever asks: a server that 100,000 tokens are asked of is killed, and starts anew knowing none.
//!
//! `cargo bench --bench restart -- --write` writes the figures to `docs/performance/restart.md`, and a picture beside it.

use std::fs;
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::{Duration, Instant};

use tonic::Code;

use self::load::call::{Call, Known};
use self::load::course::Course;
use self::load::generator::{self, Flow, Span};
use self::load::mix::Mix;
use self::load::pace::Load;
use self::load::target::Target;
use self::measure::arguments;
use self::measure::database::{FIRST, PrivateDatabase};
use self::measure::figures::{self, Figure};
use self::measure::minted::{Minting, mint};
use self::measure::page::{self, Outcome};
use self::measure::picture::{self, Line};
use self::measure::process::ServerProcess;
use self::measure::rounds::{Rounds, readable};
use self::measure::served::ServedDatabase;

#[expect(dead_code, reason = "what only other benchmarks need of it")]
mod load {
    pub(crate) mod call;
    pub(crate) mod connection;
    pub(crate) mod course;
    pub(crate) mod fields;
    pub(crate) mod generator;
    pub(crate) mod headers;
    pub(crate) mod http2;
    pub(crate) mod mix;
    pub(crate) mod pace;
    pub(crate) mod tally;
    pub(crate) mod target;
}

#[expect(dead_code, reason = "what only other benchmarks need of it")]
mod measure {
    pub(crate) mod arguments;
    pub(crate) mod database;
    pub(crate) mod figures;
    pub(crate) mod minted;
    pub(crate) mod page;
    pub(crate) mod picture;
    pub(crate) mod process;
    pub(crate) mod rounds;
    pub(crate) mod served;
    pub(crate) mod svg;
}

const TOKENS: usize = 100_000;
const CALLERS: usize = 4;
const CONNECTIONS: usize = 8;

/// Calls a second, unless another rate is said: more than the database could answer each time, and so many that after half a
/// minute nearly each token was asked about again, as chance has it.
const RATE: usize = 20_000;

/// What is told apart: seconds of the run.
const STEP: Duration = Duration::from_secs(1);

/// How long the load runs before the server is killed, and after it.
const BEFORE: Duration = Duration::from_mins(1);
const AFTER: Duration = Duration::from_mins(1);

/// By when each token has been asked about once.
const PATIENCE: Duration = Duration::from_mins(3);

/// By when the p99 of a common second shall be back below so many times what it was.
const GOAL: Duration = Duration::from_secs(30);
const BOUND: f64 = 2.0;

/// The seconds of which a common one is told.
const TOGETHER: usize = 10;

fn main() -> Outcome<()> {
    let private = PrivateDatabase::start()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let (served, tokens, callers) = runtime.block_on(prepare(&private))?;
    let port = free_port()?;
    let doomed = start(&served, port)?;
    let target = Target::Plaintext(doomed.address);
    let rate = f64::from(u32::try_from(arguments::number("--rate", RATE)?)?);
    let (all_known, known) = mpsc::channel();
    let (course, gap) = thread::scope(|scope| {
        let load = scope.spawn(|| ask(&target, &tokens, &callers, rate, &all_known));
        if known.recv().is_ok() {
            thread::sleep(BEFORE);
        }
        let killed = Instant::now();
        doomed.kill()?;
        let again = start(&served, port)?;
        let gap = killed.elapsed();
        let course = load.join().map_err(|_| "the load has panicked")??;
        drop(again);
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>((course, gap))
    })?;
    let provenance = page::provenance(&runtime.block_on(private.version())?)?;
    let table = figures::keep("restart", &[figure(&course, rate)?])?;
    page::publish("restart.md", &format!("{provenance}\n{table}\n{}", told(&course, rate, gap)?))?;
    draw(&course)
}

async fn prepare(private: &PrivateDatabase) -> Outcome<(ServedDatabase, Vec<Known>, Vec<String>)> {
    let served = ServedDatabase::prepare(private, FIRST).await?;
    let first = served.serve(&[])?;
    served.create_workspace(first.address).await?;
    let callers = served.create_callers(first.address, CALLERS).await?;
    drop(first);
    let minted = mint(private, &served, Minting::of(TOKENS)).await?;
    let tokens = minted.iter().map(|minted| Known::parse(&minted.secret)).collect::<Outcome<_>>()?;
    Ok((served, tokens, callers))
}

fn start(served: &ServedDatabase, port: u16) -> Outcome<ServerProcess> {
    ServerProcess::start_at(&mut served.role("serve"), &format!("127.0.0.1:{port}"))
}

fn free_port() -> Outcome<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// First each token once, so that all are known; then any, for the whole run.
fn ask(
    target: &Target,
    tokens: &[Known],
    callers: &[String],
    rate: f64,
    all_known: &Sender<()>,
) -> Outcome<Course> {
    let calls: Vec<Call> = tokens.iter().map(Call::introspect).collect();
    let each = Mix::each(calls.clone());
    let flow = |mix, load| Flow { target, credentials: callers, mix, load, connections: CONNECTIONS };
    let all = Span { warm_up: Duration::ZERO, duration: PATIENCE, restless: false, patient: false };
    generator::all_right(flow(&each, Load::Closed { streams: 32 }), all)?;
    all_known.send(())?;
    let mut course = Course::new(STEP);
    let whole = Span { duration: AFTER + BEFORE, patient: true, ..all };
    let any = Mix::any(calls);
    let flows = [flow(&any, Load::Open { a_second: rate })];
    generator::run(&flows, whole, &mut |_, at, done| course.add(at, done))?;
    Ok(course)
}

/// The second in which the server was killed: the first with a call that failed.
fn outage(course: &Course) -> Outcome<usize> {
    course.steps().iter().position(|second| !second.failed.is_empty()).ok_or_else(|| "nothing failed".into())
}

/// The p99 of each second before.
fn before(course: &Course) -> Outcome<Rounds> {
    let mut before = Rounds::default();
    course.steps().iter().take(outage(course)?).for_each(|second| before.add(second.quantile(0.99)));
    Ok(before)
}

/// How many seconds after the kill the first of those begins from which on the p99 of a common second is below the bound. Of
/// ten seconds at a time the median is taken, as it is of those before: some second is slow now and then at any time.
fn back(course: &Course) -> Outcome<usize> {
    let bound = BOUND * before(course)?.median();
    let after = course.steps().iter().skip(outage(course)?);
    let after: Vec<f64> = after
        .map(|second| if second.failed.is_empty() { second.quantile(0.99) } else { f64::INFINITY })
        .collect();
    let slow = |seconds: &[f64]| {
        let mut common = Rounds::default();
        for p99 in seconds {
            common.add(*p99);
        }
        common.median() > bound
    };
    let last = after.windows(TOGETHER).rposition(slow).ok_or("nothing became slow")?;
    if last + TOGETHER == after.len() {
        Err("the p99 was not back when the run ended".into())
    } else {
        Ok(last + 1)
    }
}

fn figure(course: &Course, rate: f64) -> Outcome<Figure> {
    let wrong = course.whole().wrong;
    let back = back(course)?;
    let what =
        format!("a server killed and restarted, {TOKENS} live tokens asked about {rate:.0} times a second");
    let reference = format!("its p99 of a common second before: {}", readable(before(course)?.median()));
    let goal = format!("0 wrong answers, p99 back (≤ 2 ×) within {} s", GOAL.as_secs());
    let value = format!("{wrong} wrong answers, back after {back} s");
    let reached = wrong == 0 && u64::try_from(back)? <= GOAL.as_secs();
    Ok(Figure::new([&what, &reference, &goal], &value, None, Some(reached)))
}

/// Which share of the tokens nobody has asked the new server about yet, so many seconds after the kill: calls choose at random.
#[expect(clippy::cast_precision_loss, reason = "no run makes 2^52 calls")]
fn unseen(course: &Course, seconds: usize) -> Outcome<f64> {
    let calls: u64 =
        course.steps().iter().skip(outage(course)?).take(seconds).map(|second| second.right).sum();
    Ok((-(calls as f64) / TOKENS as f64).exp())
}

fn told(course: &Course, rate: f64, gap: Duration) -> Outcome<String> {
    let (whole, back, before) = (course.whole(), back(course)?, before(course)?);
    let slow_before = 100.0 * before.share_above(BOUND * before.median());
    let slowest = course.steps().iter().map(|second| second.quantile(0.99)).fold(0.0, f64::max);
    Ok(format!(
        "At {rate:.0} calls a second, open loop. From the kill until the new server listened {} passed. {} answers were right; \
         none was told that a live token is dead. {} The slowest second had a p99 of {}. When the p99 was back, {:.1} % of the \
         tokens had not been asked about again. Before the kill, {slow_before:.0} % of the seconds had a p99 above the bound \
         too.\n",
        readable(gap.as_secs_f64()),
        whole.right,
        failures(course)?,
        readable(slowest),
        100.0 * unseen(course, back)?,
    ))
}

/// Which calls ended without a verdict, and until when.
fn failures(course: &Course) -> Outcome<String> {
    let name = |status: &Option<u8>| {
        status.map_or_else(
            || "a broken connection".to_owned(),
            |status| format!("{:?}", Code::from(i32::from(status))),
        )
    };
    let told = |(status, count): (&Option<u8>, &u64)| format!("{count} by {}", name(status));
    let counts: Vec<String> = course.whole().failed.iter().map(told).collect();
    let last = course.steps().iter().rposition(|second| !second.failed.is_empty()).ok_or("nothing failed")?;
    let after = last - outage(course)?;
    Ok(format!(
        "Without a verdict ended {}, the last of them due {} after the kill.",
        counts.join(", "),
        if after == 0 { "in the first second".to_owned() } else { format!("{after} s") },
    ))
}

fn draw(course: &Course) -> Outcome<()> {
    if !page::is_to_be_written() {
        return Ok(());
    }
    let line = |name: &str, colour, share: f64| Line {
        name: name.to_owned(),
        colour,
        points: (0_u32..)
            .zip(course.steps())
            .map(|(second, tally)| (f64::from(second), tally.quantile(share)))
            .collect(),
    };
    let lines = [line("p99 of a second", "#2563eb", 0.99), line("p50", "#93c5fd", 0.5)];
    let svg =
        picture::curves("Times around a restart, by when a call was due", "seconds of the run", &lines)?;
    fs::write(format!("{}/docs/performance/restart.svg", env!("CARGO_MANIFEST_DIR")), svg)?;
    Ok(())
}
