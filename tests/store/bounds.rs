//! Whatever a list is asked for, it looks at a bounded number of rows.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::Value;
use tokenkeep::store::Store;
use tokenkeep::store::tokens::{Listing, TokenQuery};
use tokenkeep::token::TokenFilter;
use tokenkeep::workspace::WorkspaceId;
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::harness::Database;
use crate::samples::workspace;
use crate::various;

/// More than the most that any list may look at.
const TOKENS: i64 = 40_000;

/// The most candidates, as a server has it.
const PATIENCE: usize = 2_500;

/// The most rows and entries of indexes that one page may take: the candidates twice, once in an index and once in their
/// table, as much again for what was read and not used, and the tokens of a name's beginning.
const MOST_ROWS: f64 = 20_000.0;

/// The worst there is: a hundred old tokens that differ, and behind them so many new ones that are all alike.
const DULL: &str = "
    INSERT INTO tokens (id, workspace, name, description, creator, scopes, metadata, expire_time, create_time, secret_time,
        generation, obfuscated_secret, kid, tag, secret_hash)
    SELECT CAST(lpad(to_hex(CAST(extract(epoch FROM at) * 1000 AS bigint)), 12, '0') || '7' || substr(md5(n::text), 1, 3)
            || '8' || substr(md5(n::text), 4, 15) AS uuid),
        'tokenkeep', 'dull ' || n, '', 'machine', ARRAY['dull'], '{}', at + interval '10 years', at, at, 1,
        'tk_...0000', '00', '\\x0011223344556677', '$argon2id$v=19$m=64,t=1,p=1$c2FsdA$c2FsdA'
    FROM (SELECT n, now() - n * interval '3 seconds' AS at FROM generate_series(1, $COUNT) AS n) AS dull;
    UPDATE token_last_uses SET last_use_time = now() WHERE last_use_time IS NULL AND token IN
        (SELECT id FROM tokens WHERE creator = 'machine');
    VACUUM ANALYZE";

#[tokio::test]
async fn no_list_looks_at_more_than_a_bounded_number_of_rows_or_reads_a_whole_table() {
    let database = Database::new().await;
    let store = database.store();
    various::samples(&database, &store).await;
    let admin = database.admin().await;
    for command in DULL.replace("$COUNT", &TOKENS.to_string()).split(';') {
        admin.batch_execute(command).await.unwrap();
    }
    let log_all = format!("ALTER DATABASE {} SET log_statement = 'all'", database.name);
    admin.batch_execute(&log_all).await.unwrap();
    let mut found = 0;
    let filters: Vec<TokenFilter> = various::filters().into_iter().step_by(3).collect();
    let mut told = database.cluster.log().len();
    for filter in &filters {
        found += first_page(&database.store(), filter).await;
        let log = database.cluster.log();
        let rows = rows(&admin, &statements(&database, &log[told..])).await;
        told = log.len();
        assert!(rows <= MOST_ROWS, "{filter:?} takes {rows} rows");
    }
    assert!(found > 100, "nearly nothing was found within the bounds: {found}");
}

async fn first_page(store: &Store, filter: &TokenFilter) -> usize {
    let query = TokenQuery {
        workspace: workspace(WorkspaceId::SYSTEM),
        filter: filter.clone(),
        rotation_due_after: Some(various::DUE_AFTER),
        after: None,
        patience: PATIENCE,
    };
    let mut connection = store.connection().await.unwrap();
    let mut listing = Listing::begin(&mut connection, query).await.unwrap();
    listing.next(&mut connection, 50).await.unwrap().len()
}

/// The queries that were logged, each with its parameters.
fn statements(database: &Database, log: &str) -> Vec<(String, String)> {
    let ours = format!("{}|", database.name);
    let next = Regex::new(r"(^|, )\$\d+ = ").unwrap();
    let mut statements = Vec::new();
    let mut executed = None;
    for line in log.lines().filter(|line| line.starts_with(&ours)) {
        if let Some((_, text)) = line.split_once("LOG:  execute ") {
            executed = text.split_once(": ").map(|(_, text)| text.to_owned());
        } else if let Some((_, parameters)) = line.split_once("DETAIL:  parameters: ") {
            let parameters = next.replace_all(parameters, ", ").trim_start_matches(", ").to_owned();
            let query = executed.take().unwrap();
            if query.starts_with("SELECT") || query.starts_with("WITH") {
                statements.push((query, parameters));
            }
        }
    }
    statements
}

/// How many rows and entries of indexes the statements look at.
async fn rows(admin: &Client, statements: &[(String, String)]) -> f64 {
    let mut sum = 0.0;
    for (query, parameters) in statements {
        admin.batch_execute(&format!("PREPARE asked AS {query}")).await.unwrap();
        let explain = format!("EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE asked ({parameters})");
        let messages = admin.simple_query(&explain).await.unwrap();
        admin.batch_execute("DEALLOCATE asked").await.unwrap();
        let lines = messages
            .iter()
            .filter_map(|message| if let SimpleQueryMessage::Row(row) = message { row.get(0) } else { None });
        let plan: Value = serde_json::from_str(&lines.collect::<String>()).unwrap();
        let mut scanned = BTreeMap::new();
        scan(&plan[0]["Plan"], &mut scanned);
        for ((table, kind), rows) in scanned {
            let large = ["tokens", "token_last_uses", "token_marks"].contains(&table.as_str());
            assert!(!large || kind != "Seq Scan", "all of {table} is read: {query}");
            sum += rows;
        }
    }
    sum
}

/// Adds up what a plan looked at, by table and by how.
fn scan(node: &Value, scanned: &mut BTreeMap<(String, String), f64>) {
    if let Some(table) = node["Relation Name"].as_str() {
        let count = |field: &str| node[field].as_f64().unwrap_or_default();
        let rows =
            count("Actual Rows") + count("Rows Removed by Filter") + count("Rows Removed by Index Recheck");
        let key = (table.to_owned(), node["Node Type"].as_str().unwrap().to_owned());
        *scanned.entry(key).or_default() += rows * count("Actual Loops");
    }
    for child in node["Plans"].as_array().into_iter().flatten() {
        scan(child, scanned);
    }
}
