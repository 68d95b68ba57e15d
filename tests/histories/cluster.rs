//! PostgreSQL as it is run for high availability: a primary, a synchronous standby, and the promotion of the one while
//! the other runs on.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tokenkeep::postgres::{Cluster, Fetch, Options};
use tokio_postgres::NoTls;

use crate::proxy::Target;

/// The database that those of the histories are copies of.
pub const TEMPLATE: &str = "tokenkeep_template";

/// How long a server may take to be as it should.
const PATIENCE: Duration = Duration::from_secs(30);

/// One PostgreSQL server with its data.
pub struct Postgres {
    pub options: Options,
    /// `None` while it is stopped or crashed.
    cluster: Option<Cluster>,
}

impl Postgres {
    fn start(options: Options) -> Self {
        let cluster = Some(Cluster::start(&options).unwrap());
        Self { options, cluster }
    }

    fn data(&self) -> PathBuf {
        self.options.directory.join("data")
    }

    fn socket_directory(&self) -> PathBuf {
        self.options.directory.join("socket").canonicalize().unwrap()
    }

    /// Where a link must lead to reach it.
    pub fn target(&self) -> Target {
        Target::Unix(self.socket_directory().join(".s.PGSQL.5432"))
    }

    /// A connection past every link.
    pub async fn connect(&self, database: &str) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
        let url = self.cluster.as_ref().map(|cluster| cluster.url(database)).unwrap_or_default();
        let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// The same, once it takes connections: after a crash it recovers first.
    pub async fn connect_patiently(&self, database: &str) -> tokio_postgres::Client {
        let begun = Instant::now();
        loop {
            match self.connect(database).await {
                Ok(client) => return client,
                Err(error) => assert!(begun.elapsed() < PATIENCE, "no connection: {error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn execute(&self, database: &str, statements: &str) {
        self.connect_patiently(database).await.batch_execute(statements).await.unwrap();
    }

    /// Which history the log of a database is of, if that can be told now.
    pub async fn history_id(&self, database: &str) -> Option<String> {
        let client = self.connect(database).await.ok()?;
        client.query_one("SELECT id::text FROM histories", &[]).await.ok().map(|row| row.get(0))
    }

    /// The first process, then the others.
    pub fn processes(&self) -> Vec<u32> {
        let Some(first) = self.cluster.as_ref().map(Cluster::process_id) else { return Vec::new() };
        let children = fs::read_to_string(format!("/proc/{first}/task/{first}/children")).unwrap_or_default();
        let children = children.split_whitespace().map(|number| number.parse().unwrap());
        std::iter::once(first).chain(children).collect()
    }

    /// What an operator does: connections are cut, what was committed is written.
    pub fn stop(&mut self) {
        if let Some(cluster) = self.cluster.take() {
            cluster.stop().unwrap();
        }
    }

    /// Starts it again, however it ended.
    pub fn start_again(&mut self) {
        self.stop();
        self.cluster = Some(Cluster::start(&self.options).unwrap());
    }
}

/// The primary, and what stands beside it.
pub struct Postgreses {
    directory: PathBuf,
    pub primary: Postgres,
    pub standby: Option<Postgres>,
    /// The primary from before the promotion; it runs on.
    pub deposed: Option<Postgres>,
    made: usize,
}

impl Postgreses {
    /// Makes a new primary without a standby.
    pub fn start(directory: &Path) -> Self {
        let primary = Postgres::start(options(directory, "postgres-0", &[]));
        Self { directory: directory.to_owned(), primary, standby: None, deposed: None, made: 1 }
    }

    /// Whether this build of PostgreSQL can make a standby at all.
    pub fn can_stand_by(&self) -> bool {
        self.program("pg_basebackup").is_file()
    }

    fn program(&self, name: &str) -> PathBuf {
        let cluster = self.primary.cluster.as_ref();
        cluster.map_or_else(PathBuf::new, |cluster| cluster.binaries().directory().join(name))
    }

    /// Makes what is missing: nothing is deposed, and a synchronous standby is there.
    pub async fn make_whole(&mut self) {
        if let Some(deposed) = self.deposed.take() {
            let directory = deposed.options.directory.clone();
            drop(deposed);
            fs::remove_dir_all(directory).ok();
        }
        if self.standby.is_none() && self.can_stand_by() {
            self.add_standby();
            let name = self.standby_name();
            let set = format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'");
            self.primary.execute("postgres", &set).await;
            self.primary.execute("postgres", "SELECT pg_reload_conf()").await;
        }
        self.in_step().await;
    }

    fn standby_name(&self) -> String {
        format!("standby_{}", self.made)
    }

    fn add_standby(&mut self) {
        self.made += 1;
        let name = format!("postgres-{}", self.made);
        let source = self.primary.socket_directory();
        let source = format!("host={} port=5432 user=tokenkeep", source.display());
        let standby_name = self.standby_name();
        let info = format!("{source} application_name={standby_name}");
        let options = options(&self.directory, &name, &[("primary_conninfo", &info)]);
        let data = options.directory.join("data");
        let owner = fs::metadata(self.primary.data()).unwrap();
        fs::create_dir_all(&data).unwrap();
        fs::set_permissions(&options.directory, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
        chown(&data, Some(owner.uid()), Some(owner.gid())).unwrap();
        let mut copy = Command::new(self.program("pg_basebackup"));
        copy.args(["--no-sync", "--checkpoint=fast", "--wal-method=stream", "-d", &source, "-D"]).arg(&data);
        copy.uid(owner.uid()).gid(owner.gid()).current_dir(&data);
        assert!(copy.status().unwrap().success(), "pg_basebackup");
        // What the primary waits for is not for its standby to wait for, once it is the primary.
        fs::write(data.join("postgresql.auto.conf"), "").unwrap();
        fs::write(data.join("standby.signal"), "").unwrap();
        chown(data.join("standby.signal"), Some(owner.uid()), Some(owner.gid())).unwrap();
        self.standby = Some(Postgres::start(options));
    }

    /// Waits until the primary takes connections, the standby has everything, and every commit waits for it.
    pub async fn in_step(&self) {
        drop(self.primary.connect_patiently("postgres").await);
        if self.standby.is_none() {
            return;
        }
        let begun = Instant::now();
        let ask = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        loop {
            if let Ok(client) = self.primary.connect("postgres").await
                && client.query_one(ask, &[]).await.is_ok_and(|row| row.get::<_, i64>(0) == 1)
            {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "the standby never got in step");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The primary sends its standby no more of what is committed, and so nothing is that waits for it.
    pub async fn deafen_standby(&self) {
        let rules = self.primary.options.directory.join("data/pg_hba.conf");
        let others = fs::read_to_string(&rules).unwrap();
        let refused = "local replication all reject\nhost replication all all reject\n";
        fs::write(&rules, format!("{refused}{others}")).unwrap();
        self.primary.execute("postgres", "SELECT pg_reload_conf()").await;
        let client = self.primary.connect_patiently("postgres").await;
        let end = "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_replication";
        let begun = Instant::now();
        // Until the new rules are known it may come back.
        for deaf in 0.. {
            let ended = client.query(end, &[]).await.unwrap().len();
            if ended == 0 && deaf > 20 {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "the standby hears on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Makes the standby, if there is one, the primary. The old one is told nothing and runs on.
    pub async fn promote(&mut self) {
        let Some(standby) = self.standby.take() else { return };
        standby.execute("postgres", "SELECT pg_promote()").await;
        self.deposed = Some(std::mem::replace(&mut self.primary, standby));
    }
}

fn options(directory: &Path, name: &str, more: &[(&str, &str)]) -> Options {
    let settings = [
        ("fsync", "off"),
        ("full_page_writes", "off"),
        ("max_connections", "200"),
        ("shared_buffers", "32MB"),
        ("wal_receiver_status_interval", "1s"),
        ("wal_retrieve_retry_interval", "100ms"),
        ("wal_keep_size", "256MB"),
        ("max_wal_senders", "5"),
    ];
    Options {
        directory: directory.join(name),
        builds_directory: std::env::temp_dir().join("tokenkeep-postgres-builds"),
        binaries_directory: None,
        fetch: Fetch::Allowed,
        database: TEMPLATE.to_owned(),
        settings: settings
            .iter()
            .chain(more)
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    }
}
