//! The profiles that are remembered here, each as it was read from the database last.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio::time::{Instant, sleep};

use super::Error;
use super::committing::Committing;
use crate::cache::AsOf;
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

/// The profiles that are remembered, by name. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Profiles(Arc<RwLock<HashMap<ProfileName, Remembered>>>);

/// A profile as it was read.
#[derive(Debug, Clone)]
struct Remembered {
    profile: Arc<Profile>,
    /// How far the log was applied then; `None` if nobody looked.
    as_of: Option<AsOf>,
}

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
    /// [`Error::DatabaseUnavailable`] and its like; [`Error::LeaseLost`] if another database answers now than told of the
    /// version; [`Error::Internal`] if this release cannot read it.
    pub(super) async fn at_least(
        &self,
        store: &Store,
        name: &ProfileName,
        version: i32,
    ) -> Result<Arc<Profile>, Error> {
        if let Some(known) = self.in_version(name, version) {
            return Ok(known);
        }
        let found = self.read(&mut store.connection().await?, name).await?;
        if found.version < version {
            store.renew();
            return Err(Error::LeaseLost);
        }
        Ok(found)
    }

    /// A profile as it is now.
    ///
    /// # Errors
    /// [`Error::ProfileNotFound`]; [`Error::DatabaseUnavailable`] and its like; [`Error::Internal`] if this release cannot
    /// read it.
    pub(super) async fn now(
        &self,
        connection: &mut Connection,
        name: &ProfileName,
    ) -> Result<Arc<Profile>, Error> {
        let version = profiles::version(connection, name).await?;
        let version = version.ok_or_else(|| Error::ProfileNotFound(name.clone()))?;
        match self.in_version(name, version) {
            Some(known) => Ok(known),
            None => self.read(connection, name).await,
        }
    }

    /// A profile that is remembered, if it was read at a moment that will do.
    pub(super) fn read_at(
        &self,
        name: &ProfileName,
        will_do: impl FnOnce(AsOf) -> bool,
    ) -> Option<Arc<Profile>> {
        let Remembered { profile, as_of } = self.remembered(name)?;
        as_of.filter(|as_of| will_do(*as_of)).map(|_| profile)
    }

    /// Fills in what a token's profile says of it, as far as that is remembered here.
    pub(super) fn advise(&self, mut token: Token) -> Token {
        let profile = token.profile.as_ref().and_then(|name| self.remembered(name));
        let after = profile.and_then(|remembered| remembered.profile.rotation_due_after);
        token.rotation_due_time = after.and_then(|after| SystemTime::checked_add(&token.secret_time, after));
        token
    }

    async fn read(&self, connection: &mut Connection, name: &ProfileName) -> Result<Arc<Profile>, Error> {
        let found = profiles::find(connection, name).await?.profiles.pop();
        self.remember(&found.ok_or_else(|| Error::ProfileNotFound(name.clone()))?, None)
    }

    /// Remembers a profile on record. Its author has checked it, so one that cannot be read is of a later release.
    ///
    /// # Errors
    /// [`Error::Internal`] if this release cannot read it.
    pub(super) fn remember(
        &self,
        stored: &StoredProfile,
        as_of: Option<AsOf>,
    ) -> Result<Arc<Profile>, Error> {
        let unreadable = || format!("the profile {} cannot be read by this release", stored.name);
        let profile = Profile::parse(&stored.document).map_err(|_| Error::Internal(unreadable().into()))?;
        let profile = Arc::new(profile);
        let remembered = Remembered { profile: Arc::clone(&profile), as_of };
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(stored.name.clone(), remembered);
        Ok(profile)
    }

    fn in_version(&self, name: &ProfileName, version: i32) -> Option<Arc<Profile>> {
        let known = self.remembered(name)?.profile;
        (known.version >= version).then_some(known)
    }

    fn remembered(&self, name: &ProfileName) -> Option<Remembered> {
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
    if newer(profiles, &on_record.profiles)?.is_empty() {
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
