//! The profiles as the servers have them, from the first need until a change of one is heard of.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tonic::Status;

use super::Sidecar;
use super::counts::Call;
use super::failure::Failure;
use super::links::Link;
use super::upstream::within;
use crate::profile::{Profile, ProfileName};
use crate::proto::v1;
use crate::rpc::{status, unknown_profile};
use crate::service::Error;

/// How long an answer may take: a server waits for a revision for at most a second.
const FETCH: Duration = Duration::from_secs(2);

type ByName = BTreeMap<ProfileName, Arc<Profile>>;

/// What is known of profiles.
#[derive(Debug, Default)]
pub(super) struct Profiles {
    known: Mutex<Known>,
    /// Held by whoever asks a server: one is enough.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    /// How often what was known went out of date.
    epoch: u64,
    profiles: Option<ByName>,
}

impl Profiles {
    /// What is known is not true any more, nor is what is on its way.
    pub(super) fn outdate(&self) {
        let mut known = self.known();
        known.epoch += 1;
        known.profiles = None;
    }

    /// The profile of this name, or that there is none; `None` if a server must be asked.
    fn get(&self, name: &ProfileName) -> Option<Result<Arc<Profile>, Error>> {
        self.known().profiles.as_ref().map(|profiles| named(profiles, name))
    }

    fn epoch(&self) -> u64 {
        self.known().epoch
    }

    /// Remembers what was asked for in this epoch, if it still lasts.
    fn learn(&self, epoch: u64, profiles: ByName) {
        let mut known = self.known();
        if known.epoch == epoch {
            known.profiles = Some(profiles);
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sidecar {
    /// A profile, as it was at some moment after the request had arrived.
    ///
    /// # Errors
    /// That there is none of this name, or that no server can be asked.
    pub(super) async fn profile(&self, name: &ProfileName) -> Result<Arc<Profile>, Status> {
        let found = match self.profiles.get(name) {
            Some(found) => found,
            None => self.ask_for_profile(name).await?,
        };
        found.map_err(|error| status::from_error(&error))
    }

    async fn ask_for_profile(&self, name: &ProfileName) -> Result<Result<Arc<Profile>, Error>, Status> {
        let _asking = self.profiles.asking.lock().await;
        // Perhaps whoever asked before has what is wanted.
        match self.profiles.get(name) {
            Some(found) => Ok(found),
            None => Ok(named(&self.fetch_profiles().await?, name)),
        }
    }

    /// Has a server tell all profiles. When the connection is lost meanwhile, another server is asked, once.
    async fn fetch_profiles(&self) -> Result<ByName, Status> {
        let unavailable = || status::from_error(&Error::UpstreamUnavailable);
        let mut lost = None;
        loop {
            let link = self.links.other_than(lost).await.ok_or_else(unavailable)?;
            match self.fetch_profiles_over(&link).await {
                Ok(profiles) => return Ok(profiles),
                Err(Failure::Away(status)) if status::reason(&status).is_some() => return Err(status),
                Err(Failure::Away(_)) if lost.is_none() => lost = Some(link.number),
                Err(Failure::Away(_)) => return Err(unavailable()),
                Err(failure) => {
                    link.fails(failure);
                    return Err(unavailable());
                }
            }
        }
    }

    async fn fetch_profiles_over(&self, link: &Link) -> Result<ByName, Failure> {
        // What is heard of from here on counts against what is found.
        let epoch = self.profiles.epoch();
        let followed = self.followed(link)?;
        let request = v1::GetProfilesRequest {
            history: followed.map_or_else(String::new, |applied| applied.history.0.to_string()),
            min_revision: followed.map_or(0, |applied| applied.revision.0),
        };
        self.counts.call_was_made(Call::GetProfiles);
        let answer = within(FETCH, link.connections.tokens.clone().get_profiles(request)).await?;
        let profiles: ByName = answer.documents.iter().filter_map(|document| read(document)).collect();
        // Where nothing is followed, no change of them is heard of.
        if followed.is_some() {
            self.profiles.learn(epoch, profiles.clone());
        }
        Ok(profiles)
    }
}

fn named(profiles: &ByName, name: &ProfileName) -> Result<Arc<Profile>, Error> {
    profiles.get(name).cloned().ok_or_else(unknown_profile)
}

/// Reads one; a server may know more of profiles than this program, which then does without that one.
fn read(document: &str) -> Option<(ProfileName, Arc<Profile>)> {
    match Profile::parse(document) {
        Ok(profile) => Some((profile.name.clone(), Arc::new(profile))),
        Err(problems) => {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            tracing::warn!(problems = problems.join("; "), "a server's profile cannot be read here");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_before_a_change_is_not_remembered_after_it() {
        let (profiles, name) = (Profiles::default(), ProfileName::parse("strapi".to_owned()).unwrap());
        let before = profiles.epoch();
        profiles.outdate();
        profiles.learn(before, ByName::new());
        assert!(profiles.get(&name).is_none());
        profiles.learn(profiles.epoch(), ByName::new());
        assert!(matches!(profiles.get(&name), Some(Err(_))));
        profiles.outdate();
        assert!(profiles.get(&name).is_none());
    }
}
