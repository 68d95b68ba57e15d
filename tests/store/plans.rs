//! No query reads a whole table.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokenkeep::principal::{Legacy, PrincipalEdit, PrincipalKey};
use tokenkeep::profile::{ProfileName, TokenType};
use tokenkeep::revocation::TokenChange;
use tokenkeep::store::bulk_revocations::Matching;
use tokenkeep::store::keys::{self, KeyState};
use tokenkeep::store::principals::{self, PrincipalQuery};
use tokenkeep::store::profiles::{self, StoredProfile};
use tokenkeep::store::servers::{self, ServerId};
use tokenkeep::store::tokens::{self, Listing, Locked, Revocation, TokenQuery};
use tokenkeep::store::{
    Connection, Store, Transaction, bulk_revocations, credentials, last_uses, limits, log, minted,
    previous_secrets, workspaces,
};
use tokenkeep::text::{Initiator, PrincipalId};
use tokenkeep::token::{
    Audiences, Cidrs, Expiry, ExternalId, Kid, Precondition, Revision, TokenEdit, TokenId,
};
use tokenkeep::workspace::{Limits, SupersededUse, WorkspaceEdit, WorkspaceId};
use tokio_postgres::SimpleQueryMessage;

use crate::harness::Database;
use crate::samples::{
    event, find, name, new_workspace, prefix, principal, reason, replacement, report, scopes, token,
    workspace,
};
use crate::various;

/// The list of servers alone may be read whole: it is as long as the fleet is large.
const TABLES: [&str; 13] = [
    "bulk_revocations",
    "histories",
    "issuance_buckets",
    "previous_secrets",
    "principals",
    "profiles",
    "revisions",
    "server_keys",
    "token_last_uses",
    "token_marks",
    "tokens",
    "usage_reports",
    "workspaces",
];

/// Runs every query that the store has. In a task of its own, which needs each of them to be `Send`.
async fn run_everything(store: Store) {
    let mut transaction = store.begin().await.unwrap();
    keys::register(&mut transaction, &[(Kid::FIRST, "00000000000000000000000000000001")]).await.unwrap();
    keys::set_state(&mut transaction, Kid::FIRST, KeyState::Minting).await.unwrap();
    let connection = transaction.connection();
    let id = workspace(WorkspaceId::SYSTEM);
    run_workspaces(connection, &id).await;
    let token = tokens::insert(connection, token()).await.unwrap().unwrap().id;
    tokens::find(connection, token).await.unwrap();
    credentials::read(connection, &[token]).await.unwrap();
    minted::page(connection, None, 10).await.unwrap();
    run_uses(connection, token).await;
    let news = vec![event(token, TokenChange::Updated)];
    let revision = log::append_all(&mut transaction, news, false).await.unwrap().events[0].revision;
    let connection = transaction.connection();
    run_edits(connection, token, revision).await;
    let mut locked = tokens::lock(&mut transaction, &[token]).await.unwrap();
    previous_secrets::fill_in(&mut transaction, locked.iter_mut()).await.unwrap();
    let Locked { token: locked, .. } = locked.pop().unwrap();
    let ended = vec![Revocation { token: locked, reason: reason(""), revision }];
    tokens::revoke(&mut transaction, ended).await.unwrap();
    tokens::count_active(transaction.connection(), &id).await.unwrap();
    run_principals(&mut transaction, revision).await;
    run_limits(&mut transaction, &id).await;
    run_bulk_revocations(&mut transaction, &id, revision).await;
    run_profiles(&mut transaction).await;
    let connection = transaction.connection();
    let head = log::head(connection).await.unwrap();
    log::read_after(connection, head.position, 10).await.unwrap();
    let server = ServerId(uuid::Uuid::from_u128(1));
    servers::register(&mut transaction, server, Duration::from_secs(3), &[Kid::FIRST]).await.unwrap();
    servers::holdings(transaction.connection()).await.unwrap();
    servers::remove(transaction.connection(), server, 7).await.unwrap();
    servers::beat(&mut transaction, server, Some(head.position)).await.unwrap();
    log::renew_history(&mut transaction, true).await.unwrap();
    log::compact(&mut transaction, Duration::ZERO, 10).await.unwrap();
    let connection = transaction.connection();
    servers::leave(connection, server).await.unwrap();
    for filter in various::filters() {
        for after in [None, Some(token)] {
            let (workspace, filter) = (id.clone(), filter.clone());
            let rotation_due_after = Some(Duration::from_hours(24));
            let query = TokenQuery { workspace, filter, rotation_due_after, after, patience: 100 };
            tokens::count(connection, &query).await.unwrap();
            Listing::begin(connection, query).await.unwrap().next(connection, 10).await.unwrap();
        }
    }
    transaction.finish::<_, tokenkeep::store::StoreError>(Ok(())).await.unwrap();
    assert!(find(&store, token).await.is_some());
}

