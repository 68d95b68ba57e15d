//! How many tokens a second are created, beside how many rows PostgreSQL itself takes.
//!
//! One PostgreSQL with every commit on disk. In turns, so many callers create tokens by gRPC, each with one call after the
//! other, and as many insert the same rows into the same table, one a commit. `cargo bench --bench creating -- --write` writes
//! the figures to `docs/performance/creating.md`.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::token_service_client::TokenServiceClient;
use tokio::task::JoinSet;
use tokio_postgres::Client;
use uuid::Uuid;

use self::measure::arguments;
use self::measure::database::{FIRST, PrivateDatabase};
use self::measure::figures::{self, Figure, Goal};
use self::measure::minted::{Minting, mint};
use self::measure::page::{self, Outcome};
use self::measure::rounds::Rounds;
use self::measure::served::{ServedDatabase, Tokens, WORKSPACE};

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

const CALLERS: usize = 64;

/// Connections to the database, as many as a server has by default; the callers who insert share them.
const CONNECTIONS: usize = 16;

/// Connections to the server.
const CHANNELS: usize = 4;

/// How many each caller creates in a round.
const EACH: usize = 50;

const ROUNDS: usize = 11;

/// Tokens that are there before.
const BEFORE: usize = 20_000;

/// How many a second shall be created, in times of those that are inserted.
const GOAL: f64 = 0.5;

/// A row like that of a created token. The rest has defaults, or is put beside it by triggers, as it is for a create.
const INSERT: &str = r"
    INSERT INTO tokens (
        id, workspace, name, description, principal, principal_kind, creator, type, scopes, metadata, epoch, generation, kid,
        tag, secret_hash, obfuscated_secret
    )
    VALUES (
        $1::text::uuid, 'acme', 'one more', '', 'minted-0', 'user', 'the benchmark', 'custom',
        ARRAY['articles:read', 'articles:write', 'orders:read', 'orders:write'], '{}', 0, 1, '01', '\x0011223344556677',
        '$argon2id$v=19$m=64,t=1,p=1$abcdefghijklmnopqrstuv$abcdefghijklmnopqrstuvabcdefghijklmnopqrstuv', 'tk_...abcd'
    )";

fn main() -> Outcome<()> {
    let private = PrivateDatabase::start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let database = ServedDatabase::prepare(&private, FIRST).await?;
        let server = database.serve(&[])?;
        database.create_workspace(server.address).await?;
        let minting = Minting { principals: 1, ..Minting::of(BEFORE) };
        mint(&private, &database, minting).await?;
        let (mut channels, mut clients) = (Vec::new(), Vec::new());
        for _ in 0..CHANNELS {
            channels.push(TokenServiceClient::new(database.operator(server.address).await?));
        }
        for _ in 0..CONNECTIONS {
            clients.push(Arc::new(private.connect(FIRST).await?));
        }
        let rounds = arguments::number("--rounds", ROUNDS)?;
        let (mut created, mut inserted, mut ratios) =
            (Rounds::default(), Rounds::default(), Rounds::default());
        for round in 0..=rounds {
            let (ours, theirs) = if round.is_multiple_of(2) {
                let ours = create(&channels).await?;
                (ours, insert(&clients).await?)
            } else {
                let theirs = insert(&clients).await?;
                (create(&channels).await?, theirs)
            };
            eprintln!("round {round}: created {ours:.0}, inserted {theirs:.0} a second");
            // In the first, statements are prepared and pages are made.
            if round > 0 {
                created.add(ours);
                inserted.add(theirs);
                ratios.add(ours / theirs);
            }
        }
        let told = format!("{:.0}/s of {:.0}/s", created.median(), inserted.median());
        let said =
            ["creating tokens, 64 callers, over gRPC", "one insert a commit, 64 callers, 16 connections"];
        figures::keep("creating", &[Figure::ratio(said, Goal::AtLeast(GOAL), &ratios, &told)])?;
        let provenance = page::provenance(&private.version().await?)?;
        let table = table(rounds, &created, &inserted, &ratios)?;
        page::publish("creating.md", &format!("{provenance}\n{table}"))
    })
}

/// Creates a second.
async fn create(channels: &[Tokens]) -> Outcome<f64> {
    let mut callers: JoinSet<Outcome<()>> = JoinSet::new();
    let begun = Instant::now();
    for mut tokens in channels.iter().cycle().take(CALLERS).cloned() {
        callers.spawn(async move {
            for _ in 0..EACH {
                tokens.create_token(new_token()).await?;
            }
            Ok(())
        });
    }
    all_ended(callers, begun).await
}

fn new_token() -> v1::CreateTokenRequest {
    v1::CreateTokenRequest {
        workspace: WORKSPACE.to_owned(),
        name: "one more".to_owned(),
        principal: "minted-0".to_owned(),
        scopes: ["articles:read", "articles:write", "orders:read", "orders:write"]
            .map(str::to_owned)
            .to_vec(),
        initiator: "the benchmark".to_owned(),
        ..Default::default()
    }
}

/// Inserts a second.
async fn insert(clients: &[Arc<Client>]) -> Outcome<f64> {
    let mut statements = Vec::new();
    for client in clients {
        statements.push((Arc::clone(client), client.prepare(INSERT).await?));
    }
    let shared = Arc::new(tokio::sync::Mutex::new(statements));
    let free = Arc::new(tokio::sync::Semaphore::new(clients.len()));
    let mut callers: JoinSet<Outcome<()>> = JoinSet::new();
    let begun = Instant::now();
    for _ in 0..CALLERS {
        let (shared, free) = (Arc::clone(&shared), Arc::clone(&free));
        callers.spawn(async move {
            for _ in 0..EACH {
                let _one = free.acquire().await?;
                let (client, statement) = shared.lock().await.pop().ok_or("no connection is free")?;
                client.execute(&statement, &[&Uuid::now_v7().to_string()]).await?;
                shared.lock().await.push((client, statement));
            }
            Ok(())
        });
    }
    all_ended(callers, begun).await
}

/// How many a second were done.
async fn all_ended(mut callers: JoinSet<Outcome<()>>, begun: Instant) -> Outcome<f64> {
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    Ok(f64::from(u32::try_from(CALLERS * EACH)?) / begun.elapsed().as_secs_f64())
}

fn table(rounds: usize, created: &Rounds, inserted: &Rounds, ratios: &Rounds) -> Outcome<String> {
    let mut text = format!(
        "{rounds} rounds of {} by {CALLERS} callers; medians.\n\n| way | a second | half of the rounds |\n|---|---|---|\n",
        CALLERS * EACH,
    );
    for (name, rates) in [("created, over gRPC", created), ("inserted, one a commit", inserted)] {
        let (low, high) = rates.middle_half();
        writeln!(text, "| {name} | {:.0} | {low:.0} – {high:.0} |", rates.median())?;
    }
    let (median, (low, high)) = (ratios.median(), ratios.middle_half());
    let reached = if median >= GOAL { "is reached" } else { "is **not** reached" };
    writeln!(
        text,
        "\nTokens are created {median:.2} times as fast as rows are inserted (half of the rounds: {low:.2} – {high:.2}). \
         The goal of {GOAL} times {reached}.\n"
    )?;
    Ok(text)
}
