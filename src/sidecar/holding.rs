//! Holding the lease: renewed three times in its length, each counted from the moment at which it was asked for.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tonic::Status;

use super::failure::Failure;
use super::upstream::{Connections, within};
use super::{Sidecar, Trust, words};
use crate::clock::BootTime;
use crate::defect::{Defect, seeded};
use crate::lease::Offer;
use crate::proto::v1;

/// How long a renewal may take: a server answers after its next heartbeat.
const RENEWAL: Duration = Duration::from_secs(1);

/// The pause after a renewal that failed.
const PAUSE: Duration = Duration::from_millis(100);

/// A lease as it was granted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grant {
    pub(super) offer: Offer,
    /// When the next one is due.
    pub(super) renew_at: BootTime,
}

/// Renews the lease until the server is found to be of another history, or refuses. That a server cannot renew does not
/// end the session: the stream tells whether it is there.
pub(super) async fn hold(sidecar: Arc<Sidecar>, connections: Arc<Connections>, mut grant: Grant) -> Failure {
    loop {
        sleep(grant.renew_at.since(BootTime::now())).await;
        match sidecar.renew(&connections).await {
            Ok(renewed) => {
                let history = renewed.offer.needs.history;
                if sidecar.position().is_none_or(|position| position.history != history) {
                    return Failure::Astray("the history has changed".to_owned());
                }
                sidecar.cache.offer(renewed.offer);
                grant = renewed;
            }
            Err(Failure::Away(status)) => {
                tracing::debug!(reason = status.message(), "the lease was not renewed; trying on");
                sleep(PAUSE).await;
            }
            Err(failure) => return failure,
        }
    }
}

impl Sidecar {
    /// Asks for a lease, and learns by what forged tokens are told.
    pub(super) async fn renew(&self, connections: &Connections) -> Result<Grant, Failure> {
        let released = self.released.read().await;
        if *released {
            return Err(Failure::Away(Status::unavailable("the lease is given up")));
        }
        let position = self.position();
        let request = v1::RenewLeaseRequest {
            sidecar_id: self.id.to_string(),
            history: position.map_or_else(String::new, |position| position.history.0.to_string()),
            applied_revision: position.map_or(0, |position| position.revision.0),
        };
        // The lease counts from here, not from when it is heard of.
        let sent = BootTime::now();
        let answer = within(RENEWAL, connections.lease.clone().renew_lease(request)).await?;
        let sent = if seeded(Defect::LeaseFromReceipt) { BootTime::now() } else { sent };
        let unreadable = || Failure::Astray("a lease cannot be read".to_owned());
        let (length, needs) = words::lease(&answer).ok_or_else(unreadable)?;
        let keys = words::tag_keys(answer.tag_keys).ok_or_else(unreadable)?;
        self.may_judge_by(Trust { keys, tells_reasons: answer.tells_inactive_reasons });
        Ok(Grant { offer: Offer { until: sent.after(length), needs }, renew_at: sent.after(length / 3) })
    }

    /// Gives the lease up, for good: nothing is answered by it any more, and the server is told so, once it has answered
    /// every renewal, so that none is granted after that.
    pub async fn release(&self) {
        *self.released.write().await = true;
        self.cache.lose_lease();
        let (Some(link), Some(position)) = (self.links.get(), self.position()) else { return };
        let told = self.tell(&link.connections, position, true).await;
        if let Err(failure) = told {
            tracing::debug!(reason = failure.reason(), "the server was not told that the lease is given up");
        }
    }
}
