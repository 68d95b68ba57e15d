//! `tokenkeep operator-token`: issues the first caller's token, for whoever holds the database and the keyring.

use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use super::RoleError;
use super::serve::hasher;
use crate::keyring::Keyring;
use crate::metrics::Metrics;
use crate::private_file::PrivateFile;
use crate::service::{Committing, Issuer};
use crate::settings;
use crate::store::{DatabaseOptions, Store};
use crate::token::IssuedSecret;

pub(super) fn run(settings: &settings::OperatorToken) -> Result<(), RoleError> {
    let keyring = Keyring::read(&settings.keys.keyring)?;
    let file = settings.out.as_deref().map(|path| begin(path).map(|file| (path, file))).transpose()?;
    let mut database = DatabaseOptions::new(settings.database.url()?.secret().clone());
    database.connections = 2;
    let issued = super::runtime()?.block_on(async {
        let store = Store::new(&database)?;
        store.migrate().await?;
        let (keyring, hasher) = (Arc::new(keyring), hasher(&settings.hashing));
        let (committing, _writer) = Committing::start(store.clone(), |_| {});
        let issuer = Issuer::new(store, committing, keyring, hasher, Metrics::new([])).await?;
        Ok::<_, RoleError>(issuer.issue_operator_token(settings.reset).await?)
    })?;
    let issued = issued.ok_or(RoleError::OperatorTokenExists)?;
    match file {
        Some((path, file)) => finish(file, path, &issued.secret),
        None => writeln!(io::stdout(), "{}", issued.secret.expose()).map_err(RoleError::Output),
    }
}

/// Begins the file that the secret will go to, before anything is issued: `--reset` ends the old secret.
pub(super) fn begin(path: &Path) -> Result<PrivateFile, RoleError> {
    PrivateFile::begin(path).map_err(|source| RoleError::Unwritable { path: path.to_owned(), source })
}

pub(super) fn finish(file: PrivateFile, path: &Path, secret: &IssuedSecret) -> Result<(), RoleError> {
    let unwritable = |source| RoleError::Unwritable { path: path.to_owned(), source };
    file.finish(secret.expose()).map_err(unwritable)
}
