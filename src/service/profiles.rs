//! The profiles that are known here: each is read from the database once for every version of it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep};

use super::Error;
use super::committing::Committing;
use crate::profile::{Profile, ProfileName, Standing, VersionReused};
use crate::revocation::Appended;
use crate::store::profiles::{self, StoredProfile};
use crate::store::{Connection, Store, StoreError, Transaction};
use crate::text::{Initiator, Invalid};
use crate::token::Token;

/// On whose behalf a server enters its profiles.
const INITIATOR: &str = "tokenkeep serve";

/// How long a server waits for another that enters profiles: that holds them until its commit is answered, which may take
/// as long as a commit may.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a server's profiles cannot be entered.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    /// A profile was changed and its version was not.
    #[error(transparent)]
    VersionReused(#[from] VersionReused),
    /// The database cannot be asked.
    #[error("the profiles cannot be entered into the database")]
    Store(#[from] StoreError),
    /// A defect of ours.
    #[error("a profile cannot be entered")]
    Invalid(#[source] Invalid),
}

/// The profiles that are known, by name. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Profiles(Arc<RwLock<HashMap<ProfileName, Arc<Profile>>>>);

impl Profiles {
    /// Enters those of a server's profiles that are new or of a higher version than on record. Servers that start at once
    /// wait for the one that is entering its own.
    ///
    /// # Errors
    /// [`EntryError`]; nothing is entered then.
    pub async fn enter(
        &self,
        store: &Store,
        committing: &Committing,
        profiles: &[Profile],
    ) -> Result<(), EntryError> {
        let until = Instant::now() + PATIENCE;
        loop {
            match try_to_enter(store, committing, profiles).await {
                Err(EntryError::Store(StoreError::Unavailable { .. })) if Instant::now() < until => {
                    sleep(PAUSE).await;
                }
                entered => return entered,
            }
        }
    }

    /// A profile in this version, or in a later one.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`] and its like; [`Error::Internal`] if this release cannot read it.
    pub(super) async fn at_least(
        &self,
        store: &Store,
        name: &ProfileName,
        version: i32,
    ) -> Result<Arc<Profile>, Error> {
        match self.known(name).filter(|known| known.version >= version) {
            Some(known) => Ok(known),
            None => self.read(&mut store.connection().await?, name).await,
        }
    }

    /// A profile as it is now.
    ///
    /// # Errors
    /// [`Error::ProfileNotFound`], and as [`Profiles::at_least`].
    pub(super) async fn now(
        &self,
        connection: &mut Connection,
        name: &ProfileName,
    ) -> Result<Arc<Profile>, Error> {
        let version = profiles::version(connection, name).await?;
        let version = version.ok_or_else(|| Error::ProfileNotFound(name.clone()))?;
        match self.known(name).filter(|known| known.version >= version) {
            Some(known) => Ok(known),
            None => self.read(connection, name).await,
        }
    }

    /// Fills in what a token's profile says of it, as far as it is known here.
    pub(super) fn advise(&self, mut token: Token) -> Token {
        let profile = token.profile.as_ref().and_then(|name| self.known(name));
        let after = profile.and_then(|profile| profile.rotation_due_after);
        token.rotation_due_time = after.and_then(|after| SystemTime::checked_add(&token.secret_time, after));
        token
    }

    /// Reads every profile again that has changed since, and those that are new.
    pub(super) async fn refresh(&self, store: &Store) -> Result<(), Error> {
        let mut connection = store.connection().await?;
        for stored in profiles::list(&mut connection).await? {
            if self.known(&stored.name).is_none_or(|known| known.version < stored.version) {
                self.take(&stored)?;
            }
        }
        Ok(())
    }

    async fn read(&self, connection: &mut Connection, name: &ProfileName) -> Result<Arc<Profile>, Error> {
        let stored = profiles::find(connection, name).await?;
        self.take(&stored.ok_or_else(|| Error::ProfileNotFound(name.clone()))?)
    }

    /// Takes a profile on record for known. Its author has checked it, so one that cannot be read is of a later release.
    fn take(&self, stored: &StoredProfile) -> Result<Arc<Profile>, Error> {
        let unreadable = || format!("the profile {} cannot be read by this release", stored.name);
        let profile = Profile::parse(&stored.document).map_err(|_| Error::Internal(unreadable().into()))?;
        let profile = Arc::new(profile);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(stored.name.clone(), Arc::clone(&profile));
        Ok(profile)
    }

    pub(super) fn known(&self, name: &ProfileName) -> Option<Arc<Profile>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

async fn try_to_enter(
    store: &Store,
    committing: &Committing,
    profiles: &[Profile],
) -> Result<(), EntryError> {
    // Mostly nothing is new, and there is nobody to wait for.
    let on_record = profiles::list(&mut store.connection().await?).await?;
    if newer(profiles, &on_record)?.is_empty() {
        return Ok(());
    }
    let mut transaction = store.begin().await?;
    let entered = enter(&mut transaction, profiles).await;
    if let Some(appended) = transaction.finish(entered).await? {
        committing.takes_effect(&appended);
    }
    Ok(())
}

async fn enter(transaction: &mut Transaction, profiles: &[Profile]) -> Result<Option<Appended>, EntryError> {
    let newer = newer(profiles, &profiles::lock(transaction).await?)?;
    if newer.is_empty() {
        return Ok(None);
    }
    let initiator = Initiator::parse(INITIATOR.to_owned()).map_err(EntryError::Invalid)?;
    Ok(Some(profiles::enter(transaction, &newer, &initiator).await?))
}

/// Those profiles that are new or of a higher version than on record.
fn newer(profiles: &[Profile], on_record: &[StoredProfile]) -> Result<Vec<StoredProfile>, VersionReused> {
    let mut newer = Vec::new();
    for profile in profiles {
        let stored = on_record.iter().find(|stored| stored.name == profile.name);
        let stored = stored.map(|stored| (stored.version, stored.document.as_str()));
        match profile.standing(stored)? {
            Standing::Newer => newer.push(StoredProfile {
                name: profile.name.clone(),
                version: profile.version,
                document: profile.document.clone(),
            }),
            Standing::Same | Standing::Older => {}
        }
    }
    Ok(newer)
}
