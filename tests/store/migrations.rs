//! The schema comes up whoever brings it, and is what the queries were compiled against.

use std::fmt::Write as _;

use crate::harness::{Database, within};

/// A database without the schema, so that four can want it at once.
#[tokio::test(flavor = "multi_thread")]
async fn four_servers_that_start_at_once_on_an_empty_database_all_come_up() {
    for _ in 0..4 {
        let database = Database::empty().await;
        let servers: Vec<_> = (0..4)
            .map(|_| {
                let store = database.store();
                tokio::spawn(async move { store.migrate().await })
            })
            .collect();
        let mut applied = Vec::new();
        for server in servers {
            applied.extend(server.await.unwrap().unwrap().applied);
        }
        assert_eq!(
            applied,
            ["0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008"],
            "each migration runs once, whoever runs it"
        );
    }
}

#[tokio::test]
async fn migrating_again_changes_nothing() {
    let database = Database::new().await;
    assert!(database.store().migrate().await.unwrap().applied.is_empty());
}

#[tokio::test]
async fn the_way_down_leaves_nothing_and_the_way_up_comes_back() {
    let database = Database::new().await;
    let admin = database.admin().await;
    for down in [
        include_str!("../../migrations/0008_life/down.sql"),
        include_str!("../../migrations/0007_leases/down.sql"),
        include_str!("../../migrations/0006_keys/down.sql"),
        include_str!("../../migrations/0005_products/down.sql"),
        include_str!("../../migrations/0004_fleet/down.sql"),
        include_str!("../../migrations/0003_server_keys/down.sql"),
        include_str!("../../migrations/0002_revisions/down.sql"),
        include_str!("../../migrations/0001_tokens/down.sql"),
    ] {
        admin.batch_execute(down).await.unwrap();
    }
    assert_eq!(tables(&database).await, "");
    admin.batch_execute("DELETE FROM __diesel_schema_migrations").await.unwrap();
    assert_eq!(database.store().migrate().await.unwrap().applied.len(), 8);
}

#[tokio::test]
async fn the_tables_that_queries_are_compiled_against_are_those_of_the_migrations() {
    let database = Database::new().await;
    let file = include_str!("../../src/store/schema.rs");
    let written = file.split("diesel::table! {").skip(1).map(|table| format!("diesel::table! {{{table}"));
    let written: String = written.collect();
    let written = written.split("diesel::allow_tables").next().unwrap().trim_end();
    assert_eq!(written, tables(&database).await.trim_end());
}

#[tokio::test]
async fn a_lock_that_another_server_never_gives_back_ends_the_wait() {
    let database = Database::empty().await;
    let admin = database.admin().await;
    let key = i64::from_be_bytes(*b"tkmigrat");
    admin.execute("SELECT pg_advisory_lock($1)", &[&key]).await.unwrap();
    let mut options = database.options();
    options.migration_timeout = std::time::Duration::from_millis(100);
    let store = tokenkeep::store::Store::new(&options).unwrap();
    let refused = store.migrate().await.unwrap_err();
    assert!(matches!(refused, tokenkeep::store::StoreError::Unavailable { .. }), "{refused:?}");
    admin.execute("SELECT pg_advisory_unlock($1)", &[&key]).await.unwrap();
    within("the migrations run", || async { store.migrate().await.ok() }).await;
}

/// The tables of a database, told as `schema.rs` tells them.
async fn tables(database: &Database) -> String {
    let admin = database.admin().await;
    let keys = "SELECT c.relname, string_agg(a.attname, ', ' ORDER BY array_position(i.indkey, a.attnum))
        FROM pg_index i
        JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
        WHERE i.indisprimary AND n.nspname = 'public' AND c.relname <> '__diesel_schema_migrations'
        GROUP BY c.relname ORDER BY c.relname";
    let columns = "SELECT column_name::text, udt_name::text, is_nullable = 'YES'
        FROM information_schema.columns WHERE table_name = $1 ORDER BY ordinal_position";
    let mut told = String::new();
    for row in admin.query(keys, &[]).await.unwrap() {
        let (table, key): (String, String) = (row.get(0), row.get(1));
        write!(told, "diesel::table! {{\n    {table} ({key}) {{\n").unwrap();
        for column in admin.query(columns, &[&table]).await.unwrap() {
            let (name, kind): (String, String) = (column.get(0), column.get(1));
            let kind = diesel_type(&kind);
            let kind = if column.get(2) { format!("Nullable<{kind}>") } else { kind.to_owned() };
            // A word that Rust keeps for itself.
            let name = if name == "type" { "#[sql_name = \"type\"]\n        token_type" } else { &name };
            writeln!(told, "        {name} -> {kind},").unwrap();
        }
        told.push_str("    }\n}\n\n");
    }
    told
}

fn diesel_type(kind: &str) -> &'static str {
    match kind {
        "bool" => "Bool",
        "bytea" => "Bytea",
        "float8" => "Double",
        "int4" => "Int4",
        "int8" => "Int8",
        "interval" => "Interval",
        "jsonb" => "Jsonb",
        "text" => "Text",
        "_text" => "Array<Text>",
        "timestamp" => "Timestamp",
        "timestamptz" => "Timestamptz",
        "uuid" => "Uuid",
        "_uuid" => "Array<Uuid>",
        other => panic!("no word for {other}"),
    }
}
