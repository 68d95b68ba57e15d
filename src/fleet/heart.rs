//! The heart of a server: it writes the server's row, and is the only one that does. A committed heartbeat renews the
//! lease; a row that is gone, or a database that is another, ends it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use uuid::Uuid;

use super::pace::Pace;
use super::{Beat, Shared};
use crate::clock::BootTime;
use crate::defect::{Defect, seeded};
use crate::feed::Confirmed;
use crate::lease::Offer;
use crate::metrics::HeartbeatResult;
use crate::revocation::{HistoryId, Position};
use crate::store::servers::{self, BeatRow, ServerId};
use crate::store::{Store, StoreError, log};
use crate::token::{Kid, Revision};

/// The longest that one attempt may take, from connecting to COMMIT. Then its connection is cut and the next one made.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the heart does next.
enum Cue {
    Beat,
    Acknowledge,
    Leave,
}

pub(super) struct Heart {
    shared: Arc<Shared>,
    store: Store,
    /// Everything that leads to the database.
    stores: Vec<Store>,
    /// The server keys that are held here.
    kids: Vec<Kid>,
    awaited: watch::Receiver<Revision>,
    /// What was acknowledged last.
    acknowledged: Option<Position>,
    /// Which history the last beat was of.
    history: Option<HistoryId>,
    pace: Pace,
    /// Whether the last beat failed, so that an outage is logged once.
    away: bool,
}

impl Heart {
    pub(super) fn new(shared: Arc<Shared>, store: Store, stores: Vec<Store>, kids: Vec<Kid>) -> Self {
        let (awaited, pace) = (shared.feed.awaited(), Pace::new(Instant::now()));
        Self { shared, store, stores, kids, awaited, acknowledged: None, history: None, pace, away: false }
    }

    /// Beats for the first time; for the second, if the first finds another database than the one on record. A row that
    /// was registered is taken back if that fails.
    pub(super) async fn start(mut self) -> Result<Self, StoreError> {
        while self.shared.beats.borrow().is_none() {
            if let Err(error) = bounded(self.beat()).await {
                if self.shared.row().is_some() {
                    self.leave().await;
                }
                return Err(error);
            }
        }
        Ok(self)
    }

    pub(super) async fn run(mut self) {
        loop {
            match self.next().await {
                Cue::Beat => self.try_to_beat().await,
                Cue::Acknowledge => self.acknowledge().await,
                Cue::Leave => break self.leave().await,
            }
        }
    }

    async fn next(&mut self) -> Cue {
        let shared = Arc::clone(&self.shared);
        loop {
            let Pace { asked, owed, .. } = self.pace;
            let (beat, acknowledgement) = (self.pace.beat(), self.pace.acknowledgement());
            tokio::select! {
                biased;
                () = shared.leaving.cancelled() => return Cue::Leave,
                () = sleep_until(beat) => return Cue::Beat,
                () = sleep_until(acknowledgement), if owed => return Cue::Acknowledge,
                () = shared.wanted.notified(), if !asked => self.pace.asked = true,
                () = self.something_to_acknowledge(), if !owed => self.pace.owed = true,
            }
        }
    }

    /// Somebody waits for what is acknowledged here, and it may have grown.
    async fn something_to_acknowledge(&mut self) {
        let Revision(awaited) = *self.awaited.borrow();
        let owed = self.acknowledged.is_none_or(|acknowledged| acknowledged.revision.0 < awaited);
        let run_out = self.shared.grants().next_end(BootTime::now()).filter(|_| owed);
        tokio::select! {
            // The tail, which tells it, lives as long as the feed that is held here.
            _ = self.awaited.changed() => {}
            () = self.shared.acknowledged.notified(), if owed => {}
            () = sleep_past(run_out) => {}
        }
    }

    async fn try_to_beat(&mut self) {
        self.pace.begin_beat();
        let begun = Instant::now();
        let beaten = bounded(self.beat()).await;
        self.pace.end_beat(begun, begun.elapsed(), matches!(beaten, Ok(HeartbeatResult::Confirmed)));
        self.shared.metrics.heart_has_beaten(*beaten.as_ref().unwrap_or(&HeartbeatResult::Failed));
        self.note(beaten.err());
    }

    fn note(&mut self, trouble: Option<StoreError>) {
        match trouble {
            None if std::mem::take(&mut self.away) => {
                tracing::info!("the database confirms heartbeats again");
            }
            Some(error) if !std::mem::replace(&mut self.away, true) => tracing::warn!(
                error = crate::telemetry::chain(&error),
                "the database does not confirm a heartbeat; the lease runs out unless it does soon"
            ),
            None | Some(_) => {}
        }
    }

    /// One heartbeat. What it found counts only once it is committed.
    async fn beat(&mut self) -> Result<HeartbeatResult, StoreError> {
        let row = *self.shared.row();
        let id = match row {
            Some(id) => id,
            None => self.register().await?,
        };
        let acknowledged = self.shared.acknowledged();
        let sent = BootTime::now();
        let mut transaction = self.store.begin().await?;
        let beaten = servers::beat(&mut transaction, id, acknowledged).await;
        match transaction.finish(beaten).await? {
            Some(BeatRow { head, longest_lease, time, moved: false }) => {
                self.acknowledged = acknowledged.or(self.acknowledged);
                self.take(Beat { sent, head, longest_lease, time });
                Ok(HeartbeatResult::Confirmed)
            }
            Some(BeatRow { moved: true, .. }) => self.begin_new_history().await,
            None => {
                self.lose_row();
                Ok(HeartbeatResult::RowLost)
            }
        }
    }

