//! Profiles as a server brings them, and as the edge needs them: here, and at the sidecars that follow this server.

use std::sync::Arc;

use super::freshness::Arrival;
use super::{EntryError, Error, Service};
use crate::cache::Subject;
use crate::introspection::Freshness;
use crate::profile::{Profile, ProfileName};
use crate::revocation::HistoryId;
use crate::store::profiles::{self, OnRecord};
use crate::token::{Revision, Token};

impl Service {
    /// Enters those of a server's profiles that are new, or of a higher version than on record.
    ///
    /// # Errors
    /// [`EntryError`]; nothing is entered then.
    pub async fn enter_profiles(&self, profiles: &[Profile]) -> Result<(), EntryError> {
        self.profiles.enter(&self.store, &self.committing, profiles).await
    }

    /// A profile that is known here to be as it was remembered, at once and without asking anybody.
    #[must_use]
    pub fn profile_at_hand(&self, name: &ProfileName) -> Option<Arc<Profile>> {
        self.profiles.read_at(name, |as_of| self.cache.holds(Subject::Profile(name), as_of))
    }

    /// A profile, from nothing older than what is applied here; `None` if there is none of this name.
    ///
    /// # Errors
    /// [`Error::LeaseLost`]; [`Error::DatabaseUnavailable`] and its like; [`Error::Internal`] if this release cannot read
    /// it.
    pub async fn profile(&self, name: &ProfileName) -> Result<Option<Arc<Profile>>, Error> {
        if let Some(known) = self.profile_at_hand(name) {
            return Ok(Some(known));
        }
        let (mut arrival, as_of) = (Arrival::now(self), self.cache.as_of());
        let OnRecord { history, mut profiles } =
            profiles::find(&mut self.store.connection().await?, name).await?;
        arrival.may_accept(history).await?;
        let as_of = as_of.filter(|as_of| as_of.history() == history);
        profiles.pop().map(|stored| self.profiles.remember(&stored, as_of)).transpose()
    }

    /// Has the profile of a token at hand to advise by, if that is possible now.
    pub(super) async fn learn_profile(&self, token: Option<&Token>) {
        if let Some(name) = token.and_then(|token| token.profile.as_ref()) {
            drop(self.profile(name).await);
        }
    }

    /// Every profile as its file is written, as of a revision or later of the history that the caller follows, if it
    /// follows one.
    ///
    /// # Errors
    /// [`Error::HistoryForeign`], [`Error::RevisionNotReached`], [`Error::LeaseLost`]; [`Error::DatabaseUnavailable`] and
    /// its like.
    pub async fn profile_documents(
        &self,
        followed: Option<HistoryId>,
        since: Revision,
    ) -> Result<Vec<String>, Error> {
        self.require_same_history(followed)?;
        let mut arrival = Arrival::now(self);
        arrival.reach(Freshness::AtLeast(since)).await?;
        let OnRecord { history, profiles } = profiles::list(&mut self.store.connection().await?).await?;
        arrival.may_accept(history).await?;
        self.require_same_history(followed)?;
        Ok(profiles.into_iter().map(|profile| profile.document).collect())
    }
}
