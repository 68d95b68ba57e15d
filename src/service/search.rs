//! Looking tokens up in the database: several at once, judged one by one, and remembered if they live.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::freshness::Arrival;
use super::proving::{Live, Proved, Question};
use super::{Caller, Error, Service};
use crate::cache::{Flight, Learned, deadline};
use crate::clock::BootTime;
use crate::defect::{Defect, seeded};
use crate::introspection::{Extras, InactiveReason, Record};
use crate::metrics::Argon2Purpose;
use crate::profile::effective_scopes;
use crate::proof::Proof;
use crate::revocation::{HistoryId, Position};
use crate::store::StoreError;
use crate::store::credentials::{Credential, Credentials, Limits, StoredSecret};
use crate::token::{Generation, Presented, Revision, Token, TokenId, TokenState};
use crate::uses::Used;
use crate::workspace::WorkspaceId;

/// One look into the database for several tokens, taken when the first of them is needed.
pub(super) struct Search<'service> {
    service: &'service Service,
    /// Begun before the look, so that what is applied meanwhile counts against what is found.
    flights: HashMap<TokenId, Flight>,
    /// When the look was taken, and what it found.
    found: Option<(BootTime, Result<Arc<Credentials>, StoreError>)>,
    /// Whether there was no turn for one secret to be proved, so that the others need not wait for theirs.
    overloaded: bool,
}

/// What the database holds of one token, and in which history.
struct Finding {
    /// Before it was looked for.
    begun: BootTime,
    /// In which history, and what its last change is if it is there.
    found: Position,
    credential: Option<Credential>,
}

impl<'service> Search<'service> {
    /// For tokens of these ids.
    pub(super) fn of(service: &'service Service, ids: impl Iterator<Item = TokenId>) -> Self {
        let flights = ids.map(|id| (id, service.cache.begin(id))).collect();
        Self { service, flights, found: None, overloaded: false }
    }

    /// Judges a presented token by what is on record.
    ///
    /// # Errors
    /// That it cannot be decided.
    pub(super) async fn judge(
        &mut self,
        question: &Question<'_>,
        presented: &Presented<'_>,
        arrival: &mut Arrival<'_>,
    ) -> Result<Proved, Error> {
        arrival.may_look().await?;
        let Finding { begun, found, credential } = self.find(presented.id).await?;
        let on_record = credential.ok_or(InactiveReason::Unknown).and_then(|credential| {
            question.admits(&credential.token.workspace)?;
            // By the row's own record of the tags of its secrets, so that a dead one never gets as far as argon2.
            let secret = living(&credential, |secret| secret.tag == presented.tag)?;
            Ok((credential, secret))
        });
        let (credential, secret) = match on_record {
            Ok(found) => found,
            Err(reason) => {
                arrival.may_deny(reason, found).await?;
                if reason == InactiveReason::Superseded {
                    self.service.last_uses.note(presented.id, Used::Superseded, BootTime::now());
                }
                return Ok(Err(reason));
            }
        };
        let Some(proof) = self.prove_secret(presented, &secret).await? else {
            tracing::error!(token = %presented.id, "a stored hash does not match the secret that its tag matches");
            return Ok(Err(InactiveReason::Forged));
        };
        arrival.may_accept(found.history).await?;
        let live = self.remember((credential, secret), begun, found.history, Some(proof)).await?;
        if let Err(reason) = question.suits(&live.record) {
            return Ok(Err(reason));
        }
        self.service.note_use(question, &live, BootTime::now());
        Ok(Ok(live))
    }

    /// Judges a token by id alone, of which the secret of this generation was proved before.
    ///
    /// # Errors
    /// That it cannot be decided.
    pub(super) async fn judge_again(
        &mut self,
        admits: impl Fn(&WorkspaceId) -> Result<(), InactiveReason>,
        (id, generation): (TokenId, Generation),
        arrival: &mut Arrival<'_>,
    ) -> Result<Proved, Error> {
        arrival.may_look().await?;
        let Finding { begun, found, credential } = self.find(id).await?;
        let on_record = credential.ok_or(InactiveReason::Unknown).and_then(|credential| {
            admits(&credential.token.workspace)?;
            let secret = living(&credential, |secret| secret.generation == generation)?;
            Ok((credential, secret))
        });
        match on_record {
            Ok(found_live) => {
                arrival.may_accept(found.history).await?;
                let proof = self.service.proofs.known(id, generation);
                self.remember(found_live, begun, found.history, proof).await.map(Ok)
            }
            Err(reason) => arrival.may_deny(reason, found).await.map(|()| Err(reason)),
        }
    }

    /// Which secret of its token a presented string proves, in full, unless that secret is dead for good. Whether the token
    /// works at this moment does not matter.
    ///
    /// # Errors
    /// That it cannot be decided.
    pub(super) async fn prove_held(
        &mut self,
        caller: &Caller,
        presented: &Presented<'_>,
        arrival: &mut Arrival<'_>,
    ) -> Result<Option<Generation>, Error> {
        arrival.may_look().await?;
        let Finding { found, credential, .. } = self.find(presented.id).await?;
        let on_record = credential.ok_or(InactiveReason::Unknown).and_then(|credential| {
            if !caller.acts_on(&credential.token.workspace) {
                return Err(InactiveReason::Unknown);
            }
            let secret = credential.secrets().find(|secret| secret.tag == presented.tag);
            let secret = secret.ok_or(InactiveReason::Superseded)?;
            match secret.state {
                TokenState::Revoked => Err(InactiveReason::Revoked),
                TokenState::Invalidated => Err(InactiveReason::Invalidated),
                TokenState::Active | TokenState::Expired | TokenState::Suspended => Ok(secret.clone()),
            }
        });
        match on_record {
            Ok(secret) => {
                let proof = self.prove_secret(presented, &secret).await?;
                Ok(proof.map(|_| secret.generation))
            }
            Err(reason) => arrival.may_deny(reason, found).await.map(|()| None),
        }
    }

