//! What every test stands on: one private PostgreSQL cluster for the run, and for each test a fresh database, a real
//! server process and clients.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokenkeep::postgres::{Cluster, Fetch, Options};
use tokio_postgres::NoTls;

use crate::clients::Client;

/// A private cluster, a keyring and the operator's token. The cluster dies with this process.
pub struct Run {
    cluster: Option<Cluster>,
    options: Options,
    pub directory: TempDir,
    /// The secret of the operator's token, the same in every database of the run.
    pub operator_secret: String,
}

/// The database that every test's database is a copy of: migrated, with the operator's token in it.
const TEMPLATE: &str = "tokenkeep_template";

impl Run {
    /// The run of this process, begun by whoever asks first.
    pub fn get() -> &'static Self {
        static RUN: OnceLock<Run> = OnceLock::new();
        RUN.get_or_init(Self::begin)
    }

    /// A run of its own, for a test that hurts its cluster.
    pub fn begin() -> Self {
        sweep();
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let directory = tempfile::Builder::new().prefix(&prefix).tempdir().unwrap();
        // The cluster may run as another user, who must get through.
        open_to_all(directory.path());
        let options = Options {
            directory: directory.path().join("cluster"),
            builds_directory: std::env::temp_dir().join("tokenkeep-postgres-builds"),
            binaries_directory: None,
            fetch: Fetch::Allowed,
            database: TEMPLATE.to_owned(),
            settings: [("fsync", "off"), ("log_statement", "all"), ("max_connections", "400")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
        };
        let cluster = Some(Cluster::start(&options).unwrap());
        let mut run = Self { cluster, options, directory, operator_secret: String::new() };
        tokenkeep::keyring::create_first_key(&run.keyring()).unwrap();
        run.operator_secret = operator_token(&run.template(), &run.directory.path().join("operator-token"));
        run
    }

    pub fn cluster(&self) -> &Cluster {
        self.cluster.as_ref().unwrap()
    }

    pub fn keyring(&self) -> PathBuf {
        self.directory.path().join("keyring")
    }

    /// The template itself, for a run that has no other test to spare it for.
    pub fn template(&self) -> Database {
        self.database(TEMPLATE)
    }

    pub fn database(&self, name: &str) -> Database {
        let (url, keyring) = (self.cluster().url(name), self.keyring());
        Database { url, keyring, operator_secret: self.operator_secret.clone() }
    }

    /// Stops PostgreSQL, in order if it still runs.
    pub fn stop_postgres(&mut self) {
        self.cluster.take().unwrap().stop().unwrap();
    }

    pub fn start_postgres(&mut self) {
        self.cluster = Some(Cluster::start(&self.options).unwrap());
    }
}

/// Issues the operator's token of a database.
fn operator_token(database: &Database, file: &Path) -> String {
    let mut command = database.command("operator-token");
    assert!(command.arg("--out").arg(file).status().unwrap().success());
    fs::read_to_string(file).unwrap().trim().to_owned()
}

const PREFIX: &str = "tokenkeep-test-";

