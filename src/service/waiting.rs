//! Waiting until a change has taken effect in every cache.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::{Error, Service};
use crate::fleet::Beat;
use crate::revocation::{Committed, Position};
use crate::token::Revision;

/// How long before its deadline a wait is given up, so that its answer still arrives.
const MARGIN: Duration = Duration::from_millis(100);

impl Service {
    /// Waits until no cache answers from before a revision, but not up to a deadline. Tells whether that came about.
    ///
    /// # Errors
    /// [`Error::RevisionAhead`] if there is no such revision yet, or that this cannot be known now.
    pub async fn wait_for_revision(
        &self,
        revision: Revision,
        deadline: Option<Instant>,
    ) -> Result<bool, Error> {
        let Beat { head, longest_lease, .. } = self.fleet.confirm().await?;
        if head.revision < revision {
            return Err(Error::RevisionAhead);
        }
        let position = Position { revision, ..head };
        Ok(self.wait_for_fleet(Committed { position, longest_lease }, deadline).await)
    }

    /// Waits until no cache answers from before a change that was committed, but not up to a deadline. Tells whether that
    /// came about.
    pub(super) async fn wait_for_fleet(&self, change: Committed, deadline: Option<Instant>) -> bool {
        let everywhere = async {
            self.fleet.everywhere(change).await;
            true
        };
        let Some(deadline) = deadline.and_then(|deadline| deadline.checked_sub(MARGIN)) else {
            return everywhere.await;
        };
        timeout_at(deadline, everywhere).await.unwrap_or(false)
    }
}
