//! A load generator for a server or a sidecar of one's own: `cargo bench --bench generate_load -- --help`.
//!
//! The same calls and counts measure what `docs/performance` tells.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as _, FromArgMatches as _, Parser};

use self::load::call::{Call, Known};
use self::load::generator::{self, Flow, Span};
use self::load::mix::{Mix, Random};
use self::load::pace::Load;
use self::load::tally::Tally;
use self::load::target::Target;
use self::measure::page::Outcome;
use self::measure::rounds::readable;

#[expect(dead_code, reason = "what only other benchmarks need of it")]
mod load {
    pub(crate) mod call;
    pub(crate) mod connection;
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
    pub(crate) mod page;
    pub(crate) mod rounds;
}

/// Asks a server or a sidecar about tokens, as hard or as often as is said, and checks every answer.
#[derive(Debug, Parser)]
#[command(name = "generate_load", bin_name = "cargo bench --bench generate_load --")]
struct Settings {
    /// Whom to ask: an IP address and port, or `unix:/path` of a socket
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:50051")]
    server: String,
    /// Speak TLS, to a server with this certificate or one that it signed
    #[arg(long, value_name = "FILE")]
    server_ca: Option<PathBuf>,
    /// Files with the credentials of the callers, who take turns connection by connection
    #[arg(long, value_name = "FILE")]
    credential_file: Vec<PathBuf>,
    /// A file with the secrets of live tokens, a line each
    #[arg(long, value_name = "FILE")]
    tokens: PathBuf,
    /// What to ask
    #[arg(long, value_enum, default_value = "hot")]
    mix: Kind,
    /// How many tokens are asked about in a call of the mix `batch`
    #[arg(long, value_name = "COUNT", default_value_t = 256)]
    batch: usize,
    /// Connections
    #[arg(long, value_name = "COUNT", default_value_t = 8)]
    connections: usize,
    /// Calls under way on each connection, one after the other on each stream (closed loop)
    #[arg(long, value_name = "COUNT", default_value_t = 16)]
    streams: usize,
    /// Calls a second in all, however long answers take (open loop); times count from when a call was due
    #[arg(long, value_name = "RATE")]
    rate: Option<f64>,
    /// For how many seconds calls are counted, after one that is not where calls are made over and over
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    seconds: u64,
    /// Connect again where a connection breaks, and go on
    #[arg(long)]
    patient: bool,
    /// Cargo says so to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is asked.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Kind {
    /// All tokens at random; after the first time the server knows them
    Hot,
    /// Each token once, in order, by a server that should not know them yet
    Cold,
    /// Tokens that look right and were never issued
    Forged,
    /// All tokens, many in a call
    Batch,
    /// Revokes each token once
    Revoke,
}

impl Kind {
    /// Whoever makes each call once has none to spare.
    const fn warm_up(self) -> Duration {
        match self {
            Self::Hot | Self::Forged | Self::Batch => Duration::from_secs(1),
            Self::Cold | Self::Revoke => Duration::ZERO,
        }
    }
}

fn main() -> Outcome<()> {
    let command = Settings::augment_args(clap::Command::new("generate_load"));
    let settings = Settings::from_arg_matches(&command.get_matches())?;
    let credentials =
        settings.credential_file.iter().map(|file| Ok(fs::read_to_string(file)?.trim().to_owned()));
    let credentials = credentials.collect::<Outcome<Vec<_>>>()?;
    let rate = settings.rate.map(|a_second| Load::Open { a_second });
    let flow = Flow {
        target: &target(&settings)?,
        credentials: &credentials,
        mix: &mix(&settings)?,
        load: rate.unwrap_or(Load::Closed { streams: settings.streams }),
        connections: settings.connections,
    };
    let span = Span {
        warm_up: settings.mix.warm_up(),
        duration: Duration::from_secs(settings.seconds),
        restless: false,
        patient: settings.patient,
    };
    let [tally] = generator::tallies(&[flow], span)?;
    tell(&tally);
    tally.all_right().map(drop)
}

fn target(settings: &Settings) -> Outcome<Target> {
    if let Some(path) = settings.server.strip_prefix("unix:") {
        return Ok(Target::Unix(path.into()));
    }
    let address = settings.server.parse()?;
    settings.server_ca.as_ref().map_or(Ok(Target::Plaintext(address)), |file| Target::tls(address, file))
}

fn mix(settings: &Settings) -> Outcome<Mix> {
    let secrets = fs::read_to_string(&settings.tokens)?;
    let known = secrets.lines().map(Known::parse).collect::<Outcome<Vec<_>>>()?;
    let random = &mut Random::new(1);
    Ok(match settings.mix {
        Kind::Hot => Mix::any(known.iter().map(Call::introspect).collect()),
        Kind::Cold => Mix::each(known.iter().map(Call::introspect).collect()),
        Kind::Forged => {
            Mix::any(known.iter().map(|known| Call::introspect_forged(known.forged(random))).collect())
        }
        Kind::Batch => Mix::any(known.chunks(settings.batch.max(1)).map(Call::introspect_all).collect()),
        Kind::Revoke => Mix::each(known.iter().map(Call::revoke).collect()),
    })
}

fn tell(tally: &Tally) {
    println!("{:.0} right answers a second, in {:.1} s", tally.rate(), tally.elapsed.as_secs_f64());
    for (name, share) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)] {
        println!("{name:>6} {}", readable(tally.quantile(share)));
    }
}
