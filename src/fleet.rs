//! The fleet: this server among all servers over the same database. It registers, renews its lease by committed
//! heartbeats, grants leases to sidecars, and knows when everybody has applied a change.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::JoinHandle;

use crate::cache::Cache;
use crate::clock::BootTime;
use crate::feed::Feed;
use crate::lease::{GrantError, Holder};
use crate::metrics::Metrics;
use crate::revocation::Position;
use crate::store::{Store, StoreError};
use crate::token::Revision;

/// A committed heartbeat: what it proves, it proves for the moment at which it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// When it was sent.
    pub sent: BootTime,
    /// Where the log ended.
    pub head: Position,
    /// What the database's clock showed.
    pub time: SystemTime,
}

/// What the fleet needs.
pub struct FleetOptions {
    /// The database, over connections of its own: heartbeats must not wait for requests.
    pub store: Store,
    /// What this server answers from.
    pub cache: Arc<Cache>,
    /// Hears of heartbeats, and applies the log.
    pub feed: Feed,
    /// Counts.
    pub metrics: Metrics,
    /// How long a lease lasts: design §6's L.
    pub lease: Duration,
}

/// The database confirms nothing at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the database did not confirm a heartbeat in time")]
pub struct Unconfirmed;

/// This server's place in the fleet. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Fleet(/* the body */);

impl Fleet {
    /// Registers this server and commits its first heartbeat, then goes on in a task that never ends of itself.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot register.
    pub async fn start(_options: FleetOptions) -> Result<(Self, JoinHandle<()>), StoreError> {
        std::future::pending().await
    }

    /// How long a lease lasts.
    #[must_use]
    pub fn lease_length(&self) -> Duration {
        Duration::from_secs(3)
    }

    /// Has the database commit a heartbeat that begins after this call, at once if need be (but no more than about 50 a
    /// second), and waits for it, at most a second.
    ///
    /// # Errors
    /// [`Unconfirmed`].
    pub async fn confirm(&self) -> Result<Beat, Unconfirmed> {
        std::future::pending().await
    }

    /// Waits for the next heartbeat that begins after this call, without asking for one, at most a second.
    ///
    /// # Errors
    /// [`Unconfirmed`].
    pub async fn next_beat(&self) -> Result<Beat, Unconfirmed> {
        std::future::pending().await
    }

    /// Records a sidecar's lease, before it is answered; it is counted from now, which is later than when it was asked for.
    ///
    /// # Errors
    /// [`GrantError::Full`].
    pub fn grant(&self, _holder: Holder) -> Result<(), GrantError> {
        Ok(())
    }

    /// A sidecar has applied everything up to a position.
    ///
    /// # Errors
    /// [`GrantError::Unknown`].
    pub fn acknowledge(&self, _holder: Holder, _applied: Position) -> Result<(), GrantError> {
        Ok(())
    }

    /// A sidecar has given its lease up.
    pub fn release(&self, _holder: Holder) {}

    /// Waits until no cache of ours answers from before a revision that was committed before this call.
    pub async fn everywhere(&self, _revision: Revision) {
        std::future::pending().await
    }

    /// About what the database's clock shows at a moment.
    #[must_use]
    pub fn database_time(&self, _at: BootTime) -> SystemTime {
        SystemTime::UNIX_EPOCH
    }

    /// Leaves the fleet: no lease is held any more, and if no sidecar holds one of ours either, the others are told.
    pub async fn leave(&self) {
        std::future::pending().await
    }
}
