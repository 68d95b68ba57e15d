//! What it costs to judge a token that the server does not know: with argon2, without it, and beside `pgbench`.
//!
//! Each round starts a server, which knows nothing, and has tokens introspected for the first time. Then their workspace is
//! changed, so that each must be read again, but no secret proved again. `cargo bench --bench cold -- --write` writes the
//! figures to `docs/performance/cold.md`; `--tokens` and `--rounds` say how many.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::token_service_client::TokenServiceClient;
use tokenkeep::proto::v1::workspace_service_client::WorkspaceServiceClient;
use tokio::task::JoinSet;
use tonic::Status;

use self::measure::arguments;
use self::measure::database::{FIRST, PrivateDatabase};
use self::measure::figures::{self, Figure, Goal};
use self::measure::minted::{Minted, Minting, mint};
use self::measure::page::{self, Outcome};
use self::measure::pgbench::Pgbench;
use self::measure::process::ServerProcess;
use self::measure::rounds::Rounds;
use self::measure::served::{ServedDatabase, Tokens, WORKSPACE};

#[expect(dead_code, reason = "what only other benchmarks need of it")]
mod measure {
    pub(crate) mod arguments;
    pub(crate) mod database;
    pub(crate) mod figures;
    pub(crate) mod minted;
    pub(crate) mod page;
    pub(crate) mod pgbench;
    pub(crate) mod process;
    pub(crate) mod rounds;
    pub(crate) mod served;
}

/// In a round; fewer than the secrets of which a server remembers that they are proved.
const TOKENS: usize = 20_000;
const ROUNDS: usize = 9;

/// Connections of the callers, and callers at once on each.
const CONNECTIONS: usize = 8;
const CALLERS: usize = 16;

/// Connections of the server's pool, as by default, and of pgbench.
const POOL: usize = 16;

/// The rows that pgbench reads from.
const ROWS: usize = 100_000;

const REFERENCE_TIME: Duration = Duration::from_secs(2);

/// What the rate with argon2 shall be, in times of that without.
const GOAL_BESIDE_THE_ROW: f64 = 0.5;

/// And in times of pgbench's.
const GOAL_BESIDE_PGBENCH: f64 = 0.25;

/// What a second held, round by round.
#[derive(Default)]
struct Rates {
    cold: Rounds,
    row: Rounds,
    reference: Rounds,
    beside_row: Rounds,
    beside_reference: Rounds,
}

fn main() -> Outcome<()> {
    let private = PrivateDatabase::start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let database = ServedDatabase::prepare(&private, FIRST).await?;
        let server = database.serve(&[])?;
        database.create_workspace(server.address).await?;
        drop(server);
        let begun = Instant::now();
        let tokens =
            Arc::new(mint(&private, &database, Minting::of(arguments::number("--tokens", TOKENS)?)).await?);
        eprintln!("minted {} tokens in {:?}", tokens.len(), begun.elapsed());
        let reference = Pgbench::prepare(&private, ROWS).await?;
        let mut rates = Rates::default();
        let rounds = arguments::number("--rounds", ROUNDS)?;
        for round in 0..rounds {
            rates.round(&database, &tokens, &reference, round).await?;
        }
        figures::keep("cold", &rates.figures())?;
        let provenance = page::provenance(&private.version().await?)?;
        page::publish("cold.md", &format!("{provenance}\n{}", rates.table(tokens.len(), rounds)?))
    })
}

impl Rates {
    /// The reference is measured before in one round and after in the next.
    async fn round(
        &mut self,
        database: &ServedDatabase,
        tokens: &Arc<Vec<Minted>>,
        reference: &Pgbench,
        round: usize,
    ) -> Outcome<()> {
        let before = round.is_multiple_of(2);
        let mut reads = 0.0;
        if before {
            reads = reference.reads_a_second(POOL, REFERENCE_TIME).await?;
        }
        let (cold, row) = introspected(database, tokens).await?;
        if !before {
            reads = reference.reads_a_second(POOL, REFERENCE_TIME).await?;
        }
        eprintln!("round {round}: cold {cold:.0}, row alone {row:.0}, pgbench {reads:.0} a second");
        self.cold.add(cold);
        self.row.add(row);
        self.reference.add(reads);
        self.beside_row.add(cold / row);
        self.beside_reference.add(cold / reads);
        Ok(())
    }

    fn figures(&self) -> [Figure; 2] {
        let told = |reference: &Rounds| format!("{:.0}/s of {:.0}/s", self.cold.median(), reference.median());
        let what = "cold introspection: row and argon2";
        [
            Figure::ratio(
                [what, "the same without argon2"],
                Goal::AtLeast(GOAL_BESIDE_THE_ROW),
                &self.beside_row,
                &told(&self.row),
            ),
            Figure::ratio(
                [what, "`pgbench -S -M prepared`, as many connections"],
                Goal::AtLeast(GOAL_BESIDE_PGBENCH),
                &self.beside_reference,
                &told(&self.reference),
            ),
        ]
    }