    /// The row is committed before the first heartbeat, so that whoever waits for everyone waits for us too.
    async fn register(&mut self) -> Result<ServerId, StoreError> {
        let id = ServerId(Uuid::now_v7());
        let mut transaction = self.store.begin().await?;
        let registered = servers::register(&mut transaction, id, self.shared.lease, &self.kids).await;
        transaction.finish(registered).await?;
        *self.shared.row() = Some(id);
        self.acknowledged = None;
        tracing::info!(server = %id.0, lease_seconds = self.shared.lease.as_secs_f64(), "joined the fleet");
        Ok(id)
    }

    fn take(&mut self, beat: Beat) {
        let before = self.history.replace(beat.head.history);
        if before.is_some_and(|before| before != beat.head.history) {
            tracing::error!(history = %beat.head.history.0, "the revision log has begun a new history");
            self.reconnect();
        } else if self.shared.cache.applied().is_some_and(|applied| applied.history != beat.head.history) {
            // The tail may read a deposed primary; or it has not looked yet.
            self.reconnect();
        }
        let shared = &self.shared;
        shared.heard().note(beat.head, BootTime::now());
        shared.cache.offer(Offer { until: beat.sent.after(shared.lease), needs: beat.head });
        shared.feed.confirm(Confirmed { sent: beat.sent, head: beat.head });
        if shared.cache.applied() != Some(beat.head) && !seeded(Defect::NotifyOnly) {
            shared.feed.look();
        }
        shared.beats.send_replace(Some(beat));
    }

    /// The others may have taken us for dead, and no longer wait for us.
    fn lose_row(&self) {
        tracing::warn!("no longer in the fleet; joining anew");
        self.shared.cache.lose_lease();
        *self.shared.row() = None;
    }

    /// The database is another than the one that this history was last written in: a standby that was promoted, or a
    /// backup that was restored. It may lack what was committed, so nothing known is of this history.
    async fn begin_new_history(&mut self) -> Result<HeartbeatResult, StoreError> {
        tracing::error!(
            "the database is another than before, by failover or restore; beginning a new history"
        );
        self.shared.cache.lose_lease();
        let mut transaction = self.store.begin().await?;
        let renewed = log::renew_history(&mut transaction, true).await;
        self.history = Some(transaction.finish(renewed).await?);
        self.reconnect();
        Ok(HeartbeatResult::Moved)
    }

    /// What is connected may lead to a deposed primary, which does not know that it is one.
    fn reconnect(&self) {
        self.shared.cache.lose_lease();
        for store in &self.stores {
            store.renew();
        }
        self.shared.feed.look();
    }

    /// Tells the others at once what is acknowledged. If that fails, the next heartbeat tells it.
    async fn acknowledge(&mut self) {
        let grown = self.shared.acknowledged().filter(|position| Some(*position) != self.acknowledged);
        let row = *self.shared.row();
        // What is only looked for costs nothing, and the sidecars' word for it is on its way.
        let (Some(position), Some(id)) = (grown, row) else { return self.pace.owe_nothing() };
        self.pace.begin_acknowledgement(Instant::now());
        let store = &self.store;
        match bounded(async { servers::acknowledge(&mut store.connection().await?, id, position).await })
            .await
        {
            Ok(()) => self.acknowledged = grown,
            Err(error) => {
                let error = crate::telemetry::chain(&error);
                tracing::debug!(error, "an acknowledgement was not written; the next heartbeat brings it");
            }
        }
    }

    /// No answer is given by our lease from here on. Sidecars that hold one of ours go on by it until it runs out, so
    /// that the row must stay for whoever waits; the others remove it.
    async fn leave(self) {
        self.shared.cache.lose_lease();
        let granted = self.shared.grants().live(BootTime::now());
        let row = *self.shared.row();
        if let Some(id) = row.filter(|_| granted == 0 || seeded(Defect::LeavesWithGrants)) {
            let left = bounded(async { servers::leave(&mut self.store.connection().await?, id).await });
            if let Err(error) = left.await {
                tracing::warn!(error = crate::telemetry::chain(&error), "the fleet was not told of leaving");
            }
        }
        tracing::info!(granted, "left the fleet");
        self.shared.left.cancel();
    }
}

/// An attempt that is dropped midway takes its connection with it.
async fn bounded<Done>(attempt: impl Future<Output = Result<Done, StoreError>>) -> Result<Done, StoreError> {
    let done = timeout(PATIENCE, Box::pin(attempt)).await;
    done.unwrap_or_else(|late| Err(StoreError::unavailable(late)))
}

async fn sleep_past(end: Option<BootTime>) {
    match end {
        Some(end) => sleep(end.since(BootTime::now()) + Duration::from_millis(1)).await,
        None => std::future::pending().await,
    }
}
