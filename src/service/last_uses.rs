//! How often each token is used, and when last: counted in memory, written now and then, so that use costs no write.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use uuid::Uuid;

use super::committing::{Action, Committing, Mutation};
use super::{Caller, Error};
use crate::clock::BootTime;
use crate::fleet::Fleet;
use crate::metrics::{FlushResult, Metrics};
use crate::store::{Store, last_uses};
use crate::text::{Initiator, Reason};
use crate::token::{Etag, Precondition, Revision, TokenId};
use crate::uses::{Outbox, Report, Use, Used};
use crate::workspace::Limits;

/// For how long a secret must have been dead for its use to revoke the token, where that is asked for: longer than whoever
/// rotates takes to hand the new secret out and to restart what holds it, and than any request or retry that was under way
/// lasts. Who still uses it then has missed the rotation, or should not have it.
const GRACE: Duration = Duration::from_mins(10);

/// On whose behalf such a token is revoked.
const INITIATOR: &str = "tokenkeep";

/// Why.
const REASON: &str = "a replaced secret was used";

/// The uses that are not written yet, and who writes them.
#[derive(Debug)]
pub struct LastUses {
    store: Store,
    committing: Committing,
    fleet: Fleet,
    metrics: Metrics,
    outbox: Arc<Outbox>,
}

impl LastUses {
    pub(super) fn new(store: Store, committing: Committing, fleet: Fleet, metrics: Metrics) -> Self {
        Self { store, committing, fleet, metrics, outbox: Arc::new(Outbox::new(Uuid::new_v4())) }
    }

    /// Counts a use of a secret.
    pub(super) fn note(&self, token: TokenId, secret: Used, time: BootTime) {
        self.outbox.note(token, secret, time);
    }

    /// Where they are counted.
    #[must_use]
    pub const fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// Writes what was counted, and has tokens revoked whose dead secrets were used where that is asked for. What cannot be
    /// written is kept for the next time; what may have been is repeated, and counts once.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`] and its like.
    pub async fn flush(&self) -> Result<(), Error> {
        let mut handing = self.outbox.open().await;
        while let Some(report) = handing.report() {
            let written = self.write(report).await;
            let result = if written.is_ok() { FlushResult::Written } else { FlushResult::Failed };
            self.metrics.last_use_flushed(result);
            written?;
            handing.arrived();
        }
        Ok(())
    }

    async fn write(&self, report: &Report<BootTime>) -> Result<(), Error> {
        let report = report.timed(|moment| self.fleet.database_time(moment));
        let mut connection = self.store.connection().await?;
        last_uses::record(&mut connection, &report, None).await?;
        let dead: Vec<Use<SystemTime>> =
            report.uses.into_iter().filter(|used| used.secret == Used::Superseded).collect();
        if dead.is_empty() {
            return Ok(());
        }
        let misused = last_uses::misused(&mut connection, &dead, GRACE).await?;
        drop(connection);
        for (token, revision) in misused {
            self.revoke(token, revision).await?;
        }
        Ok(())
    }

    /// Revokes a token, unless it has changed: then it was regenerated again, or is revoked already, or the next use will
    /// tell.
    async fn revoke(&self, token: TokenId, revision: Revision) -> Result<(), Error> {
        let invalid = |invalid| Error::Internal(Box::new(invalid));
        let mutation = Mutation {
            token,
            caller: Caller::operator()?,
            initiator: Initiator::parse(INITIATOR.to_owned()).map_err(invalid)?,
            profile: None,
            limits: Limits::default(),
            precondition: Precondition::Match(Etag::of_revision(revision).as_str().to_owned()),
            action: Action::Revoke(Reason::parse(REASON.to_owned()).map_err(invalid)?),
            awaited: false,
        };
        match self.committing.commit(mutation).await {
            Ok(_) => tracing::warn!(%token, "a token was revoked, since a secret it had before was used"),
            Err(Error::EtagMismatch | Error::TokenNotFound(_)) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