async fn run_uses(connection: &mut Connection, token: TokenId) {
    let report = report(&[(token, SystemTime::now())]);
    last_uses::record(connection, &report, None).await.unwrap();
    last_uses::misused(connection, &report.uses, Duration::from_mins(10)).await.unwrap();
    last_uses::forget(connection, Duration::ZERO).await.unwrap();
}

async fn run_workspaces(connection: &mut Connection, id: &WorkspaceId) {
    workspaces::insert(connection, &new_workspace("acme")).await.unwrap();
    workspaces::find(connection, id).await.unwrap();
    workspaces::lock(connection, id).await.unwrap();
    let edit = WorkspaceEdit {
        id: id.clone(),
        precondition: Precondition::Any,
        name: Some(name("ours")),
        token_prefix: Some(prefix("tk")),
        profile: Some(None),
        superseded_use: Some(SupersededUse::Revoke),
        limits: Some(Limits::default()),
    };
    workspaces::update(connection, edit, Some(Revision(1))).await.unwrap();
    workspaces::invalidate(connection, id, Revision(1)).await.unwrap();
    workspaces::count_external_id(connection, id).await.unwrap();
    workspaces::list(connection, None, 10).await.unwrap();
    workspaces::list(connection, Some(id), 10).await.unwrap();
}

async fn run_edits(connection: &mut Connection, token: TokenId, revision: Revision) {
    let edit = TokenEdit {
        name: Some(name("edited")),
        description: None,
        token_type: Some(TokenType::Custom),
        scopes: Some(scopes(&["a"])),
        audiences: Some(Audiences::default()),
        allowed_cidrs: Some(Cidrs::default()),
        metadata: None,
        expiry: Some(Expiry::After(Duration::from_mins(1))),
    };
    tokens::update(connection, token, edit, revision).await.unwrap();
    let end = Some(SystemTime::now() + Duration::from_mins(1));
    let found = tokens::find(connection, token).await.unwrap().unwrap();
    let replaced = tokens::replace_secret(connection, &found, replacement(2, end), revision).await.unwrap();
    assert!(replaced.previous_secret.is_some());
    tokens::replace_secret(connection, &replaced, replacement(3, None), revision).await.unwrap();
    tokens::end_overlap(connection, token, revision).await.unwrap();
    previous_secrets::forget_ended(connection, 10).await.unwrap();
}

async fn run_principals(transaction: &mut Transaction, revision: Revision) {
    let [one, other] = [principal("one"), principal("other")];
    let creator = Initiator::parse("somebody".to_owned()).unwrap();
    for new in [&one, &other] {
        principals::insert(transaction.connection(), new, &creator).await.unwrap().unwrap();
    }
    let workspace = &one.workspace;
    let handle = one.handle.clone().unwrap();
    let keys = [
        PrincipalKey::Id(one.id.clone()),
        PrincipalKey::Handle(handle.clone()),
        PrincipalKey::ExternalId(ExternalId::parse(1).unwrap()),
    ];
    for key in keys {
        principals::find(transaction.connection(), workspace, &key).await.unwrap();
    }
    principals::share(transaction, &[(workspace, &one.id)].into()).await.unwrap();
    let mut locked = principals::lock(transaction, workspace, &[&one.id, &other.id]).await.unwrap();
    let edit = PrincipalEdit {
        name: Some(name("edited")),
        handle: Some(Some(handle)),
        scopes: Some(scopes(&["a"])),
        disabled: Some(true),
    };
    principals::update(transaction, &locked[0], edit, Some(revision)).await.unwrap();
    for (kind, after) in [(None, None), (Some(one.kind), None), (None, Some(one.id.clone()))] {
        let query = PrincipalQuery { workspace: workspace.clone(), kind, after, limit: 10 };
        principals::list(transaction.connection(), &query).await.unwrap();
    }
    for legacy in [Legacy::HandedOver(one.id.clone()), Legacy::Revoked(reason("left"))] {
        let principal = locked.pop().unwrap();
        principals::lock_tokens(transaction, &principal).await.unwrap();
        principals::delete(transaction, &principal, &legacy, revision).await.unwrap();
    }
}

async fn run_limits(transaction: &mut Transaction, workspace: &WorkspaceId) {
    let principal = PrincipalId::parse("one".to_owned()).unwrap();
    limits::lock(transaction, workspace).await.unwrap();
    limits::room(transaction, workspace, Some(&principal), None).await.unwrap();
    assert!(limits::issue(transaction, workspace, 1).await.unwrap().is_none());
    assert!(limits::issue(transaction, workspace, 1).await.unwrap().is_some());
}