    fn table(&self, tokens: usize, rounds: usize) -> Outcome<String> {
        let mut text = format!(
            "{rounds} rounds of {tokens} tokens, {} callers on {CONNECTIONS} connections; medians.\n\n\
             | read | a second | half of the rounds |\n|---|---|---|\n",
            CALLERS * CONNECTIONS,
        );
        for (name, rates) in [
            ("introspected for the first time: row and argon2", &self.cold),
            ("introspected again, its row read anew: no argon2", &self.row),
            ("`pgbench -S -M prepared`, as many connections as the server's", &self.reference),
        ] {
            let (low, high) = rates.middle_half();
            writeln!(text, "| {name} | {:.0} | {low:.0} – {high:.0} |", rates.median())?;
        }
        writeln!(text, "\n| ratio | median | half of the rounds | goal |\n|---|---|---|---|")?;
        for (name, ratios, goal) in [
            ("with argon2 to without", &self.beside_row, GOAL_BESIDE_THE_ROW),
            ("with argon2 to pgbench", &self.beside_reference, GOAL_BESIDE_PGBENCH),
        ] {
            let (median, (low, high)) = (ratios.median(), ratios.middle_half());
            let reached = if median >= goal { "reached" } else { "**not** reached" };
            writeln!(text, "| {name} | {median:.2} | {low:.2} – {high:.2} | at least {goal}: {reached} |")?;
        }
        Ok(text)
    }
}

/// How many a second a new server judges for the first time, and again without argon2.
async fn introspected(database: &ServedDatabase, tokens: &Arc<Vec<Minted>>) -> Outcome<(f64, f64)> {
    let server = database.serve(&[])?;
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut client = TokenServiceClient::new(database.operator(server.address).await?);
        // So that the caller is known, as it is after its first request.
        client.introspect_token(v1::IntrospectTokenRequest::default()).await.ok();
        clients.push(client);
    }
    let cold = passed(&server, &clients, tokens, 1.0).await?;
    touch_workspace(database, &server).await?;
    let row = passed(&server, &clients, tokens, 0.0).await?;
    Ok((cold, row))
}

/// Gives the workspace a profile and takes it away, so that nothing that is known of its tokens is answered from.
async fn touch_workspace(database: &ServedDatabase, server: &ServerProcess) -> Outcome<()> {
    let mut workspaces = WorkspaceServiceClient::new(database.operator(server.address).await?);
    for profile in ["undb", ""] {
        let workspace =
            v1::Workspace { id: WORKSPACE.to_owned(), profile: profile.to_owned(), ..Default::default() };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["profile".to_owned()] });
        let update =
            v1::UpdateWorkspaceRequest { workspace: Some(workspace), update_mask, ..Default::default() };
        workspaces.update_workspace(update).await?;
    }
    Ok(())
}

/// Has each token judged once, and sees that this took a read of each and so much argon2.
async fn passed(
    server: &ServerProcess,
    clients: &[Tokens],
    tokens: &Arc<Vec<Minted>>,
    argon2_each: f64,
) -> Outcome<f64> {
    let counts = || -> Outcome<_> {
        let reads = server.metric("tokenkeep_credential_reads_total")?;
        Ok((reads, server.metric("tokenkeep_argon2_runs_total{purpose=\"verify\"}")?))
    };
    let before = counts()?;
    let begun = Instant::now();
    judge_all(clients, tokens).await?;
    let elapsed = begun.elapsed().as_secs_f64();
    let after = counts()?;
    let all = f64::from(u32::try_from(tokens.len())?);
    let (reads, runs) = ((after.0 - before.0) / all, (after.1 - before.1) / all);
    // The callers' own tokens, and what was not remembered, are few.
    if (reads - 1.0).abs() > 0.01 || (runs - argon2_each).abs() > 0.01 {
        return Err(format!("a token took {reads:.3} reads and {runs:.3} runs of argon2").into());
    }
    Ok(all / elapsed)
}

async fn judge_all(clients: &[Tokens], tokens: &Arc<Vec<Minted>>) -> Outcome<()> {
    let mut callers = JoinSet::new();
    let callers_in_all = clients.len() * CALLERS;
    for (caller, client) in clients.iter().cycle().take(callers_in_all).enumerate() {
        let (mut client, tokens) = (client.clone(), Arc::clone(tokens));
        callers.spawn(async move {
            for minted in tokens.iter().skip(caller).step_by(callers_in_all) {
                let request =
                    v1::IntrospectTokenRequest { token: minted.secret.clone(), ..Default::default() };
                if !client.introspect_token(request).await?.into_inner().active {
                    return Err(Status::internal("a live token was called inactive"));
                }
            }
            Ok::<_, Status>(())
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    Ok(())
}
