//! Whether every filter of a list answers a page as soon as a list without a filter, among a million tokens.
//!
//! One database with a million tokens in one workspace, and a server over it. Every call with a filter is paired with one
//! without, in turns. `cargo bench --bench finding -- --write` writes the figures to `docs/performance/finding.md`;
//! `--tokens` says how many tokens.

use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime};

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::token_service_client::TokenServiceClient;
use tokenkeep::proto::v1::workspace_service_client::WorkspaceServiceClient;

use self::measure::arguments;
use self::measure::database::{FIRST, PrivateDatabase};
use self::measure::page::{self, Outcome};
use self::measure::rounds::{Rounds, readable, readable_range};
use self::measure::served::{ServedDatabase, Tokens, WORKSPACE};
use self::searching::searches::{SEARCHES, Search};

mod searching {
    pub(crate) mod searches;
}

#[expect(dead_code, reason = "what only other benchmarks need of it")]
mod measure {
    pub(crate) mod arguments;
    pub(crate) mod database;
    pub(crate) mod page;
    pub(crate) mod process;
    pub(crate) mod rounds;
    pub(crate) mod served;
}

const TOKENS: usize = 1_000_000;

const ROUNDS: usize = 15;

/// Calls of one search in a round, each paired with one of the plain list.
const CALLS: usize = 10;

/// What a page of a filter may take, in times of one without.
const GOAL: f64 = 3.0;

/// The most pages that are read to see how many a search has in all.
const MOST_PAGES: usize = 1_000;

fn main() -> Outcome<()> {
    let database = PrivateDatabase::start()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let served = ServedDatabase::prepare(&database, FIRST).await?;
        let process = served.serve(&[])?;
        served.create_workspace(process.address).await?;
        let operator = served.operator(process.address).await?;
        let workspace = v1::Workspace {
            id: WORKSPACE.to_owned(),
            profile: "coolset".to_owned(),
            token_prefix: "sk_live".to_owned(),
            ..Default::default()
        };
        let update = v1::UpdateWorkspaceRequest { workspace: Some(workspace), ..Default::default() };
        WorkspaceServiceClient::new(operator.clone()).update_workspace(update).await?;
        let begun = Instant::now();
        fill(&database, arguments::number("--tokens", TOKENS)?).await?;
        eprintln!("filled in {:?}", begun.elapsed());
        let mut tokens = TokenServiceClient::new(operator);
        let mut all = Vec::new();
        for search in SEARCHES {
            all.push(Measured::new(&mut tokens, search).await?);
        }
        for _ in 0..ROUNDS {
            for measured in &mut all {
                measured.round(&mut tokens).await?;
            }
        }
        let provenance = page::provenance(&database.version().await?)?;
        let counts = counts(&mut tokens).await?;
        page::publish("finding.md", &format!("{provenance}\n{}\n{counts}", table(&all)?))
    })
}

/// Tokens one after another every ten seconds until now. Ten of the oldest are special in every way that a search may ask for.
async fn fill(database: &PrivateDatabase, count: usize) -> Outcome<()> {
    let client = database.connect(FIRST).await?;
    for statement in include_str!("searching/fill.sql").split(";\n").filter(|text| !text.trim().is_empty()) {
        client.batch_execute(&statement.replace("COUNT", &count.to_string())).await?;
    }
    Ok(())
}

/// How one search fared.
struct Measured {
    search: Search,
    filter: v1::TokenFilter,
    shown: usize,
    /// All that it finds, and on how many pages; not if there are too many.
    whole: Option<(usize, usize)>,
    page: Rounds,
    plain: Rounds,
    ratios: Rounds,
}

