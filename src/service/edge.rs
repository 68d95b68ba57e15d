//! Profiles as a server brings them, and as the edge needs them: here, and at the sidecars that follow this server.

use std::sync::Arc;

use super::freshness::Arrival;
use super::{EntryError, Error, Service};
use crate::introspection::Freshness;
use crate::profile::{Profile, ProfileName};
use crate::revocation::Position;
use crate::store::profiles;

impl Service {
    /// Enters those of a server's profiles that are new, or of a higher version than on record.
    ///
    /// # Errors
    /// [`EntryError`]; nothing is entered then.
    pub async fn enter_profiles(&self, profiles: &[Profile]) -> Result<(), EntryError> {
        self.profiles.enter(&self.store, &self.committing, profiles).await
    }

    /// A profile that is known here, at once and without asking anybody.
    #[must_use]
    pub fn profile_at_hand(&self, name: &ProfileName) -> Option<Arc<Profile>> {
        self.profiles.known(name)
    }

    /// A profile; `None` if there is none of this name.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`] and its like; [`Error::Internal`] if this release cannot read it.
    pub async fn profile(&self, name: &ProfileName) -> Result<Option<Arc<Profile>>, Error> {
        if let Some(known) = self.profile_at_hand(name) {
            return Ok(Some(known));
        }
        match self.profiles.now(&mut self.store.connection().await?, name).await {
            Ok(profile) => Ok(Some(profile)),
            Err(Error::ProfileNotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every profile as its file is written, as of some position or later.
    ///
    /// # Errors
    /// [`Error::HistoryForeign`], [`Error::RevisionNotReached`]; [`Error::DatabaseUnavailable`] and its like.
    pub async fn profile_documents(&self, since: Position) -> Result<Vec<String>, Error> {
        self.require_history(since.history)?;
        Arrival::now(self).reach(Freshness::AtLeast(since.revision)).await?;
        let stored = profiles::list(&mut self.store.connection().await?).await?;
        self.require_history(since.history)?;
        Ok(stored.into_iter().map(|profile| profile.document).collect())
    }
}
