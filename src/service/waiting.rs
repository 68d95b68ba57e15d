//! Waiting until a change has taken effect in every cache.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::{Error, Service};
use crate::feed::Reading;
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
        let applied = *self.feed.applied().borrow();
        if applied.is_none_or(|applied| applied.revision < revision) {
            let head = Reading::of_head(&self.store).await?.head;
            if head.position.revision < revision {
                return Err(Error::RevisionAhead);
            }
        }
        Ok(self.wait_for_fleet(revision, deadline).await)
    }

    /// Waits until no cache answers from before a revision that was committed, but not up to a deadline. Tells whether
    /// that came about.
    pub async fn wait_for_fleet(&self, revision: Revision, deadline: Option<Instant>) -> bool {
        let everywhere = async {
            self.fleet.everywhere(revision).await;
            true
        };
        let Some(deadline) = deadline.and_then(|deadline| deadline.checked_sub(MARGIN)) else {
            return everywhere.await;
        };
        timeout_at(deadline, everywhere).await.unwrap_or(false)
    }
}