/// Removes what runs before left behind: a run lasts as long as its process, which does not say goodbye.
fn sweep() {
    for entry in fs::read_dir(std::env::temp_dir()).unwrap().map_while(Result::ok) {
        let name = entry.file_name().into_string().unwrap_or_default();
        let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}

fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The program under test, in one of its roles, with nothing of our environment but what it needs to run.
pub fn tokenkeep(role: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenkeep"));
    command.arg(role).env_clear().envs(std::env::vars().filter(|(name, _)| name == "PATH" || name == "HOME"));
    command
}

/// A database of one test, and what a server of it needs.
#[derive(Debug, Clone)]
pub struct Database {
    pub url: String,
    pub keyring: PathBuf,
    pub operator_secret: String,
}

impl Database {
    /// A fresh copy of the template.
    pub async fn fresh() -> Self {
        Self::copy_of(TEMPLATE).await
    }

    /// A database with nothing in it.
    pub async fn empty() -> Self {
        Self::copy_of("template0").await
    }

    async fn copy_of(template: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        // Only one session may copy the template at a time.
        static COPYING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
        let _copying = COPYING.lock().await;
        let run = tokio::task::spawn_blocking(Run::get).await.unwrap();
        let client = run.database("postgres").connect().await;
        client.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await.unwrap();
        run.database(&name)
    }

    /// The program in a role that needs the database, and perhaps the keyring.
    pub fn command(&self, role: &str) -> Command {
        let mut command = tokenkeep(role);
        command.env("TOKENKEEP_DATABASE_URL", &self.url);
        if !["migrate", "renew-history"].contains(&role) {
            command.arg("--keyring").arg(&self.keyring);
        }
        command
    }

    /// The last revision of the log. What a test does counts from there: a server enters its profiles when it starts, each
    /// by a revision.
    pub async fn head(&self) -> i64 {
        let head = "SELECT coalesce(max(revision), 0) FROM revisions";
        self.connect().await.query_one(head, &[]).await.unwrap().get(0)
    }

    /// A connection beside the server's, to look or to meddle.
    pub async fn connect(&self) -> tokio_postgres::Client {
        let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }
}

/// A server process. Killed when dropped.
pub struct Server {
    pub process: Child,
    pub database: Database,
    pub address: SocketAddr,
    pub operations: SocketAddr,
    /// Where the edge is served over HTTP, if it is.
    pub edge: Option<SocketAddr>,
    log: Arc<Mutex<String>>,
}

impl Server {
    /// Serves a fresh database with the default settings.
    pub async fn start() -> Self {
        Self::start_with(Database::fresh().await, |command| command).await
    }

    /// Serves a database with settings of one's own.
    pub async fn start_with(database: Database, settings: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let mut command = database.command("serve");
        command.args(["--listen", "127.0.0.1:0", "--operations-listen", "127.0.0.1:0"]);
        command.args(["--database-connections", "6"]);
        settings(&mut command);
        Self::of(command, database).await
    }

    /// Two servers over one fresh database, with settings of one's own.
    pub async fn two_with(settings: &[&str]) -> (Self, Self) {
        let database = Database::fresh().await;
        let first = Self::start_with(database.clone(), |command| command.args(settings)).await;
        let second = Self::start_with(database, |command| command.args(settings)).await;
        (first, second)
    }

    /// Runs a command that serves, and waits until it says so.
    pub async fn of(mut command: Command, database: Database) -> Self {
        let (process, Serving { listen, operations, edge }, log) = spawn(&mut command).await;
        Self { process, database, address: listen.parse().unwrap(), operations, edge, log }
    }

    /// Everything it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// A client without a credential.
    pub async fn anonymous(&self) -> Client {
        Client::connect(self.address, None).await
    }

    /// A client that may do everything.
    pub async fn operator(&self) -> Client {
        self.client(&self.database.operator_secret).await
    }

    /// A client with a credential.
    pub async fn client(&self, secret: &str) -> Client {
        Client::connect(self.address, Some(secret)).await
    }

    /// One sample of `/metrics`; zero if it is not there (yet). `sample` is a name with its labels.
    pub async fn metric(&self, sample: &str) -> f64 {
        metric(self.operations, sample).await
    }

    pub fn signal(&self, name: &str) {
        signal(self.process.id(), name);
    }

    /// The status of its health that `/healthz` gives, and whether gRPC's health service says that it serves.
    pub async fn health(&self) -> (u16, bool) {
        let asked = self.anonymous().await.health("").await.unwrap();
        (http_get(self.operations, "/healthz").await.0, asked)
    }

    /// Waits until the process ends, and says how long that took.
    pub async fn wait(&mut self, limit: Duration) -> (std::process::ExitStatus, Duration) {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return (status, begun.elapsed());
            }
            assert!(begun.elapsed() < limit, "the server has not ended within {limit:?}: {}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let errors = log.lines().filter(|line| line.contains("\"ERROR\""));
            eprintln!("what the server logged as errors: {}", errors.take(20).collect::<Vec<_>>().join("\n"));
        }
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Sends a signal to a process.
pub fn signal(process: u32, name: &str) {
    let status = Command::new("kill").args(["-s", name, &process.to_string()]).status().unwrap();
    assert!(status.success(), "kill -s {name} {process}");
}

/// Where a process says that it serves.
pub struct Serving {
    pub listen: String,
    pub operations: SocketAddr,
    pub edge: Option<SocketAddr>,
}

/// What a process has logged so far.
pub type Log = Arc<Mutex<String>>;

/// Runs a command that serves, and waits until it says so.
pub async fn spawn(command: &mut Command) -> (Child, Serving, Log) {
    let mut process = command.args(["--log-format", "json"]).stderr(Stdio::piped()).spawn().unwrap();
    let log = Log::default();
    let lines = BufReader::new(process.stderr.take().unwrap());
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let written = Arc::clone(&log);
    std::thread::spawn(move || {
        let mut sender = Some(sender);
        for line in lines.lines().map_while(Result::ok) {
            if let (Some(serving), Some(_)) = (serving(&line), &sender) {
                sender.take().unwrap().send(serving).ok();
            }
            let mut log = written.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    });
    let told = tokio::time::timeout(Duration::from_secs(20), receiver).await;
    let Ok(Ok(serving)) = told else { panic!("nothing is served: {}", log.lock().unwrap()) };
    (process, serving, log)
}

/// The addresses in the line that says that a process serves.
fn serving(line: &str) -> Option<Serving> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let field = |name: &str| line.get(name)?.as_str();
    let operations = field("operations")?.parse().ok()?;
    let edge = field("edge")?.parse().ok();
    (line.get("message")? == "serving")
        .then(|| Some(Serving { listen: field("listen")?.to_owned(), operations, edge }))?
}

/// One sample of `/metrics`; zero if it is not there (yet). `sample` is a name with its labels.
pub async fn metric(operations: SocketAddr, sample: &str) -> f64 {
    let text = http_get(operations, "/metrics").await.1;
    let line = text.lines().find(|line| line.strip_prefix(sample).is_some_and(|rest| rest.starts_with(' ')));
    line.map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
}

/// A plain HTTP/1.1 GET: the status and the body.
pub async fn http_get(address: SocketAddr, path: &str) -> (u16, String) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

/// Asks until the answer is yes; panics if it does not become yes in time.
pub async fn eventually<Asked: Future<Output = bool>>(what: &str, mut ask: impl FnMut() -> Asked) {
    let begun = Instant::now();
    while !ask().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
