//! Ending secrets that leaked, for whoever holds them, who learns nothing about them.

use std::collections::BTreeMap;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::committing::{Action, Mutation};
use super::freshness::Arrival;
use super::search::Search;
use super::{Caller, Error, Excess, Service};
use crate::clock::BootTime;
use crate::introspection::Freshness;
use crate::keyring::Origin;
use crate::text::{Initiator, Reason};
use crate::token::{Generation, Precondition, Presented, TokenId};
use crate::workspace::Limits;

/// Answers are given only so long after the request has arrived, or a multiple of that: whether a secret was worth a look
/// into the database, argon2 or a commit takes milliseconds, and so does not show.
const GRAIN: Duration = Duration::from_millis(250);

/// Secrets that are where they should not be.
#[derive(Debug)]
pub struct LeakedSecrets {
    /// What may be secrets of ours.
    pub secrets: Vec<SecretString>,
    /// Why they end.
    pub reason: Reason,
    /// On whose behalf.
    pub initiator: Option<Initiator>,
}

/// Secrets by their tokens, each proved in full.
type Held = BTreeMap<TokenId, Generation>;

impl Service {
    /// Ends secrets: the token of a present one is revoked, and nothing happens for any other. Whatever was presented, it is
    /// answered alike, and at the same time unless that takes longer than a quarter of a second.
    ///
    /// # Errors
    /// [`Excess::Leaks`]; else that it cannot be decided of every one. Those that could be have ended.
    pub async fn revoke_secrets(&self, caller: &Caller, leaked: LeakedSecrets) -> Result<(), Error> {
        let arrived = Instant::now();
        let count = u32::try_from(leaked.secrets.len()).unwrap_or(u32::MAX);
        let taken = self.allowances.take(caller.token(), count, BootTime::now());
        taken.map_err(Excess::Leaks)?;
        let ended = self.end_secrets(caller, leaked).await;
        tokio::time::sleep_until(arrived + whole_grains(arrived.elapsed())).await;
        ended
    }

    async fn end_secrets(&self, caller: &Caller, leaked: LeakedSecrets) -> Result<(), Error> {
        let LeakedSecrets { secrets, reason, initiator } = leaked;
        let initiator = caller.on_behalf_of(initiator)?;
        let (held, first) = self.held(caller, &secrets).await;
        let mutations = held.into_iter().map(|(token, generation)| Mutation {
            token,
            caller: caller.clone(),
            initiator: initiator.clone(),
            profile: None,
            limits: Limits::default(),
            precondition: Precondition::Any,
            action: Action::RevokeSecret { generation, reason: reason.clone() },
            awaited: false,
        });
        let second = self.commit_each(mutations).await;
        first.and(second)
    }

    /// Which tokens the secrets prove, and what could not be decided, if anything.
    async fn held(&self, caller: &Caller, secrets: &[SecretString]) -> (Held, Result<(), Error>) {
        let (mut held, mut outcome) = (Held::new(), Ok(()));
        let mut arrival = Arrival::now(self);
        // Asked for whatever was presented, so that an outage is no sign of a secret that is ours.
        if let Err(error) = arrival.reach(Freshness::Strong).await {
            return (held, Err(error));
        }
        let presented: Vec<_> = secrets.iter().map(|secret| self.issued_here(secret)).collect();
        let ids = presented.iter().filter_map(|presented| presented.as_ref().ok()?.as_ref());
        let mut search = Search::of(self, ids.map(|presented| presented.id));
        for presented in presented {
            let proved = match presented {
                Ok(Some(presented)) => {
                    let proved = search.prove_held(caller, &presented, &mut arrival).await;
                    proved.map(|generation| generation.map(|generation| (presented.id, generation)))
                }
                Ok(None) => Ok(None),
                Err(error) => Err(error),
            };
            match proved {
                Ok(proved) => {
                    if let Some((token, generation)) = proved {
                        // With the present one, the one before ends too.
                        let newest = held.entry(token).or_insert(generation);
                        *newest = generation.max(*newest);
                    }
                }
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        (held, outcome)
    }

    /// A presented string that carries a tag of ours. Any other gets no further.
    fn issued_here<'secret>(
        &self,
        secret: &'secret SecretString,
    ) -> Result<Option<Presented<'secret>>, Error> {
        let Ok(presented) = Presented::parse(secret.expose_secret()) else { return Ok(None) };
        match self.keyring.origin(&presented) {
            Origin::Issued => Ok(Some(presented)),
            Origin::Forged => Ok(None),
            Origin::UnknownKey => self.keys.judge_absent(presented.kid).map(|_| None),
        }
    }

    /// Makes changes at once, all that can be made; gives the first failure.
    async fn commit_each(&self, mutations: impl Iterator<Item = Mutation>) -> Result<(), Error> {
        let mut commits = JoinSet::new();
        for mutation in mutations {
            let committing = self.committing.clone();
            commits.spawn(async move { committing.commit(mutation).await });
        }
        let mut outcome = Ok(());
        while let Some(committed) = commits.join_next().await {
            let committed = committed.unwrap_or_else(|lost| Err(Error::Internal(Box::new(lost))));
            outcome = outcome.and(committed.map(drop));
        }
        outcome
    }
}

/// The least number of grains, and at least one, that such a time fits into.
fn whole_grains(time: Duration) -> Duration {
    let grains = time.as_nanos().div_ceil(GRAIN.as_nanos()).max(1);
    GRAIN.saturating_mul(u32::try_from(grains).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_at_whole_grains() {
        assert_eq!(whole_grains(Duration::ZERO), GRAIN);
        assert_eq!(whole_grains(Duration::from_millis(3)), GRAIN);
        assert_eq!(whole_grains(GRAIN), GRAIN);
        assert_eq!(whole_grains(GRAIN + Duration::from_nanos(1)), GRAIN * 2);
    }
}