impl Measured {
    async fn new(tokens: &mut Tokens, search: Search) -> Outcome<Self> {
        let filter = (search.filter)();
        let (shown, _) = list(tokens, Some(filter.clone()), 50, "").await?;
        let (mut found, mut pages, mut next) = (0, 0, String::new());
        let whole = loop {
            let (listed, after) = list(tokens, Some(filter.clone()), 1_000, &next).await?;
            (found, pages, next) = (found + listed, pages + 1, after);
            if next.is_empty() {
                break Some((found, pages));
            }
            if pages == MOST_PAGES || found > 20_000 {
                break None;
            }
        };
        let (page, plain, ratios) = (Rounds::default(), Rounds::default(), Rounds::default());
        Ok(Self { search, filter, shown, whole, page, plain, ratios })
    }

    async fn round(&mut self, tokens: &mut Tokens) -> Outcome<()> {
        let (mut page, mut plain) = (Rounds::default(), Rounds::default());
        for call in 0..CALLS {
            for filtered in [call % 2 == 0, call % 2 != 0] {
                let begun = Instant::now();
                list(tokens, filtered.then(|| self.filter.clone()), 50, "").await?;
                let took = begun.elapsed().as_secs_f64();
                if filtered { page.add(took) } else { plain.add(took) }
            }
        }
        self.page.add(page.median());
        self.plain.add(plain.median());
        self.ratios.add(page.median() / plain.median());
        Ok(())
    }
}

/// How many tokens are on a page, and what asks for the next.
async fn list(
    tokens: &mut Tokens,
    filter: Option<v1::TokenFilter>,
    page_size: i32,
    page_token: &str,
) -> Outcome<(usize, String)> {
    let (workspace, page_token) = (WORKSPACE.to_owned(), page_token.to_owned());
    let request = v1::ListTokensRequest { workspace, filter, page_size, page_token };
    let page = tokens.list_tokens(request).await?.into_inner();
    Ok((page.tokens.len(), page.next_page_token))
}

fn table(all: &[Measured]) -> Outcome<String> {
    let mut text = format!(
        "{ROUNDS} rounds of {CALLS} calls; medians. A page is one call, of 50 tokens at most.\n\n\
         | search | finds | on the first page | page | without a filter | ratio | half of the rounds | at most {GOAL} |\n\
         |---|---|---|---|---|---|---|---|\n"
    );
    for measured in all {
        let (median, (low, high)) = (measured.ratios.median(), measured.ratios.middle_half());
        let whole = measured.whole.map_or("many".to_owned(), |(found, pages)| {
            if pages > 1 + found / 900 { format!("{found}, in {pages} pages") } else { found.to_string() }
        });
        writeln!(
            text,
            "| {} | {whole} | {} | {} | {} | {median:.2} | {low:.2} – {high:.2} | {} |",
            measured.search.name,
            measured.shown,
            readable(measured.page.median()),
            readable(measured.plain.median()),
            if median <= GOAL { "yes" } else { "**no**" },
        )?;
    }
    Ok(text)
}

/// How long it takes to count.
async fn counts(tokens: &mut Tokens) -> Outcome<String> {
    let mut text = "| count | answer | time | half of the calls |\n|---|---|---|---|\n".to_owned();
    for (name, filter) in [
        ("all", v1::TokenFilter::default()),
        ("never used", v1::TokenFilter { never_used: true, ..Default::default() }),
        ("active", v1::TokenFilter { states: vec![v1::TokenState::Active.into()], ..Default::default() }),
    ] {
        let (mut rounds, mut told) = (Rounds::default(), String::new());
        for _ in 0..ROUNDS {
            let (workspace, filter) = (WORKSPACE.to_owned(), Some(filter.clone()));
            let begun = Instant::now();
            let answer =
                tokens.count_tokens(v1::CountTokensRequest { workspace, filter }).await?.into_inner();
            rounds.add(begun.elapsed().as_secs_f64());
            told = format!("{}{}", answer.count, if answer.more { " and more" } else { "" });
        }
        let half = readable_range(rounds.middle_half());
        writeln!(text, "| {name} | {told} | {} | {half} |", readable(rounds.median()))?;
    }
    Ok(text)
}

/// So long before now.
pub(crate) fn ago(duration: Duration) -> Option<prost_types::Timestamp> {
    SystemTime::now().checked_sub(duration).map(prost_types::Timestamp::from)
}