async fn run_bulk_revocations(transaction: &mut Transaction, workspace: &WorkspaceId, revision: Revision) {
    for filter in various::filters() {
        let rotation_due_after = Some(various::DUE_AFTER);
        let matching = Matching { workspace: workspace.clone(), filter, rotation_due_after };
        let connection = transaction.connection();
        bulk_revocations::count(connection, &matching).await.unwrap();
        bulk_revocations::newest(connection, &matching, 10).await.unwrap();
        let ended = bulk_revocations::end(transaction, &matching, &reason("")).await.unwrap();
        bulk_revocations::settle(transaction, ended, revision).await.unwrap();
    }
}

async fn run_profiles(transaction: &mut Transaction) {
    let name = ProfileName::parse("shop".to_owned()).unwrap();
    let stored = StoredProfile { name: name.clone(), version: 1, document: "name = 'shop'".to_owned() };
    profiles::lock(transaction).await.unwrap();
    let initiator = Initiator::parse("somebody".to_owned()).unwrap();
    profiles::enter(transaction, &[stored], &initiator).await.unwrap();
    assert_eq!(profiles::find(transaction.connection(), &name).await.unwrap().profiles.len(), 1);
    profiles::version(transaction.connection(), &name).await.unwrap().unwrap();
}

/// With plans for parameters that nobody knows yet, and sequential scans so dear that only a missing index brings one.
#[tokio::test]
async fn no_query_reads_a_whole_table() {
    let database = Database::new().await;
    let admin = database.admin().await;
    let log_all = format!("ALTER DATABASE {} SET log_statement = 'all'", database.name);
    admin.batch_execute(&log_all).await.unwrap();
    tokio::spawn(run_everything(database.store())).await.unwrap();
    let planning = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off";
    admin.batch_execute(planning).await.unwrap();
    let statements = statements(&database);
    assert!(statements.len() >= 70, "only {} statements were logged", statements.len());
    for (number, statement) in statements.iter().enumerate() {
        let plan = plan(&admin, number, statement).await;
        check(&plan[0]["Plan"], false, statement);
    }
}

/// The distinct statements of this database in PostgreSQL's log that a planner has a say in.
fn statements(database: &Database) -> BTreeSet<String> {
    let log = database.cluster.log();
    let ours = log.lines().filter_map(|line| line.strip_prefix(&format!("{}|", database.name)));
    let executed = ours.filter_map(|line| line.split_once("LOG:  execute ")?.1.split_once(": "));
    let planned = |text: &str| {
        let verb = text.split(' ').next().unwrap_or_default();
        ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"].contains(&verb)
    };
    executed.map(|(_, text)| text.to_owned()).filter(|text| planned(text)).collect()
}

async fn plan(admin: &tokio_postgres::Client, number: usize, statement: &str) -> Value {
    let prepared = admin.batch_execute(&format!("PREPARE q{number} AS {statement}")).await;
    prepared.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    let count = "SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = $1";
    let count: i32 = admin.query_one(count, &[&format!("q{number}")]).await.unwrap().get(0);
    let nulls = vec!["NULL"; usize::try_from(count).unwrap()].join(", ");
    let arguments = if nulls.is_empty() { nulls } else { format!("({nulls})") };
    let explain = format!("EXPLAIN (FORMAT JSON) EXECUTE q{number}{arguments}");
    let explained = admin.simple_query(&explain).await;
    let messages = explained.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    let lines = messages
        .iter()
        .filter_map(|message| if let SimpleQueryMessage::Row(row) = message { row.get(0) } else { None });
    serde_json::from_str(&lines.collect::<String>()).unwrap()
}

/// An index may be walked without a condition only as far as a limit goes, and not past rows that a filter refuses.
fn check(node: &Value, limited: bool, statement: &str) {
    let kind = node["Node Type"].as_str().unwrap();
    let of_ours = node["Relation Name"].as_str().is_some_and(|table| TABLES.contains(&table));
    assert!(!(of_ours && kind == "Seq Scan"), "{statement}\nreads all of it:\n{node:#}");
    let walks = kind.starts_with("Index") && node.get("Index Cond").is_none();
    assert!(
        !walks || (limited && node.get("Filter").is_none()),
        "{statement}\nwalks a whole index:\n{node:#}"
    );
    let limited = limited || kind == "Limit";
    for child in node["Plans"].as_array().into_iter().flatten() {
        check(child, limited, statement);
    }
}
