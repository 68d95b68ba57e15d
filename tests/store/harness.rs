//! A private PostgreSQL for the tests that run at the moment, and a database of its own for each of them.

use std::fs;
use std::future::Future;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use secrecy::{ExposeSecret as _, SecretString};
use tempfile::TempDir;
use tokenkeep::postgres::{self, Fetch, Options};
use tokenkeep::store::{DatabaseOptions, Store};
use tokio::sync::Mutex;
use tokio_postgres::NoTls;

const TEMPLATE: &str = "migrated";

static CLUSTER: Mutex<Weak<Cluster>> = Mutex::const_new(Weak::new());
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Stopped by the last test that uses it.
pub(crate) struct Cluster {
    /// Before its directory, so that it has ended when that goes.
    server: postgres::Cluster,
    directory: TempDir,
    /// Where it listens besides its socket, for TLS.
    pub(crate) port: u16,
}

impl Cluster {
    async fn shared() -> Arc<Self> {
        let mut shared = CLUSTER.lock().await;
        if let Some(cluster) = shared.upgrade() {
            return cluster;
        }
        let cluster = Arc::new(Self::start());
        cluster.make_template().await;
        *shared = Arc::downgrade(&cluster);
        cluster
    }

    fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("tks").tempdir().unwrap();
        let root = directory.path();
        // The server may run as another user, who must get through.
        fs::set_permissions(root, fs::Permissions::from_mode(0o755)).unwrap();
        make_certificates(root);
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let server = postgres::Cluster::start(&Options {
            directory: root.join("cluster"),
            builds_directory: std::env::temp_dir().join("tokenkeep-postgres-builds"),
            binaries_directory: None,
            fetch: Fetch::Allowed,
            database: TEMPLATE.to_owned(),
            settings: settings(root, port),
        })
        .unwrap();
        let data = fs::metadata(root.join("cluster/data")).unwrap();
        chown(root.join("server.key"), Some(data.uid()), Some(data.gid())).unwrap();
        Self { server, directory, port }
    }

    async fn make_template(&self) {
        let store = Store::new(&DatabaseOptions::new(self.url(TEMPLATE))).unwrap();
        store.migrate().await.unwrap();
        let admin = self.try_admin("postgres").await.unwrap();
        within("nobody uses the template", || async {
            let count = "SELECT FROM pg_stat_activity WHERE datname = $1";
            admin.query(count, &[&TEMPLATE]).await.unwrap().is_empty().then_some(())
        })
        .await;
    }

    fn url(&self, database: &str) -> SecretString {
        // With a port of its own, so that clusters side by side do not meet; it is in the socket's name too.
        let socket = self.path("cluster/socket").display().to_string().replace('/', "%2F");
        SecretString::from(format!("postgres://tokenkeep@{socket}:{}/{database}", self.port))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.server.log_file()).unwrap()
    }

    /// A connection with all rights.
    pub(crate) async fn try_admin(
        &self,
        database: &str,
    ) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        let (client, connection) = tokio_postgres::connect(self.url(database).expose_secret(), NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }
}

/// A database that nobody else uses.
pub(crate) struct Database {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) name: String,
}

impl Database {
    /// One with the schema of this release.
    pub(crate) async fn new() -> Self {
        Self::from_template(TEMPLATE).await
    }

    /// One without anything.
    pub(crate) async fn empty() -> Self {
        Self::from_template("template1").await
    }

    async fn from_template(template: &str) -> Self {
        let cluster = Cluster::shared().await;
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let admin = cluster.try_admin("postgres").await.unwrap();
        admin.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await.unwrap();
        Self { cluster, name }
    }

    pub(crate) fn options(&self) -> DatabaseOptions {
        DatabaseOptions::new(self.cluster.url(&self.name))
    }

    pub(crate) fn store(&self) -> Store {
        Store::new(&self.options()).unwrap()
    }

    /// A connection that the store knows nothing of, with all rights.
    pub(crate) async fn admin(&self) -> tokio_postgres::Client {
        self.cluster.try_admin(&self.name).await.unwrap()
    }
}

/// What `probe` finds, as soon as it finds it; a failure after ten seconds.
pub(crate) async fn within<Found, Probing: Future<Output = Option<Found>>>(
    what: &str,
    mut probe: impl FnMut() -> Probing,
) -> Found {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Without `ssl` itself, which a test turns on and off.
fn settings(root: &Path, port: u16) -> Vec<(String, String)> {
    let file = |name: &str| root.join(name).display().to_string();
    let settings = [
        ("listen_addresses", "127.0.0.1".to_owned()),
        ("port", port.to_string()),
        ("fsync", "off".to_owned()),
        ("log_line_prefix", "%d|%p|".to_owned()),
        ("ssl_cert_file", file("server.crt")),
        ("ssl_key_file", file("server.key")),
    ];
    settings.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

/// A CA, a certificate of it for `localhost`, and a CA that signed nothing of ours.
fn make_certificates(root: &Path) {
    let authority = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        fs::write(root.join(name), params.self_signed(&key).unwrap().pem()).unwrap();
        Issuer::new(params, key)
    };
    authority("other-ca.crt");
    let ours = authority("ca.crt");
    let key = KeyPair::generate().unwrap();
    let server = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    fs::write(root.join("server.crt"), server.signed_by(&key, &ours).unwrap().pem()).unwrap();
    fs::write(root.join("server.key"), key.serialize_pem()).unwrap();
    fs::set_permissions(root.join("server.key"), fs::Permissions::from_mode(0o600)).unwrap();
}
