//! What the load meets: tokens that a server knows, callers, and the empty servers beside it, each on the first core, while
//! the load has the second.

use std::process::Command;
use std::thread;
use std::time::Duration;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::load::call::{Call, Expected, Known};
use crate::load::generator::{self, Flow, Span};
use crate::load::mix::Mix;
use crate::load::pace::Load;
use crate::load::target::Target;
use crate::measure::database::{FIRST, PrivateDatabase};
use crate::measure::empty::{self, Kind};
use crate::measure::minted::{Minting, mint};
use crate::measure::page::Outcome;
use crate::measure::process::{ServerProcess, on_core};
use crate::measure::served::ServedDatabase;

/// Live tokens, and callers who introspect them.
pub(crate) const TOKENS: usize = 100_000;
pub(crate) const CALLERS: usize = 4;

/// The core of whoever serves, and that of the load.
const SERVING: usize = 0;
const LOADING: usize = 1;

/// How many connections and streams on each it takes to keep a server busy.
pub(crate) const CONNECTIONS: usize = 8;
pub(crate) const STREAMS: usize = 16;

/// Each token once, so that it is known from then on; gives up when that takes too long.
const ALL: Span =
    Span { warm_up: Duration::ZERO, duration: Duration::from_mins(5), restless: true, patient: false };

pub(crate) struct Stage {
    pub(crate) database: PrivateDatabase,
    pub(crate) served: ServedDatabase,
    pub(crate) tokens: Vec<Known>,
    pub(crate) callers: Vec<String>,
    /// How long an answer about one of the tokens is, in bytes.
    pub(crate) answer: usize,
    /// All tokens, at random.
    pub(crate) hot: Mix,
    /// The same requests to an empty server.
    pub(crate) empty: Mix,
}

/// A server, and the way to it.
pub(crate) struct Served {
    pub(crate) process: ServerProcess,
    pub(crate) target: Target,
}

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Plaintext,
    Tls,
    Unix,
}

impl Stage {
    pub(crate) async fn prepare(tokens: usize) -> Outcome<Self> {
        let database = PrivateDatabase::start()?;
        let served = ServedDatabase::prepare(&database, FIRST).await?;
        let first = served.serve(&[])?;
        served.create_workspace(first.address).await?;
        let callers = served.create_callers(first.address, CALLERS).await?;
        drop(first);
        let minted = mint(&database, &served, Minting::of(tokens)).await?;
        let tokens = minted.iter().map(|minted| Known::parse(&minted.secret)).collect::<Outcome<Vec<_>>>()?;
        let hot: Vec<Call> = tokens.iter().map(Call::introspect).collect();
        let answer = answer_to(&served, &tokens).await?;
        let empty = hot.iter().map(|call| Call {
            path: empty::PATH,
            message: call.message.clone(),
            expected: Expected::Length(answer),
        });
        let empty = Mix::any(empty.collect());
        write_certificate(&database)?;
        Ok(Self { database, served, tokens, callers, answer, hot: Mix::any(hot), empty })
    }

    /// A server with one serving thread on its core, that knows all tokens and callers.
    pub(crate) fn server(&self, way: Way) -> Outcome<Served> {
        let mut command = self.served.role("serve");
        command.args(["--threads", "1"]);
        let server = self.start(on_core(SERVING, &command), way)?;
        self.introduce(&server)?;
        Ok(server)
    }

    /// One with a thread for each core, held to none.
    pub(crate) fn wide_server(&self) -> Outcome<Served> {
        let mut command = self.served.role("serve");
        command.args(["--threads", "2"]);
        let server = self.start(command, Way::Plaintext)?;
        self.introduce(&server)?;
        Ok(server)
    }

    /// An empty server on the product's serving, or on tonic's own.
    pub(crate) fn empty_server(&self, way: Way, kind: Kind) -> Outcome<Served> {
        self.start(on_core(SERVING, &empty::command(kind, self.answer)?), way)
    }

    fn start(&self, mut command: Command, way: Way) -> Outcome<Served> {
        let directory = self.database.directory();
        let certificate = directory.join("certificate.pem");
        Ok(match way {
            Way::Plaintext => {
                let process = ServerProcess::start(&mut command)?;
                let target = Target::Plaintext(process.address);
                Served { process, target }
            }
            Way::Tls => {
                command.arg("--tls-certificate").arg(&certificate);
                let process = ServerProcess::start(command.arg("--tls-key").arg(directory.join("key.pem")))?;
                let target = Target::tls(process.address, &certificate)?;
                Served { process, target }
            }
            Way::Unix => {
                let path = directory.join(format!("socket-{}", uuid::Uuid::new_v4().simple()));
                let process = ServerProcess::start_at(&mut command, &format!("unix:{}", path.display()))?;
                Served { process, target: Target::Unix(path) }
            }
        })
    }

    /// Has the server asked about each token once by every caller's connection.
    fn introduce(&self, server: &Served) -> Outcome<()> {
        let each = Mix::each(self.tokens.iter().map(Call::introspect).collect());
        let flow = Flow {
            target: &server.target,
            credentials: &self.callers,
            mix: &each,
            load: Load::Closed { streams: STREAMS },
            connections: CONNECTIONS,
        };
        loading(|| generator::all_right(flow, ALL)).map(drop)
    }

    /// The tokens, as hard as the server can.
    pub(crate) fn hot_flow<'plan>(&'plan self, server: &'plan Served) -> Flow<'plan> {
        self.flow(server, &self.hot, Load::Closed { streams: STREAMS })
    }

    /// As many empty calls.
    pub(crate) fn empty_flow<'plan>(&'plan self, server: &'plan Served) -> Flow<'plan> {
        self.flow(server, &self.empty, Load::Closed { streams: STREAMS })
    }

    pub(crate) fn flow<'plan>(
        &'plan self,
        server: &'plan Served,
        mix: &'plan Mix,
        load: Load,
    ) -> Flow<'plan> {
        Flow { target: &server.target, credentials: &self.callers, mix, load, connections: CONNECTIONS }
    }
}

/// Makes load on its core.
pub(crate) fn loading<Done: Send>(make: impl FnOnce() -> Outcome<Done> + Send) -> Outcome<Done> {
    let joined = thread::scope(|scope| {
        let loading = scope.spawn(|| {
            let mut core = CpuSet::new();
            core.set(LOADING);
            sched_setaffinity(None, &core)?;
            make()
        });
        loading.join()
    });
    joined.map_err(|_| "the load has panicked")?
}

async fn answer_to(served: &ServedDatabase, tokens: &[Known]) -> Outcome<usize> {
    use prost::Message as _;
    use tokenkeep::proto::v1;
    use tokenkeep::proto::v1::token_service_client::TokenServiceClient;
    let process = served.serve(&[])?;
    let mut client = TokenServiceClient::new(served.operator(process.address).await?);
    let token = tokens.first().ok_or("no token")?.secret().to_owned();
    let request = v1::IntrospectTokenRequest { token, ..Default::default() };
    Ok(client.introspect_token(request).await?.into_inner().encoded_len())
}

fn write_certificate(database: &PrivateDatabase) -> Outcome<()> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    std::fs::write(database.directory().join("certificate.pem"), cert.pem())?;
    std::fs::write(database.directory().join("key.pem"), signing_key.serialize_pem())?;
    Ok(())
}
