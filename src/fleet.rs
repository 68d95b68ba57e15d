//! The fleet: this server among all servers over the same database. It registers, renews its lease by committed
//! heartbeats, grants leases to sidecars, and knows when everybody has applied a change.

mod census;
mod heard;
mod heart;
mod pace;
mod waiting;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::cache::Cache;
use crate::clock::BootTime;
use crate::defect::{Defect, seeded};
use crate::feed::Feed;
use crate::lease::{GrantError, Grants, Holder, stretched};
use crate::metrics::{FleetWait, Metrics};
use crate::revocation::{Committed, Position};
use crate::store::servers::ServerId;
use crate::store::{Store, StoreError};
use crate::token::Kid;
use census::{Census, Everyone};
use heard::Heard;
use heart::Heart;
use waiting::Waiting;

/// How long whoever asks for a heartbeat waits for it.
const PATIENCE: Duration = Duration::from_secs(1);

/// The most sidecars that one server grants leases: each costs about 200 bytes.
const GRANTS: usize = 10_000;

/// A committed heartbeat: what it proves, it proves for the moment at which it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// When it was sent.
    pub sent: BootTime,
    /// Where the log ended.
    pub head: Position,
    /// How long the longest lease of a server lasts.
    pub longest_lease: Duration,
    /// What the database's clock showed.
    pub time: SystemTime,
}

/// What the fleet needs.
pub struct FleetOptions {
    /// The database, over connections of its own: heartbeats must not wait for requests.
    pub store: Store,
    /// Whatever else leads to the database: what was connected before a failover may lead to a deposed primary.
    pub others: Vec<Store>,
    /// What this server answers from.
    pub cache: Arc<Cache>,
    /// Hears of heartbeats, and applies the log.
    pub feed: Feed,
    /// Counts.
    pub metrics: Metrics,
    /// How long a lease lasts: design §6's L.
    pub lease: Duration,
    /// The server keys that this server holds, as long as it lives.
    pub kids: Vec<Kid>,
}

/// The database confirms nothing at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the database did not confirm a heartbeat in time")]
pub struct Unconfirmed;

/// This server's place in the fleet. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Fleet(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    cache: Arc<Cache>,
    feed: Feed,
    metrics: Metrics,
    lease: Duration,
    /// The row of this life of the server; `None` if there is none, as far as is known.
    row: Mutex<Option<ServerId>>,
    grants: Mutex<Grants>,
    /// The latest heartbeat.
    beats: watch::Sender<Option<Beat>>,
    heard: Mutex<Heard>,
    /// Somebody wants a heartbeat now.
    wanted: Notify,
    /// What is acknowledged may have grown otherwise than by the tail.
    acknowledged: Notify,
    everyone: watch::Sender<Everyone>,
    /// How many wait for everyone, so that everyone is looked at.
    waiting: watch::Sender<usize>,
    leaving: CancellationToken,
    left: CancellationToken,
}

impl Fleet {
    /// Registers this server and commits its first heartbeat, then goes on in a task that does not end before
    /// [`Fleet::leave`].
    ///
    /// # Errors
    /// [`StoreError`] if it cannot register, or the database confirms no heartbeat; the others are told if it registered.
    pub async fn start(options: FleetOptions) -> Result<(Self, JoinHandle<()>), StoreError> {
        let FleetOptions { store, mut others, cache, feed, metrics, lease, kids } = options;
        let fleet = Self(Arc::new(Shared {
            cache,
            feed,
            metrics,
            lease,
            row: Mutex::new(None),
            grants: Mutex::new(Grants::new(GRANTS)),
            beats: watch::Sender::new(None),
            heard: Mutex::new(Heard::default()),
            wanted: Notify::new(),
            acknowledged: Notify::new(),
            everyone: watch::Sender::new(Everyone::UNKNOWN),
            waiting: watch::Sender::new(0),
            leaving: CancellationToken::new(),
            left: CancellationToken::new(),
        }));
        others.push(store.clone());
        let heart = Heart::new(Arc::clone(&fleet.0), store.clone(), others, kids);
        let heart = heart.start().await?;
        let census = Census::new(Arc::clone(&fleet.0), store);
        let task = tokio::spawn(async move {
            tokio::select! {
                () = heart.run() => {}
                () = census.run() => {}
            }
        });
        Ok((fleet, task))
    }

    /// How long a lease lasts.
    #[must_use]
    pub fn lease_length(&self) -> Duration {
        self.0.lease
    }

    /// Has the database commit a heartbeat that begins after this call, at once if need be (but no more than about 100 a
    /// second), and waits for it, at most a second.
    ///
    /// # Errors
    /// [`Unconfirmed`].
    pub async fn confirm(&self) -> Result<Beat, Unconfirmed> {
        let asked = BootTime::now();
        self.0.wanted.notify_one();
        self.beat_where(|beat| beat.sent > asked).await
    }

    /// Waits for a heartbeat that confirms all of the log up to a place, whenever it began, or else for one that begins
    /// after this call, as [`Fleet::confirm`].
    ///
    /// # Errors
    /// [`Unconfirmed`].
    pub async fn confirm_place(&self, place: Position) -> Result<Beat, Unconfirmed> {
        let asked = BootTime::now();
        if let Some(beat) = self.0.beats.borrow().filter(|beat| beat.head.reaches(place)) {
            return Ok(beat);
        }
        self.0.wanted.notify_one();
        self.beat_where(|beat| beat.sent > asked || beat.head.reaches(place)).await
    }

