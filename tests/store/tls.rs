//! `sslmode` means what libpq means by it.

use secrecy::SecretString;
use tokenkeep::store::{DatabaseOptions, Store, StoreError, workspaces};
use tokenkeep::workspace::WorkspaceId;

use crate::harness::{Cluster, Database, within};
use crate::samples::workspace;

/// Whether the store gets through, over TCP, to a host with such parameters.
async fn reach(database: &Database, host: &str, parameters: &str) -> Result<(), StoreError> {
    let (port, name) = (database.cluster.port, &database.name);
    let url = format!("postgres://tokenkeep@{host}:{port}/{name}?{parameters}");
    let store = Store::new(&DatabaseOptions::new(SecretString::from(url))).unwrap();
    let mut connection = store.connection().await?;
    workspaces::find(&mut connection, &workspace(WorkspaceId::SYSTEM)).await.map(|_| ())
}

fn root(cluster: &Cluster, name: &str) -> String {
    format!("sslrootcert={}", cluster.path(name).display())
}

/// The certificate is for `localhost`. One test, since its end turns TLS off for all.
#[tokio::test]
async fn each_mode_verifies_what_it_says_and_no_less() {
    let database = Database::new().await;
    if !with_tls(&database).await {
        eprintln!("skipped: this PostgreSQL was built without TLS");
        return;
    }
    let (ours, other) = (root(&database.cluster, "ca.crt"), root(&database.cluster, "other-ca.crt"));
    for (host, parameters, welcome) in [
        ("localhost", "sslmode=disable".to_owned(), true),
        ("localhost", "sslmode=prefer".to_owned(), true),
        ("127.0.0.1", "sslmode=require".to_owned(), true),
        ("127.0.0.1", format!("sslmode=require&{ours}"), true),
        ("localhost", format!("sslmode=require&{other}"), false),
        ("127.0.0.1", format!("sslmode=verify-ca&{ours}"), true),
        ("localhost", format!("sslmode=verify-ca&{other}"), false),
        ("localhost", format!("sslmode=verify-full&{ours}"), true),
        ("127.0.0.1", format!("sslmode=verify-full&{ours}"), false),
        ("localhost", format!("sslmode=verify-full&{other}"), false),
        ("localhost", "sslmode=verify-full".to_owned(), false),
        ("localhost", "sslmode=verify-ca".to_owned(), false),
    ] {
        let reached = reach(&database, host, &parameters).await;
        assert_eq!(reached.is_ok(), welcome, "{host} {parameters}: {reached:?}");
    }
    assert!(encrypted(&database, "sslmode=prefer").await);
    assert!(!encrypted(&database, "sslmode=disable").await);
    without_tls(&database).await;
    for mode in ["require", "verify-ca", "verify-full"] {
        let refused = reach(&database, "localhost", &format!("sslmode={mode}&{ours}")).await;
        assert!(refused.is_err(), "{mode} went on in the clear");
    }
    reach(&database, "localhost", "sslmode=prefer").await.unwrap();
}

async fn encrypted(database: &Database, parameters: &str) -> bool {
    let (port, name) = (database.cluster.port, &database.name);
    let url = format!("postgres://tokenkeep@localhost:{port}/{name}?application_name=seen&{parameters}");
    let store = Store::new(&DatabaseOptions::new(SecretString::from(url))).unwrap();
    let _connection = store.connection().await.unwrap();
    let query = "SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
        WHERE application_name = 'seen' AND state IS NOT NULL";
    database.admin().await.query_one(query, &[]).await.unwrap().get(0)
}

/// Whether this PostgreSQL can speak TLS; from now on it does.
async fn with_tls(database: &Database) -> bool {
    let known = database.admin().await.batch_execute("ALTER SYSTEM SET ssl = on").await.is_ok();
    if known {
        reload(database, "on").await;
    }
    known
}

async fn without_tls(database: &Database) {
    database.admin().await.batch_execute("ALTER SYSTEM SET ssl = off").await.unwrap();
    reload(database, "off").await;
}

async fn reload(database: &Database, ssl: &str) {
    database.admin().await.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    within("TLS is as it was set", || async {
        let shown: String = database.admin().await.query_one("SHOW ssl", &[]).await.unwrap().get(0);
        (shown == ssl).then_some(())
    })
    .await;
}
