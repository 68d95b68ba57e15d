//! How much sooner a token is judged that the server knows than one that it must look up.
//!
//! Each round starts a server, which knows nothing, and has the same tokens introspected for the first time, again, and in
//! batches. `cargo bench --bench introspection -- --write` writes the figures to `docs/performance/introspection.md`.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::introspection_outcome::Outcome as Judged;
use tokenkeep::proto::v1::token_service_client::TokenServiceClient;
use tokio::task::JoinSet;
use tonic::Status;

use self::measure::database::{FIRST, PrivateDatabase};
use self::measure::minted::{Minting, mint};
use self::measure::page::{self, Outcome};
use self::measure::process::ServerProcess;
use self::measure::rounds::{Rounds, readable, readable_range};
use self::measure::served::{ServedDatabase, Tokens};

#[expect(dead_code, reason = "what only other benchmarks need of it")]
mod measure {
    pub(crate) mod database;
    pub(crate) mod minted;
    pub(crate) mod page;
    pub(crate) mod process;
    pub(crate) mod rounds;
    pub(crate) mod served;
}

const TOKENS: usize = 4_096;
const ROUNDS: usize = 11;
const CONNECTIONS: usize = 4;
const CALLERS: usize = 16;
const BATCH: usize = 256;

/// How often the tokens are judged again in a round: long enough to be timed.
const AGAIN: usize = 4;

/// How many times the rate of first introspections that of later ones shall be.
const GOAL: f64 = 5.0;

/// The time of one introspection, round by round.
#[derive(Default)]
struct Times {
    first: Rounds,
    again: Rounds,
    batched: Rounds,
    ratios: Rounds,
}

fn main() -> Outcome<()> {
    let private = PrivateDatabase::start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let database = ServedDatabase::prepare(&private, FIRST).await?;
        let secrets = Arc::new(mint_all(&private, &database).await?);
        let mut times = Times::default();
        let mut memory = 0.0;
        for _ in 0..ROUNDS {
            memory = round(&database, &secrets, &mut times).await?;
        }
        let provenance = page::provenance(&private.version().await?)?;
        page::publish("introspection.md", &format!("{provenance}\n{}", table(&times, memory)?))
    })
}

/// Gives the server's memory at its end, in MiB.
async fn round(database: &ServedDatabase, secrets: &Arc<Vec<String>>, times: &mut Times) -> Outcome<f64> {
    let server = database.serve(&[])?;
    let clients = connect(database, &server).await?;
    let client = clients.first().ok_or("no client")?;
    // So that the caller is known, as it is after its first request.
    introspect(&mut client.clone(), "nothing".to_owned()).await?;
    let first = time(&clients, secrets, 1).await?;
    let again = time(&clients, secrets, AGAIN).await?;
    times.first.add(first);
    times.again.add(again);
    times.ratios.add(first / again);
    times.batched.add(time_batches(client, secrets).await?);
    server.resident_memory()
}

async fn connect(database: &ServedDatabase, server: &ServerProcess) -> Outcome<Vec<Tokens>> {
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        clients.push(TokenServiceClient::new(database.operator(server.address).await?));
    }
    Ok(clients)
}

async fn mint_all(private: &PrivateDatabase, database: &ServedDatabase) -> Outcome<Vec<String>> {
    let server = database.serve(&[])?;
    database.create_workspace(server.address).await?;
    let minted = mint(private, database, Minting::of(TOKENS)).await?;
    Ok(minted.into_iter().map(|minted| minted.secret).collect())
}

/// The time of one introspection, with many under way.
async fn time(clients: &[Tokens], secrets: &Arc<Vec<String>>, rounds: usize) -> Outcome<f64> {
    let begun = Instant::now();
    let mut callers = JoinSet::new();
    for (caller, client) in clients.iter().cycle().take(CALLERS).enumerate() {
        let (mut client, secrets) = (client.clone(), Arc::clone(secrets));
        callers.spawn(async move {
            for _ in 0..rounds {
                for secret in secrets.iter().skip(caller).step_by(CALLERS) {
                    introspect(&mut client, secret.clone()).await?;
                }
            }
            Ok::<_, Status>(())
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    each(begun, rounds * secrets.len())
}

async fn introspect(client: &mut Tokens, token: String) -> Result<(), Status> {
    let live = token != "nothing";
    let request = v1::IntrospectTokenRequest { token, ..Default::default() };
    let active = client.introspect_token(request).await?.into_inner().active;
    if active == live { Ok(()) } else { Err(Status::internal("a wrong verdict")) }
}

/// The time of one introspection in a batch.
async fn time_batches(client: &Tokens, secrets: &[String]) -> Outcome<f64> {
    let begun = Instant::now();
    let mut client = client.clone();
    for batch in secrets.chunks(BATCH) {
        let ask = |token: &String| v1::IntrospectTokenRequest { token: token.clone(), ..Default::default() };
        let request = v1::BatchIntrospectTokensRequest { requests: batch.iter().map(ask).collect() };
        let outcomes = client.batch_introspect_tokens(request).await?.into_inner().outcomes;
        let live =
            |outcome: &Option<Judged>| matches!(outcome, Some(Judged::Answer(answer)) if answer.active);
        if !outcomes.iter().all(|outcome| live(&outcome.outcome)) {
            return Err("a wrong verdict".into());
        }
    }
    each(begun, secrets.len())
}

fn each(begun: Instant, count: usize) -> Outcome<f64> {
    Ok(begun.elapsed().as_secs_f64() / f64::from(u32::try_from(count)?))
}

fn table(times: &Times, memory: f64) -> Outcome<String> {
    let mut text = format!(
        "{ROUNDS} rounds of {TOKENS} tokens; medians.\n\n| introspected | time of one | half of the rounds | a second |\n\
         |---|---|---|---|\n"
    );
    let rows = [
        ("for the first time", &times.first),
        ("again", &times.again),
        ("again, 256 in a call, one caller", &times.batched),
    ];
    for (name, times) in rows {
        let (one, rate) = (readable(times.median()), 1.0 / times.median());
        writeln!(text, "| {name} | {one} | {} | {rate:.0} |", readable_range(times.middle_half()))?;
    }
    let (ratio, (low, high)) = (times.ratios.median(), times.ratios.middle_half());
    let reached = if ratio >= GOAL { "is reached" } else { "is **not** reached" };
    writeln!(
        text,
        "\nA known token is judged {ratio:.1} times as fast as one that must be looked up (half of the rounds: {low:.1} – \
         {high:.1}). The goal of {GOAL} times {reached}. With all of them known the server took {memory:.0} MiB of \
         resident memory.\n"
    )?;
    Ok(text)
}
