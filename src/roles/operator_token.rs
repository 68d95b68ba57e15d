//! `tokenkeep operator-token`: issues the first caller's token, for whoever holds the database and the keyring.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use super::RoleError;
use super::serve::hasher;
use crate::feed::Feed;
use crate::keyring::Keyring;
use crate::metrics::Metrics;
use crate::proof::ProofCache;
use crate::service::{Parts, Service};
use crate::settings;
use crate::store::{DatabaseOptions, Store};
use crate::token::IssuedSecret;

pub(super) fn run(settings: &settings::OperatorToken) -> Result<(), RoleError> {
    let keyring = Keyring::read(&settings.keys.keyring)?;
    let mut database = DatabaseOptions::new(settings.database.url()?.secret().clone());
    database.connections = 2;
    let issued = super::runtime()?.block_on(async {
        let store = Store::new(&database)?;
        store.migrate().await?;
        let metrics = Metrics::new([]);
        let (feed, _tail) = Feed::start(store.clone(), metrics.clone());
        let (hasher, proofs) = (hasher(&settings.hashing), ProofCache::new(1)?);
        let parts = Parts { store, keyring: Arc::new(keyring), hasher, proofs, feed, metrics };
        let service = Service::new(parts).await?;
        Ok::<_, RoleError>(service.issue_operator_token(settings.reset).await?)
    })?;
    let issued = issued.ok_or(RoleError::OperatorTokenExists)?;
    match &settings.out {
        Some(path) => write(path, &issued.secret),
        None => writeln!(io::stdout(), "{}", issued.secret.expose()).map_err(RoleError::Output),
    }
}

/// Writes the secret to a file that only its owner may read: whole, or not at all.
pub(super) fn write(path: &Path, secret: &IssuedSecret) -> Result<(), RoleError> {
    let unwritable = |source| RoleError::Unwritable { path: path.to_owned(), source };
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft);
    let mut file = file.map_err(unwritable)?;
    writeln!(file, "{}", secret.expose()).and_then(|()| file.sync_all()).map_err(unwritable)?;
    std::fs::rename(&draft, path).map_err(unwritable)
}
