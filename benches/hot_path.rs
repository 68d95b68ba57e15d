//! The instructions and allocations of one hot introspection, beside those of an empty call of the same sizes.
//!
//! Times say little on a machine that others use; counts are the same every time. A server runs under callgrind, all that
//! is asked of it is known to it, and what its serving thread did is divided by the calls.
//!
//! `cargo bench --bench hot_path` fails if that is more than `benches/hot_path.counts.toml` says, and tells which functions
//! grew; with `-- --write` it takes the counts down there and on `docs/performance/hot_path.md`.

use prost::Message as _;
use tokenkeep::proto::v1;
use tokenkeep::proto::v1::introspection_outcome::Outcome as Judged;
use tokenkeep::proto::v1::token_service_client::TokenServiceClient;
use tokio::task::JoinSet;
use tonic::Status;

use self::hot::counted::{self, Counted, Counts};
use self::hot::counting::CountingServer;
use self::measure::database::{FIRST, PrivateDatabase};
use self::measure::empty::{self, Kind};
use self::measure::page::{self, Outcome};
use self::measure::served::{ServedDatabase, Tokens, WORKSPACE};

mod hot {
    pub(crate) mod counted;
    pub(crate) mod counting;
    pub(crate) mod profile;
}
#[expect(dead_code, reason = "what only other benchmarks need of it")]
mod measure {
    pub(crate) mod arguments;
    pub(crate) mod database;
    pub(crate) mod empty;
    pub(crate) mod page;
    pub(crate) mod process;
    pub(crate) mod served;
}

const TOKENS: usize = 64;
const CALLS: usize = 4_096;
const BATCHES: usize = 32;
const BATCH: usize = 256;

/// How many calls are under way at once, on one connection: the thread always has the next at hand, as under load.
const AT_ONCE: usize = 16;

/// Two callers, and the secrets of the tokens that they ask about.
struct Setting {
    database: ServedDatabase,
    caller: String,
    secrets: Vec<String>,
}

fn main() -> Outcome<()> {
    empty::serve_if_told()?;
    let private = PrivateDatabase::start()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let setting = Setting::prepare(&private).await?;
        let counts = count(&private, &setting).await?;
        let provenance = page::provenance("callgrind")?;
        counted::publish(&counts, &format!("{provenance}\n{}", counts.page()?))
    })
}

impl Setting {
    async fn prepare(private: &PrivateDatabase) -> Outcome<Self> {
        let database = ServedDatabase::prepare(private, FIRST).await?;
        let server = database.serve(&[])?;
        database.create_workspace(server.address).await?;
        let mut tokens = TokenServiceClient::new(database.operator(server.address).await?);
        let caller = create(&mut tokens, &["tokenkeep:introspect"]).await?;
        let mut secrets = Vec::with_capacity(TOKENS);
        for _ in 0..TOKENS {
            secrets.push(create(&mut tokens, &["articles:read", "articles:write"]).await?);
        }
        Ok(Self { database, caller, secrets })
    }
}

async fn create(tokens: &mut Tokens, scopes: &[&str]) -> Result<String, Status> {
    let request = v1::CreateTokenRequest {
        workspace: WORKSPACE.to_owned(),
        name: "known to all".to_owned(),
        scopes: scopes.iter().map(ToString::to_string).collect(),
        ..Default::default()
    };
    Ok(tokens.create_token(request).await?.into_inner().secret)
}

async fn count(private: &PrivateDatabase, setting: &Setting) -> Outcome<Counts> {
    let command = setting.database.server(&["--threads", "1"]);
    let counting = CountingServer::start(&command, private.directory(), "served")?;
    let (address, database) = (counting.server.address, &setting.database);
    let operator = TokenServiceClient::new(database.operator(address).await?);
    let caller = TokenServiceClient::new(database.caller(address, &setting.caller).await?);
    let clients = [operator, caller];
    let mut size = 0;
    for mut client in clients.clone() {
        for secret in &setting.secrets {
            size = introspect(&mut client, secret.clone()).await?;
        }
    }
    let asked = clients.iter().cycle().zip(setting.secrets.iter().cycle());
    let calls = asked.take(CALLS).map(|(client, secret)| {
        let (mut client, secret) = (client.clone(), secret.clone());
        async move { introspect(&mut client, secret).await.map(drop) }
    });
    counting.begin()?;
    at_once(calls).await?;
    let introspection = Counted::of(&counting.counted()?, CALLS)?;
    let batch: Vec<String> = setting.secrets.iter().cycle().take(BATCH).cloned().collect();
    let askers = clients.iter().cycle().take(BATCHES);
    counting.begin()?;
    at_once(askers.map(|client| introspect_all(client.clone(), batch.clone()))).await?;
    let batched = Counted::of(&counting.counted()?, BATCHES * BATCH)?;
    let empty = count_empty(private, size, setting).await?;
    Ok(Counts { introspection, empty, batched })
}

/// The same by a server that answers with nothing but as many bytes.
async fn count_empty(private: &PrivateDatabase, size: usize, setting: &Setting) -> Outcome<Counted> {
    let command = empty::command(Kind::PerCore, size)?;
    let counting = CountingServer::start(&command, private.directory(), "empty")?;
    let client = setting.database.caller(counting.server.address, &setting.caller).await?;
    let secret = setting.secrets.first().ok_or("no secret")?;
    let size = v1::IntrospectTokenRequest { token: secret.clone(), ..Default::default() }.encoded_len();
    let request = empty::message(size);
    let mut calls = std::iter::repeat_with(|| empty::call(client.clone(), request.clone()));
    at_once(calls.by_ref().take(TOKENS)).await?;
    counting.begin()?;
    at_once(calls.take(CALLS)).await?;
    Counted::of(&counting.counted()?, CALLS)
}

/// Makes calls, many at once.
async fn at_once<Call>(calls: impl Iterator<Item = Call>) -> Outcome<()>
where
    Call: Future<Output = Result<(), Status>> + Send + 'static,
{
    let mut under_way = JoinSet::new();
    for call in calls {
        if under_way.len() == AT_ONCE {
            under_way.join_next().await.ok_or("none is under way")???;
        }
        under_way.spawn(call);
    }
    while let Some(ended) = under_way.join_next().await {
        ended??;
    }
    Ok(())
}

/// Gives the size of the answer.
async fn introspect(client: &mut Tokens, token: String) -> Result<usize, Status> {
    let request = v1::IntrospectTokenRequest { token, ..Default::default() };
    let answer = client.introspect_token(request).await?.into_inner();
    if answer.active { Ok(answer.encoded_len()) } else { Err(Status::internal("a wrong verdict")) }
}

async fn introspect_all(mut client: Tokens, batch: Vec<String>) -> Result<(), Status> {
    let ask = |token| v1::IntrospectTokenRequest { token, ..Default::default() };
    let request = v1::BatchIntrospectTokensRequest { requests: batch.into_iter().map(ask).collect() };
    let outcomes = client.batch_introspect_tokens(request).await?.into_inner().outcomes;
    let live = |outcome: &Option<Judged>| matches!(outcome, Some(Judged::Answer(answer)) if answer.active);
    let right = outcomes.len() == BATCH && outcomes.iter().all(|outcome| live(&outcome.outcome));
    if right { Ok(()) } else { Err(Status::internal("a wrong verdict")) }
}
