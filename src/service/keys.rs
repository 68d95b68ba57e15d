//! Which server keys are in use: the database lists them, the files hold them.

use std::collections::BTreeMap;
use std::sync::RwLock;
use std::time::Duration;

use super::Error;
use crate::clock::BootTime;
use crate::introspection::InactiveReason;
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
    /// The file is of another installation, or its name was that of a key that is retired.
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

/// For how long a key that the database did not list is unknown; then it may have been listed since. The database is
/// asked every second. A key that is rolled to was listed for longer, see [`super::rotation`].
pub(super) const FRESH: Duration = Duration::from_secs(5);

/// What the database said of the keys when it was last asked.
#[derive(Debug)]
pub(super) struct KeyDirectory {
    listed: RwLock<Listed>,
}

#[derive(Debug, Clone)]
struct Listed {
    /// Before the database was asked.
    asked: BootTime,
    minting: Kid,
    states: BTreeMap<Kid, KeyState>,
}

impl KeyDirectory {
    /// Enters the keys of this process that the database does not know yet, and checks that each key in use is here.
    pub(super) async fn register(store: &Store, keyring: &Keyring) -> Result<Self, KeysError> {
        let held: Vec<(Kid, &str)> = keyring.keys().map(|key| (key.kid(), key.fingerprint())).collect();
        let asked = BootTime::now();
        let mut transaction = store.begin().await?;
        let registered = keys::register(&mut transaction, &held).await.map_err(KeysError::Store);
        // A keyring that does not fit enters nothing, or the servers with the right one would miss its keys.
        let fitting = registered.and_then(|rows| check(&rows, keyring).map(|()| rows));
        let rows = transaction.finish(fitting).await?;
        Ok(Self { listed: RwLock::new(listed(asked, &rows).ok_or(KeysError::NoneMints)?) })
    }

    /// Asks again: another server may have entered a key since.
    pub(super) async fn refresh(&self, store: &Store) -> Result<(), Error> {
        let asked = BootTime::now();
        let mut connection = store.connection().await?;
        let rows = keys::list(&mut connection).await?;
        if let (Some(now), Ok(mut known)) = (listed(asked, &rows), self.listed.write()) {
            *known = now;
        }
        Ok(())
    }

    /// The key that new secrets are issued under.
    pub(super) fn minting(&self) -> Kid {
        self.listed.read().map_or(Kid::FIRST, |listed| listed.minting)
    }

    /// Judges what names a key that is not here, and that can therefore not be told from what somebody made up.
    ///
    /// # Errors
    /// [`Error::KeyUnavailable`] if the key is in use, or may be by now.
    pub(super) fn judge_absent(&self, kid: Kid) -> Result<InactiveReason, Error> {
        let unavailable = || Error::KeyUnavailable(kid);
        let listed = self.listed.read().map_err(|_| unavailable())?;
        match listed.states.get(&kid) {
            Some(KeyState::Minting | KeyState::Live) => Err(unavailable()),
            Some(KeyState::Retired) => Ok(InactiveReason::Invalidated),
            None if BootTime::now().since(listed.asked) > FRESH => Err(unavailable()),
            None => Ok(InactiveReason::Forged),
        }
    }
}

/// Whether each key in use is here, and no other is here under the name of a key that is or was in use.
fn check(rows: &[ServerKeyRow], keyring: &Keyring) -> Result<(), KeysError> {
    for row in rows {
        match keyring.key(row.kid) {
            Some(key) if key.fingerprint() != row.fingerprint => return Err(KeysError::Different(row.kid)),
            None if row.state != KeyState::Retired => return Err(KeysError::Missing(row.kid)),
            Some(_) | None => {}
        }
    }
    Ok(())
}

fn listed(asked: BootTime, rows: &[ServerKeyRow]) -> Option<Listed> {
    let minting = rows.iter().find(|row| row.state == KeyState::Minting)?.kid;
    Some(Listed { asked, minting, states: rows.iter().map(|row| (row.kid, row.state)).collect() })
}
