//! A private PostgreSQL for one run, set up as `dev` sets up its own, but with PostgreSQL's usual memory.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokenkeep::postgres::{Cluster, Fetch, Options};
use tokio_postgres::{Client, NoTls};

use super::page::Outcome;

/// The database that the cluster is made with.
pub(crate) const FIRST: &str = "tokenkeep";

pub(crate) struct PrivateDatabase {
    // The order is that of the drops: the cluster goes before its directory.
    cluster: Cluster,
    directory: TempDir,
}

impl PrivateDatabase {
    pub(crate) fn start() -> Outcome<Self> {
        Self::start_with(&[])
    }

    /// With settings of PostgreSQL's own, by name.
    pub(crate) fn start_with(settings: &[(&str, &str)]) -> Outcome<Self> {
        let directory = tempfile::Builder::new().prefix("tk").tempdir()?;
        // Started by root, PostgreSQL runs as another user, who must get through.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755))?;
        let cluster = Cluster::start(&Options {
            directory: directory.path().join("cluster"),
            builds_directory: std::env::temp_dir().join("tokenkeep-postgres-builds"),
            binaries_directory: None,
            fetch: Fetch::Allowed,
            database: FIRST.to_owned(),
            settings: settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        })?;
        tokenkeep::keyring::create_first_key(&directory.path().join("keyring"))?;
        Ok(Self { cluster, directory })
    }

    pub(crate) fn url(&self, name: &str) -> String {
        self.cluster.url(name)
    }

    /// A program beside `postgres`, like `pgbench`.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.cluster.binaries().directory().join(name)
    }

    /// A directory for the run's own files, with a keyring in `keyring`.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A connection beside the product's.
    pub(crate) async fn connect(&self, name: &str) -> Outcome<Client> {
        let (client, connection) = tokio_postgres::connect(&self.url(name), NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Like `PostgreSQL 15.4`.
    pub(crate) async fn version(&self) -> Outcome<String> {
        let row = self.connect(FIRST).await?.query_one("SHOW server_version", &[]).await?;
        let version: String = row.try_get(0)?;
        Ok(format!("PostgreSQL {}", version.split(' ').next().unwrap_or_default()))
    }
}
