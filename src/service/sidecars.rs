//! What caches beside our callers live on: leases, records and last uses.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use secrecy::SecretString;
use uuid::Uuid;

use super::freshness::Arrival;
use super::proving::{Live, Proved, Question};
use super::search::Search;
use super::{Caller, Error, Permission, Reach, Service};
use crate::clock::BootTime;
use crate::introspection::{Freshness, InactiveReason, Record};
use crate::keyring::TagKey;
use crate::lease::Holder;
use crate::metrics::IntrospectionResult;
use crate::revocation::{HistoryId, Position};
use crate::store::last_uses;
use crate::token::{Generation, Kid, TokenId};
use crate::uses::Report;

/// A sidecar asks for a lease.
#[derive(Debug)]
pub struct Renewal {
    /// The id it made up.
    pub sidecar: Uuid,
    /// Up to where it has applied the log, if it follows it already.
    pub applied: Option<Position>,
}

/// A lease as it is granted.
#[derive(Debug)]
pub struct Grant {
    /// It holds once everything up to here is applied.
    pub needs: Position,
    /// How long it lasts, from the moment it was asked for.
    pub length: Duration,
    /// What forged tokens are told by.
    pub tag_keys: Vec<(Kid, TagKey)>,
    /// Whether the sidecar may tell why a token is not active.
    pub tells_inactive_reasons: bool,
}

/// A sidecar says how far it has come.
#[derive(Debug)]
pub struct Acknowledgement {
    /// The id it made up.
    pub sidecar: Uuid,
    /// Everything up to here is applied.
    pub applied: Position,
    /// Whether it gives its lease up.
    pub released: bool,
}

/// Which tokens a sidecar wants to know of, and how fresh the answer must be.
#[derive(Debug)]
pub struct Inquiry<Named> {
    /// How each is named.
    pub tokens: Vec<Named>,
    /// The history that the sidecar follows and that its revisions are of; `None` if it follows none and remembers nothing.
    pub history: Option<HistoryId>,
    /// No answer is from before this.
    pub freshness: Freshness,
}

/// What one token is now.
#[derive(Debug)]
pub enum Resolution {
    /// It lives.
    Live {
        /// What introspections are answered from.
        record: Arc<Record>,
        /// How long it lives on, counted from a moment after the request had arrived; `None` for ever.
        expires_in: Option<Duration>,
    },
    /// It does not; the reason only for callers granted it.
    Inactive(Option<InactiveReason>),
}

impl Service {
    /// Grants a lease, or renews one, by a heartbeat that begins after the call.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`] if the heart does not beat, [`Error::TooManyLeases`], [`Error::LeaseLost`] while
    /// the history changes.
    pub async fn renew_lease(&self, caller: &Caller, renewal: Renewal) -> Result<Grant, Error> {
        let holder = Holder { caller: caller.token(), sidecar: renewal.sidecar };
        let beat = self.fleet.next_beat().await?;
        // Whatever this server acknowledges once the grant is on record, the sidecar must have acknowledged too; whatever
        // it has acknowledged before, the lease needs.
        let applied = self.fleet.grant(holder)?.ok_or(Error::LeaseLost)?;
        if applied.history != beat.head.history {
            return Err(Error::LeaseLost);
        }
        if let Some(applied) = renewal.applied.filter(|theirs| theirs.history == applied.history) {
            self.fleet.acknowledge(holder, applied)?;
        }
        let needs = Position { revision: applied.revision.max(beat.head.revision), ..applied };
        let tag_keys = self.keyring.tags().iter().map(|(kid, key)| (kid, key.clone())).collect();
        let tells_inactive_reasons = caller.may(Permission::LearnInactiveReason);
        Ok(Grant { needs, length: self.fleet.lease_length(), tag_keys, tells_inactive_reasons })
    }

    /// Takes note of how far a sidecar has applied the log.
    ///
    /// # Errors
    /// [`Error::LeaseUnknown`], [`Error::HistoryForeign`].
    pub fn acknowledge(&self, caller: &Caller, acknowledgement: &Acknowledgement) -> Result<(), Error> {
        let holder = Holder { caller: caller.token(), sidecar: acknowledgement.sidecar };
        if acknowledgement.released {
            self.fleet.release(holder);
            return Ok(());
        }
        self.require_history(acknowledgement.applied.history)?;
        Ok(self.fleet.acknowledge(holder, acknowledgement.applied)?)
    }

