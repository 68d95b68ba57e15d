//! Forgetting what must not be kept: replay keys once their day is over, requests once nobody may repeat them, and the audit
//! once it is old.

use std::sync::Arc;
use std::time::Duration;

use crate::keyring::{KeyringError, ReplayKeys, oldest_day, today};
use crate::request::Day;
use crate::store::{Store, StoreError, audit, requests};

/// How often it is looked for what is to be forgotten.
const INTERVAL: Duration = Duration::from_mins(1);

/// How many rows go at once.
const BATCH: usize = 10_000;

/// Why a server must not seal secrets together with the others.
#[derive(Debug, thiserror::Error)]
pub enum ReplayKeyError {
    /// Its replay key is none of theirs.
    #[error(
        "the file `replay` in the keyring is not that of the other servers over this database; copy theirs, which each \
         server keeps up to date for itself"
    )]
    Another,
    /// The database cannot be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes sure that all servers seal with the same keys, today and tomorrow.
pub(super) async fn agree(
    store: &Store,
    replay: &ReplayKeys,
    window: Duration,
) -> Result<(), ReplayKeyError> {
    let days = oldest_day(window).0..=today().0 + 1;
    let own: Vec<(Day, String)> =
        days.filter_map(|day| Some((Day(day), replay.fingerprint_of(Day(day))?))).collect();
    let entered = requests::agree_on_replay_keys(&mut store.connection().await?, &own).await?;
    if entered == own { Ok(()) } else { Err(ReplayKeyError::Another) }
}

/// What is to be forgotten, and for how long it is kept.
pub(super) struct Forgetting {
    pub(super) store: Store,
    pub(super) replay: Arc<ReplayKeys>,
    pub(super) request_window: Duration,
}

/// Why something is still there.
#[derive(Debug, thiserror::Error)]
enum ForgettingError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the replay keys of past days are still in the file")]
    Keyring(#[from] KeyringError),
    #[error(transparent)]
    Replay(#[from] ReplayKeyError),
}

impl Forgetting {
    /// Forgets again and again, and never ends. Any number of servers may do it at the same time.
    pub(super) async fn keep_forgetting(self, audit_retention: Duration) {
        let mut failed = false;
        loop {
            match self.forget(audit_retention).await {
                Ok(()) => failed = false,
                Err(error) if !std::mem::replace(&mut failed, true) => {
                    let error = crate::telemetry::chain(&error);
                    tracing::warn!(error, "what is over cannot be forgotten; trying on");
                }
                Err(_) => {}
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    async fn forget(&self, audit_retention: Duration) -> Result<(), ForgettingError> {
        self.replay.destroy_before(oldest_day(self.request_window))?;
        agree(&self.store, &self.replay, self.request_window).await?;
        let mut connection = self.store.connection().await?;
        while requests::forget(&mut connection, self.request_window, BATCH).await? == BATCH {}
        while audit::forget(&mut connection, audit_retention, BATCH).await? == BATCH {}
        Ok(())
    }
}
