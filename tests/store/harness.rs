//! A private PostgreSQL for the tests that run at the moment, and a database of its own for each of them.

use std::fs::{self, File};
use std::future::Future;
use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use secrecy::SecretString;
use tempfile::TempDir;
use tokenkeep::store::{DatabaseOptions, Store};
use tokio::sync::Mutex;
use tokio_postgres::NoTls;

const BINARIES: &str = "/usr/lib/postgresql/15/bin";
const TEMPLATE: &str = "migrated";

static CLUSTER: Mutex<Weak<Cluster>> = Mutex::const_new(Weak::new());
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Stopped by the last test that uses it.
pub(crate) struct Cluster {
    directory: TempDir,
    pub(crate) port: u16,
    server: Child,
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
        own(root);
        let data = root.join("data");
        let initdb = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync"];
        let made = command("initdb").args(initdb).arg("-D").arg(&data).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        make_certificates(root);
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        // In the file and not among the arguments, so that a test can turn it off.
        let mut file = File::options().append(true).open(data.join("postgresql.conf")).unwrap();
        writeln!(file, "ssl = on").unwrap();
        let log = File::create(root.join("log")).unwrap();
        let mut server = command("postgres");
        server.arg("-D").arg(&data).arg("-p").arg(port.to_string()).stderr(log);
        for setting in settings(root) {
            server.arg("-c").arg(setting);
        }
        let server = server.spawn().unwrap();
        Self { directory, port, server }
    }

    async fn make_template(&self) {
        let admin = within("PostgreSQL answers", || async { self.try_admin("postgres").await.ok() }).await;
        admin.batch_execute(&format!("CREATE DATABASE {TEMPLATE}")).await.unwrap();
        let store = Store::new(&DatabaseOptions::new(self.url(TEMPLATE))).unwrap();
        store.migrate().await.unwrap();
        within("nobody uses the template", || async {
            let count = "SELECT FROM pg_stat_activity WHERE datname = $1";
            admin.query(count, &[&TEMPLATE]).await.unwrap().is_empty().then_some(())
        })
        .await;
    }

    fn url(&self, database: &str) -> SecretString {
        let socket = self.path("").display().to_string().replace('/', "%2F");
        SecretString::from(format!("postgres://postgres@{socket}:{}/{database}", self.port))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A connection with all rights.
    pub(crate) async fn try_admin(
        &self,
        database: &str,
    ) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.directory.path()).port(self.port).user("postgres").dbname(database);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let server = rustix::process::Pid::from_child(&self.server);
        rustix::process::kill_process(server, rustix::process::Signal::QUIT).unwrap();
        self.server.wait().unwrap();
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

fn settings(root: &Path) -> Vec<String> {
    let file = |name: &str| root.join(name).display().to_string();
    vec![
        format!("unix_socket_directories={}", root.display()),
        "listen_addresses=127.0.0.1".to_owned(),
        "fsync=off".to_owned(),
        "log_line_prefix=%d|%p|".to_owned(),
        format!("ssl_cert_file={}", file("server.crt")),
        format!("ssl_key_file={}", file("server.key")),
    ]
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
    own(&root.join("server.key"));
}

/// PostgreSQL refuses to run as root, so then it runs as the user `postgres`.
fn unprivileged() -> Option<(u32, u32)> {
    let id = |flag: &str| {
        let told = Command::new("id").args([flag, "postgres"]).output().unwrap().stdout;
        String::from_utf8(told).unwrap().trim().parse().unwrap()
    };
    rustix::process::geteuid().is_root().then(|| (id("-u"), id("-g")))
}

fn own(path: &Path) {
    if let Some((user, group)) = unprivileged() {
        chown(path, Some(user), Some(group)).unwrap();
    }
}

fn command(name: &str) -> Command {
    let mut command = Command::new(Path::new(BINARIES).join(name));
    command.current_dir("/");
    if let Some((user, group)) = unprivileged() {
        command.uid(user).gid(group);
    }
    command
}
