//! One of the two sides: a database of so many tokens, most of them put in by SQL, and a server over it.

use std::time::{Duration, Instant};

use tokenkeep::proto::v1::token_service_client::TokenServiceClient;
use tokio::task::JoinSet;
use tokio_postgres::Client;

use crate::measure::database::PrivateDatabase;
use crate::measure::minted::{Minted, Minting, mint};
use crate::measure::page::Outcome;
use crate::measure::pgbench::Pgbench;
use crate::measure::process::ServerProcess;
use crate::measure::served::{ServedDatabase, Tokens};

/// Tokens with secrets that are known, spread evenly among the others.
const SAMPLE: usize = 5_000;

/// Tokens that are put in together.
const SLICE: usize = 100_000;

/// As many slices are put in at once.
const WRITERS: usize = 2;

/// What triggers would have put in beside each token.
const BESIDE: [&str; 2] = [
    "INSERT INTO token_marks SELECT workspace, 'scope:articles:read', id FROM tokens WHERE workspace = 'acme'",
    "INSERT INTO token_last_uses (token, workspace, last_use_time)
     SELECT id, workspace, create_time + interval '1 hour' FROM tokens WHERE workspace = 'acme'",
];

pub(crate) struct Side {
    pub(crate) tokens: Tokens,
    /// Those whose secrets are known and that were not introspected yet, in no order.
    pub(crate) unknown: Vec<Minted>,
    /// Those whose secrets are known and that were.
    pub(crate) known: Vec<Minted>,
    /// Any, in no order.
    pub(crate) ids: Vec<String>,
    pub(crate) reference: Pgbench,
    pub(crate) bytes: i64,
    _server: ServerProcess,
}

impl Side {
    /// So many tokens in one workspace, and as many rows for pgbench.
    pub(crate) async fn fill(database: &PrivateDatabase, count: usize) -> Outcome<Self> {
        let (name, begun) = (format!("tokens_{count}"), Instant::now());
        let served = ServedDatabase::prepare(database, &name).await?;
        let process = served.serve(&[])?;
        served.create_workspace(process.address).await?;
        put_in(database, &name, count - SAMPLE.min(count / 2)).await?;
        eprintln!("{count}: put in after {:?}", begun.elapsed());
        let spread = Duration::from_secs(u64::try_from(count)?);
        let sample = Minting { principals: 100, spread, ..Minting::of(SAMPLE.min(count / 2)) };
        let mut unknown = mint(database, &served, sample).await?;
        shuffle(&mut unknown);
        let client = database.connect(&name).await?;
        let ids = some_ids(&client, count).await?;
        let bytes = client.query_one("SELECT pg_database_size(current_database())", &[]).await?.try_get(0)?;
        let reference = Pgbench::prepare(database, count).await?;
        eprintln!("{count}: ready after {:?}", begun.elapsed());
        let tokens = TokenServiceClient::new(served.operator(process.address).await?);
        Ok(Self { tokens, unknown, known: Vec::new(), ids, reference, bytes, _server: process })
    }
}

/// Without the triggers and the indexes, which are made again once all is there.
async fn put_in(database: &PrivateDatabase, name: &str, count: usize) -> Outcome<()> {
    let client = database.connect(name).await?;
    client
        .batch_execute(
            "INSERT INTO principals (workspace, id, kind, name, scopes, creator)
             SELECT 'acme', 'user-' || n, 'user', 'somebody', ARRAY['*'], 'the benchmark'
             FROM generate_series(0, 999) AS n",
        )
        .await?;
    let indexes = drop_indexes(&client).await?;
    let newest: String =
        client.query_one("SELECT CAST(date_trunc('second', now()) AS text)", &[]).await?.try_get(0)?;
    let slices = (0..count).step_by(SLICE).map(|begin| {
        include_str!("fill.sql")
            .replace("NEWEST", &newest)
            .replace("COUNT", &count.to_string())
            .replace("FIRST", &begin.to_string())
            .replace("LAST", &(count.min(begin + SLICE) - 1).to_string())
    });
    run_all(database, name, slices.collect()).await?;
    run_all(database, name, BESIDE.map(str::to_owned).to_vec()).await?;
    run_all(database, name, indexes).await
}

/// Drops the indexes that are no constraints, and gives what makes them again.
async fn drop_indexes(client: &Client) -> Outcome<Vec<String>> {
    let found = client
        .query(
            "SELECT indexname::text, indexdef FROM pg_indexes WHERE tablename IN ('tokens', 'token_last_uses')
             AND NOT EXISTS (SELECT FROM pg_constraint WHERE conname = indexname)",
            &[],
        )
        .await?;
    let mut indexes = Vec::new();
    for row in found {
        let name: String = row.try_get(0)?;
        client.batch_execute(&format!("DROP INDEX {name}")).await?;
        indexes.push(row.try_get(1)?);
    }
    Ok(indexes)
}

/// Runs statements, some at once, without triggers.
async fn run_all(database: &PrivateDatabase, name: &str, statements: Vec<String>) -> Outcome<()> {
    let mut running: JoinSet<Outcome<()>> = JoinSet::new();
    for writer in 0..WRITERS {
        let client = database.connect(name).await?;
        let own: Vec<String> = statements.iter().skip(writer).step_by(WRITERS).cloned().collect();
        running.spawn(async move {
            client
                .batch_execute(
                    "SET session_replication_role = replica; SET synchronous_commit = off;
                     SET maintenance_work_mem = '512MB'",
                )
                .await?;
            for statement in own {
                client.batch_execute(&statement).await?;
            }
            Ok(())
        });
    }
    while let Some(ran) = running.join_next().await {
        ran??;
    }
    Ok(())
}

/// Of tokens that were put in, in no order.
async fn some_ids(client: &Client, count: usize) -> Outcome<Vec<String>> {
    let percent = (1_000_000.0 / f64::from(u32::try_from(count)?)).min(90.0);
    let statement = format!(
        "SELECT CAST(id AS text) FROM tokens TABLESAMPLE BERNOULLI ({percent})
         WHERE workspace = 'acme' AND principal LIKE 'user-%'"
    );
    let rows = client.query(&statement, &[]).await?;
    let mut ids: Vec<String> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
    shuffle(&mut ids);
    Ok(ids)
}

fn shuffle<Item>(items: &mut [Item]) {
    for last in (1..items.len()).rev() {
        items.swap(last, rand::random_range(0..=last));
    }
}
