//! `tokenkeep dev`: everything on one machine with nothing installed, a private PostgreSQL included.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::serve::{announce, server_options, shutdown};
use super::{RoleError, operator_token};
use crate::compose::Server;
use crate::keyring::{Keyring, create_first_key};
use crate::postgres::{Cluster, Fetch, Options};
use crate::settings;
use crate::store::DatabaseOptions;

/// The database of the private cluster.
const DATABASE: &str = "tokenkeep";

pub(super) fn run(settings: &settings::Dev) -> Result<(), RoleError> {
    let directory = settings.data.home.path()?;
    let keys = directory.join("keyring");
    create_first_key(&keys)?;
    let keyring = Keyring::read(&keys)?;
    let cluster = Cluster::start(&cluster_options(settings, &directory))?;
    tracing::info!(postgres = %cluster.binaries(), directory = %directory.display(), "a private PostgreSQL runs");
    let mut database = DatabaseOptions::new(SecretString::from(cluster.url(DATABASE)));
    database.connections = settings.server.pool.database_connections.get();
    let options = server_options(&settings.server, (keyring, &keys), database, None)?;
    let served = super::runtime()?.block_on(async {
        let server = Box::pin(Server::start(options)).await?;
        let operator_token = Box::pin(leave_operator_token(&server, &directory)).await?;
        announce(&server, &settings.server);
        welcome(&server, settings, &operator_token);
        server.run(shutdown()).await?;
        Ok(())
    });
    // The server is down by now, whether or not it went well, and the database goes after it.
    cluster.stop()?;
    served
}

fn cluster_options(settings: &settings::Dev, directory: &Path) -> Options {
    Options {
        directory: directory.join("postgres"),
        builds_directory: directory.join("postgres-builds"),
        binaries_directory: settings.data.postgres_bin_dir.clone(),
        fetch: if settings.data.no_fetch { Fetch::Forbidden } else { Fetch::Allowed },
        database: DATABASE.to_owned(),
        settings: Vec::new(),
    }
}

/// Leaves the operator's token in a file, unless it is there.
async fn leave_operator_token(server: &Server, directory: &Path) -> Result<PathBuf, RoleError> {
    let path = directory.join("operator-token");
    if path.exists() {
        return Ok(path);
    }
    let file = operator_token::begin(&path)?;
    // A token whose secret is lost is of no use to anybody, so its secret is replaced.
    if let Some(issued) = server.service().issue_operator_token(true).await? {
        operator_token::finish(file, &path, &issued.secret)?;
    }
    Ok(path)
}

/// Tells a person what to type next: a line that works when pasted, every time.
fn welcome(server: &Server, settings: &settings::Dev, operator_token: &Path) {
    let Some(address) = server.addresses().first() else { return };
    let transport = if settings.server.listening.tls_certificate.is_some() { "" } else { "-plaintext " };
    let credential = format!("\"authorization: Bearer $(cat '{}')\"", operator_token.display());
    let call = format!("{address} tokenkeep.v1.WorkspaceService/ListWorkspaces");
    let hint = if io::stdout().is_terminal() { "\nServing. Try:\n\n  " } else { "" };
    // Whoever closed our standard output does not want to read this.
    let _ = writeln!(io::stdout(), "{hint}grpcurl {transport}-H {credential} {call}");
}