    /// Judges presented tokens, and tells the records of those that live.
    ///
    /// # Errors
    /// [`Error::HistoryForeign`], [`Error::RevisionNotReached`].
    pub async fn resolve_tokens(
        &self,
        caller: &Caller,
        inquiry: &Inquiry<SecretString>,
    ) -> Result<Vec<Result<Resolution, Error>>, Error> {
        self.require_same_history(inquiry.history)?;
        let freshness = Freshness::AtLeast(Arrival::now(self).reach(inquiry.freshness).await?);
        // Where a token is presented is for the sidecar to judge.
        let questions = inquiry.tokens.iter().map(|text| Question {
            text: text.into(),
            caller: Some(caller),
            workspace: None,
            place: None,
            freshness,
        });
        let questions: Vec<_> = questions.collect();
        let proved = self.prove_all(&questions).await;
        self.require_same_history(inquiry.history)?;
        Ok(self.resolutions(caller, proved))
    }

    /// Tells what tokens are now of which a secret was proved before; this is no use of them.
    ///
    /// # Errors
    /// As [`Service::resolve_tokens`].
    pub async fn revalidate_tokens(
        &self,
        caller: &Caller,
        inquiry: &Inquiry<(TokenId, Generation)>,
    ) -> Result<Vec<Result<Resolution, Error>>, Error> {
        self.require_same_history(inquiry.history)?;
        let mut arrival = Arrival::now(self);
        arrival.reach(inquiry.freshness).await?;
        let mut search = Search::of(self, inquiry.tokens.iter().map(|(id, _)| *id));
        let mut proved = Vec::with_capacity(inquiry.tokens.len());
        for token in &inquiry.tokens {
            let admits = |workspace: &_| {
                if caller.acts_on(workspace) { Ok(()) } else { Err(InactiveReason::Unknown) }
            };
            proved.push(search.judge_again(admits, *token, &mut arrival).await);
        }
        self.require_same_history(inquiry.history)?;
        Ok(self.resolutions(caller, proved))
    }

    /// Writes how often tokens were used that the caller acts on, and how long ago, unless this report was written before; of
    /// others nothing is written, nor told.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`] and its like: to be repeated as it is.
    pub async fn report_usage(&self, caller: &Caller, report: &Report<Duration>) -> Result<(), Error> {
        let now = self.fleet.database_time(BootTime::now());
        let report = report.timed(|age| now.checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH));
        let reach = caller.reach();
        let workspace = match &reach {
            Reach::Every => None,
            Reach::One(workspace) => Some(workspace),
        };
        let mut connection = self.store.connection().await?;
        Ok(last_uses::record(&mut connection, &report, workspace).await?)
    }

    /// Whether what a sidecar follows, if it follows anything, is followed here.
    pub(super) fn require_same_history(&self, theirs: Option<HistoryId>) -> Result<(), Error> {
        theirs.map_or(Ok(()), |history| self.require_history(history))
    }

    /// Revisions mean nothing across histories. No history comes back, so whoever finds the same one before and after has
    /// had it all the time.
    fn require_history(&self, history: HistoryId) -> Result<(), Error> {
        match self.cache.applied() {
            None => Err(Error::LeaseLost),
            Some(applied) if applied.history == history => Ok(()),
            Some(_) => Err(Error::HistoryForeign),
        }
    }

    fn resolutions(
        &self,
        caller: &Caller,
        proved: Vec<Result<Proved, Error>>,
    ) -> Vec<Result<Resolution, Error>> {
        proved.into_iter().map(|proved| Ok(self.resolution(caller, self.decided(proved)?))).collect()
    }

    fn resolution(&self, caller: &Caller, proved: Proved) -> Resolution {
        match proved {
            Err(reason) => Resolution::Inactive(self.tell_inactive(caller, reason)),
            Ok(Live { record, deadline }) => {
                self.metrics.introspected(IntrospectionResult::Active);
                let expires_in = deadline.map(|deadline| deadline.since(BootTime::now()));
                Resolution::Live { record, expires_in }
            }
        }
    }
}