    async fn find(&mut self, id: TokenId) -> Result<Finding, Error> {
        let (begun, found) = match self.found.take() {
            Some(found) => found,
            None => (BootTime::now(), self.look().await),
        };
        let (begun, found) = self.found.insert((begun, found));
        let found = found.as_ref().map_err(StoreError::clone)?;
        let credential = found.of.get(&id).cloned();
        let revision = credential.as_ref().map_or(Revision::ZERO, |credential| credential.revision);
        Ok(Finding { begun: *begun, found: Position { history: found.history, revision }, credential })
    }

    async fn look(&self) -> Result<Arc<Credentials>, StoreError> {
        let ids: Vec<TokenId> = self.flights.keys().copied().collect();
        self.service.metrics.credentials_were_read(ids.len());
        self.service.reading.read(ids).await
    }

    /// argon2, unless it has proved this very secret before; gives what the secret is recognised by from now on.
    async fn prove_secret(
        &mut self,
        presented: &Presented<'_>,
        stored: &StoredSecret,
    ) -> Result<Option<Proof>, Error> {
        let Service { proofs, cache, metrics, keyring, hasher, .. } = self.service;
        let (id, generation) = (presented.id, stored.generation);
        let proof = cache.prover().proof(presented.text());
        if proofs.known(id, generation) == Some(proof) {
            metrics.proof_was_cached();
            return Ok(Some(proof));
        }
        if self.overloaded {
            return Err(Error::VerifierOverloaded);
        }
        let key = keyring.key(presented.kid).ok_or(Error::KeyUnavailable(presented.kid))?;
        let started = Instant::now();
        let proved = hasher.verify(&presented.secret, &key.pepper(), &stored.hash).await;
        let proved = proved.map_err(Error::from).inspect_err(|error| {
            self.overloaded = matches!(error, Error::VerifierOverloaded);
        })?;
        metrics.argon2_ran(Argon2Purpose::Verify, started.elapsed());
        if proved {
            proofs.remember(id, generation, proof);
        }
        Ok(proved.then_some(proof))
    }

    /// Keeps a live token at hand, if its secret is known.
    async fn remember(
        &mut self,
        (credential, secret): (Credential, StoredSecret),
        begun: BootTime,
        history: HistoryId,
        proof: Option<Proof>,
    ) -> Result<Live, Error> {
        let end =
            if seeded(Defect::OverlapNeverEnds) { credential.token.expire_time } else { secret.expire_time };
        let deadline = end.map(|time| deadline(time, credential.read_time, begun));
        let record = Arc::new(self.record(credential, &secret).await?);
        if let (Some(flight), Some(proof)) = (self.flights.get(&record.id), proof) {
            flight.land(Learned { record: Arc::clone(&record), proof, deadline }, history);
        }
        Ok(Live { record, deadline })
    }

    /// What introspections are answered from: what a token can do now is settled here, and nowhere else.
    async fn record(&self, credential: Credential, secret: &StoredSecret) -> Result<Record, Error> {
        let Service { store, profiles, .. } = self.service;
        let Credential { token, principal, profile, revision, .. } = credential;
        let profile = match profile {
            Some((name, version)) => Some(profiles.at_least(store, &name, version).await?),
            None => None,
        };
        let grants = profile.as_ref().and_then(|profile| profile.grants(token.token_type));
        let limits = principal.as_ref().map(|principal| &principal.scopes);
        let limits = limits.filter(|_| !seeded(Defect::EffectiveScopesAtCreation));
        let Token { audiences, allowed_cidrs, metadata, .. } = token;
        let extras = Extras { audiences, allowed_cidrs, metadata };
        Ok(Record {
            scopes: effective_scopes(&token.scopes, grants, limits).into(),
            id: token.id,
            workspace: token.workspace.into(),
            name: token.name,
            principal: token.principal.map(Arc::new),
            username: principal.and_then(|principal| principal.handle).map(Arc::new),
            token_type: token.token_type,
            external_id: token.external_id,
            profile: token.profile.map(Arc::new),
            extras: Arc::new(extras),
            expire_time: secret.expire_time.map(Into::into),
            create_time: token.create_time.into(),
            generation: secret.generation,
            revision,
        })
    }
}

/// The secret that is meant, if it is one of a token's that work.
fn living(
    credential: &Credential,
    is_meant: impl Fn(&StoredSecret) -> bool,
) -> Result<StoredSecret, InactiveReason> {
    let secret = credential.secrets().find(|secret| is_meant(secret)).ok_or(InactiveReason::Superseded)?;
    match secret.state {
        TokenState::Active => {}
        TokenState::Expired => return Err(InactiveReason::Expired),
        TokenState::Revoked => return Err(InactiveReason::Revoked),
        TokenState::Invalidated => return Err(InactiveReason::Invalidated),
        TokenState::Suspended => return Err(InactiveReason::Suspended),
    }
    let disabled = credential.principal.as_ref().is_some_and(|Limits { disabled, .. }| *disabled);
    if disabled { Err(InactiveReason::PrincipalDisabled) } else { Ok(secret.clone()) }
}
