//! Which server keys are in use: the database lists them, the files hold them.

use std::collections::BTreeSet;
use std::sync::RwLock;

use super::Error;
use crate::keyring::Keyring;
use crate::store::keys::{self, KeyState, ServerKeyRow};
use crate::store::{Store, StoreError};
use crate::token::Kid;

/// Why the keyring does not fit the database.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// Tokens depend on a key that is not here.
    #[error("the database lists the key `{0}` as in use, but the keyring has no file {0}.key; put it there")]
    Missing(Kid),
    /// The file is of another installation.
    #[error(
        "the file {0}.key is not the key that the database lists under this name; put the right one there"
    )]
    Different(Kid),
    /// No key may mint.
    #[error("the database lists no key to issue tokens under")]
    NoneMints,
    /// The database cannot be asked.
    #[error("the keys in use cannot be read from the database")]
    Store(#[from] StoreError),
}

/// What the database said of the keys when it was last asked.
#[derive(Debug)]
pub(super) struct KeyDirectory {
    listed: RwLock<Listed>,
}

#[derive(Debug, Clone)]
struct Listed {
    minting: Kid,
    kids: BTreeSet<Kid>,
}

impl KeyDirectory {
    /// Enters the keys of this process that the database does not know yet, and checks that each key in use is here.
    pub(super) async fn register(store: &Store, keyring: &Keyring) -> Result<Self, KeysError> {
        let held: Vec<(Kid, &str)> = keyring.keys().map(|key| (key.kid(), key.fingerprint())).collect();
        let mut transaction = store.begin().await?;
        let registered = keys::register(&mut transaction, &held).await.map_err(KeysError::Store);
        // A keyring that does not fit enters nothing, or the servers with the right one would miss its keys.
        let fitting = registered.and_then(|rows| check(&rows, keyring).map(|()| rows));
        let rows = transaction.finish(fitting).await?;
        Ok(Self { listed: RwLock::new(listed(&rows).ok_or(KeysError::NoneMints)?) })
    }

    /// Asks again: another server may have entered a key since.
    pub(super) async fn refresh(&self, store: &Store) -> Result<(), Error> {
        let mut connection = store.connection().await?;
        let rows = keys::list(&mut connection).await?;
        if let (Some(now), Ok(mut known)) = (listed(&rows), self.listed.write()) {
            *known = now;
        }
        Ok(())
    }

    /// The key that new secrets are issued under.
    pub(super) fn minting(&self) -> Kid {
        self.listed.read().map_or(Kid::FIRST, |listed| listed.minting)
    }

    /// Whether a key is in use somewhere.
    pub(super) fn lists(&self, kid: Kid) -> bool {
        self.listed.read().is_ok_and(|listed| listed.kids.contains(&kid))
    }
}

/// Whether each key in use is here, and is the same.
fn check(rows: &[ServerKeyRow], keyring: &Keyring) -> Result<(), KeysError> {
    for row in rows.iter().filter(|row| row.state != KeyState::Retired) {
        let key = keyring.key(row.kid).ok_or(KeysError::Missing(row.kid))?;
        if key.fingerprint() != row.fingerprint {
            return Err(KeysError::Different(row.kid));
        }
    }
    Ok(())
}

fn listed(rows: &[ServerKeyRow]) -> Option<Listed> {
    let minting = rows.iter().find(|row| row.state == KeyState::Minting)?.kid;
    let live = rows.iter().filter(|row| row.state != KeyState::Retired);
    Some(Listed { minting, kids: live.map(|row| row.kid).collect() })
}