    /// Waits for the next heartbeat that begins after this call, without asking for one, at most a second.
    ///
    /// # Errors
    /// [`Unconfirmed`].
    pub async fn next_beat(&self) -> Result<Beat, Unconfirmed> {
        if seeded(Defect::RenewalWithoutBeat) {
            return self.0.beats.borrow().ok_or(Unconfirmed);
        }
        let asked = BootTime::now();
        self.beat_where(|beat| beat.sent > asked).await
    }

    async fn beat_where(&self, will_do: impl Fn(Beat) -> bool) -> Result<Beat, Unconfirmed> {
        let mut beats = self.0.beats.subscribe();
        let awaited = beats.wait_for(|beat| beat.is_some_and(&will_do));
        let beat = timeout(PATIENCE, awaited).await.map_err(|_| Unconfirmed)?.map_err(|_| Unconfirmed)?;
        (*beat).ok_or(Unconfirmed)
    }

    /// Records a sidecar's lease, before it is answered; it is counted from now, which is later than when it was asked
    /// for. Gives up to where the log is applied here once that is recorded: the sidecar must have applied as much, besides
    /// what a heartbeat begun after it asked has found, before it uses the lease.
    ///
    /// # Errors
    /// [`GrantError::Full`], also once this server leaves the fleet.
    pub fn grant(&self, holder: Holder) -> Result<Option<Position>, GrantError> {
        let mut grants = self.0.grants();
        if self.0.leaving.is_cancelled() {
            return Err(GrantError::Full);
        }
        let now = BootTime::now();
        grants.grant(holder, now.after(stretched(self.0.lease)), now)?;
        drop(grants);
        // Whoever found before this that everybody here had applied something, found that it was applied here.
        Ok(self.0.cache.applied())
    }

    /// A sidecar has applied everything up to a position.
    ///
    /// # Errors
    /// [`GrantError::Unknown`].
    pub fn acknowledge(&self, holder: Holder, applied: Position) -> Result<(), GrantError> {
        self.0.grants().acknowledge(holder, applied, BootTime::now())?;
        self.0.acknowledged.notify_one();
        Ok(())
    }

    /// A sidecar has given its lease up.
    pub fn release(&self, holder: Holder) {
        self.0.grants().release(holder);
        self.0.acknowledged.notify_one();
    }

    /// How many leases of sidecars are live.
    #[must_use]
    pub fn granted(&self) -> usize {
        self.0.grants().live(BootTime::now())
    }

    /// Waits until no cache of ours answers from before a change that was committed before this call: every server has
    /// acknowledged it in the history it was committed in, or every lease has run out that was asked for before it was
    /// committed. It needs no database: that only makes it shorter.
    pub async fn everywhere(&self, change: Committed) {
        if seeded(Defect::FleetNotAwaited) {
            return;
        }
        let asked = BootTime::now();
        let _waiting = Waiting::join(&self.0);
        let wait = tokio::select! {
            () = self.everyone_acknowledges(change.position, asked) => FleetWait::Acknowledged,
            () = self.every_lease_runs_out(change, asked) => FleetWait::RanOut,
        };
        self.0.metrics.fleet_was_waited_for(wait, BootTime::now().since(asked));
    }

    /// The table must be looked at after the commit: a server that is not in it by then starts from what was committed.
    async fn everyone_acknowledges(&self, position: Position, asked: BootTime) {
        let mut everyone = self.0.everyone.subscribe();
        let acknowledged = everyone.wait_for(|everyone| {
            let reached = everyone.acknowledged.is_some_and(|reached| reached.reaches(position));
            everyone.asked > asked && reached
        });
        if acknowledged.await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// It is known to be committed since it was first heard of, at the latest since somebody asks.
    async fn every_lease_runs_out(&self, change: Committed, asked: BootTime) {
        let since = self.0.heard().known_since(change.position).unwrap_or(asked);
        let end = since.after(stretched(change.longest_lease.max(self.0.lease)));
        tokio::time::sleep(end.since(BootTime::now())).await;
    }

    /// About what the database's clock shows at a moment.
    #[must_use]
    pub fn database_time(&self, at: BootTime) -> SystemTime {
        let Some(Beat { sent, time, .. }) = *self.0.beats.borrow() else { return SystemTime::UNIX_EPOCH };
        if at >= sent { time + at.since(sent) } else { time - sent.since(at) }
    }

    /// Leaves the fleet: no lease is held any more, and if no sidecar holds one of ours either, the others are told.
    pub async fn leave(&self) {
        self.0.leaving.cancel();
        self.0.left.cancelled().await;
    }
}

impl Shared {
    fn grants(&self) -> MutexGuard<'_, Grants> {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn row(&self) -> MutexGuard<'_, Option<ServerId>> {
        self.row.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Up to where this server, and every sidecar that it granted a lease, have applied the log.
    fn acknowledged(&self) -> Option<Position> {
        // Before the grants are looked at; see `Fleet::grant`.
        let applied = self.cache.applied()?;
        if seeded(Defect::GrantsIgnored) {
            return Some(applied);
        }
        self.grants().acknowledged(applied, BootTime::now())
    }
}
