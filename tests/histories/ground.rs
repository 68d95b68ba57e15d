//! What many histories stand on: PostgreSQL, a keyring, and a template with the operator's token in it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::client::WORKSPACES;
use crate::cluster::{Postgreses, TEMPLATE};
use crate::proxy::Link;

pub struct Ground {
    /// The program under test.
    pub program: PathBuf,
    pub directory: TempDir,
    pub postgres: Mutex<Postgreses>,
    pub keyring: PathBuf,
    /// The file of the operator's token.
    pub credential: PathBuf,
    pub operator: String,
}

impl Ground {
    pub async fn lay(program: &Path) -> Self {
        let directory = tempfile::Builder::new().prefix("tokenkeep-histories-").tempdir().unwrap();
        // PostgreSQL may run as another user, who must get through.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let postgres = tokio::task::block_in_place(|| Postgreses::start(directory.path()));
        let (keyring, credential) =
            (directory.path().join("keyring"), directory.path().join("operator-token"));
        tokenkeep::keyring::create_first_key(&keyring).unwrap();
        let link = Link::to(postgres.primary.target()).await;
        let mut command = Command::new(program);
        command.arg("operator-token").arg("--keyring").arg(&keyring).arg("--out").arg(&credential);
        command.env("TOKENKEEP_DATABASE_URL", database_url(&link, TEMPLATE));
        let status = tokio::task::block_in_place(|| command.status()).unwrap();
        assert!(status.success(), "the operator's token");
        for workspace in WORKSPACES {
            let insert =
                format!("INSERT INTO workspaces (id, name, token_prefix) VALUES ('{workspace}', 'x', 'tk')");
            postgres.primary.execute(TEMPLATE, &insert).await;
        }
        let operator = fs::read_to_string(&credential).unwrap().trim().to_owned();
        let program = program.to_owned();
        Self { program, directory, postgres: Mutex::new(postgres), keyring, credential, operator }
    }

    /// A fresh copy of the template under a name of its own.
    pub async fn fresh_database(&self, name: &str) {
        let mut postgres = self.postgres.lock().await;
        postgres.make_whole().await;
        let create = format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}");
        postgres.primary.execute("postgres", &create).await;
    }

    pub async fn drop_database(&self, name: &str) {
        let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        self.postgres.lock().await.primary.execute("postgres", &drop).await;
    }
}

/// How a server is told of a database that it reaches over a link.
pub fn database_url(link: &Link, database: &str) -> String {
    format!("postgresql://tokenkeep@{}/{database}?sslmode=disable", link.address)
}
