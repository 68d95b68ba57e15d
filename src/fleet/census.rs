//! Looking at every server's row: what all have acknowledged, how long a lease lasts at most, and who is no more.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::Shared;
use crate::clock::BootTime;
use crate::revocation::Position;
use crate::store::servers::{self, ServerId, ServerRow};
use crate::store::{Store, StoreError};

/// How often the rows are looked at when nobody waits.
const INTERVAL: Duration = Duration::from_secs(1);

/// How often they are looked at when somebody waits: at first, and once that has lasted.
const HASTE: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(20));

/// How long it is hurried so, from when somebody more began to wait. Most are answered by then.
const HURRY: Duration = Duration::from_millis(50);

/// The longest that one look may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the rows said when they were last read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Everyone {
    /// They were asked for after this.
    pub(super) asked: BootTime,
    /// Up to where everybody has applied the log; `None` if they do not all speak of one history.
    pub(super) acknowledged: Option<Position>,
}

impl Everyone {
    /// Before the rows were read.
    pub(super) const UNKNOWN: Self = Self { asked: BootTime::ZERO, acknowledged: None };
}

/// The task that looks.
pub(super) struct Census {
    shared: Arc<Shared>,
    store: Store,
    sightings: Sightings,
    /// Whether the last look failed, so that an outage is logged once.
    away: bool,
}

impl Census {
    pub(super) fn new(shared: Arc<Shared>, store: Store) -> Self {
        Self { shared, store, sightings: Sightings::default(), away: false }
    }

    pub(super) async fn run(mut self) {
        let mut waiting = self.shared.waiting.subscribe();
        let (mut count, mut hurried) = (0, BootTime::ZERO);
        loop {
            let now = *waiting.borrow_and_update();
            if now > std::mem::replace(&mut count, now) {
                hurried = BootTime::now();
            }
            self.look().await;
            let pause = match count {
                0 => INTERVAL,
                _ if BootTime::now().since(hurried) < HURRY => HASTE.0,
                _ => HASTE.1,
            };
            let _ = timeout(pause, waiting.wait_for(|waiting| *waiting > count)).await;
        }
    }

    async fn look(&mut self) {
        let asked = BootTime::now();
        let read = timeout(PATIENCE, self.read()).await;
        match read.unwrap_or_else(|late| Err(StoreError::unavailable(late))) {
            Ok(rows) => self.take(asked, &rows).await,
            Err(error) if !std::mem::replace(&mut self.away, true) => {
                tracing::warn!(error = crate::telemetry::chain(&error), "the fleet cannot be seen");
            }
            Err(_) => {}
        }
    }

    async fn read(&self) -> Result<Vec<ServerRow>, StoreError> {
        servers::list(&mut self.store.connection().await?).await
    }

    async fn take(&mut self, asked: BootTime, rows: &[ServerRow]) {
        self.away = false;
        let own = *self.shared.row();
        let others: Vec<ServerRow> = rows.iter().filter(|row| Some(row.id) != own).copied().collect();
        let lease = others.iter().map(|row| row.lease).fold(self.shared.lease, Duration::max);
        let acknowledged = self.shared.acknowledged().and_then(|own| acknowledged_by_all(own, &others));
        self.shared.everyone.send_replace(Everyone { asked, acknowledged });
        for dead in self.sightings.of(&others, lease, asked, BootTime::now()) {
            // Whoever fails here sees it dead again.
            if let Ok(Ok(true)) = timeout(PATIENCE, self.remove(dead)).await {
                tracing::warn!(server = %dead.id.0, "a server of the fleet is no more");
            }
        }
    }

    async fn remove(&self, dead: ServerRow) -> Result<bool, StoreError> {
        servers::remove(&mut self.store.connection().await?, dead.id, dead.beat).await
    }
}

fn acknowledged_by_all(own: Position, others: &[ServerRow]) -> Option<Position> {
    others.iter().try_fold(own, |all, row| {
        let same = row.acknowledged.history == all.history;
        same.then(|| Position { revision: all.revision.min(row.acknowledged.revision), ..all })
    })
}

/// Which beat of each server was seen first when.
#[derive(Debug, Default)]
struct Sightings(BTreeMap<ServerId, (i64, BootTime)>);

impl Sightings {
    /// Takes note of the rows, which were read between two moments; gives those of servers whose heart has not beaten for
    /// twice as long as any lease lasts: they hold none, and neither does anybody to whom they granted one.
    fn of(
        &mut self,
        rows: &[ServerRow],
        longest_lease: Duration,
        asked: BootTime,
        answered: BootTime,
    ) -> Vec<ServerRow> {
        let before = std::mem::take(&mut self.0);
        let mut dead = Vec::new();
        for row in rows {
            let seen = before.get(&row.id).filter(|(beat, _)| *beat == row.beat);
            let since = seen.map_or(answered, |(_, since)| *since);
            self.0.insert(row.id, (row.beat, since));
            if asked.since(since) > 2 * longest_lease {
                dead.push(*row);
            }
        }
        dead
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::revocation::HistoryId;
    use crate::token::Revision;

    const LEASE: Duration = Duration::from_secs(3);

    fn at(history: u128, revision: i64) -> Position {
        Position { history: HistoryId(Uuid::from_u128(history)), revision: Revision(revision) }
    }

    fn row(id: u128, beat: i64, acknowledged: Position) -> ServerRow {
        ServerRow { id: ServerId(Uuid::from_u128(id)), beat, acknowledged, lease: LEASE }
    }

    fn time(milliseconds: u64) -> BootTime {
        BootTime::from_start(Duration::from_millis(milliseconds))
    }

    #[test]
    fn all_have_acknowledged_what_the_last_of_them_has() {
        let others = [row(1, 1, at(1, 7)), row(2, 1, at(1, 5))];
        assert_eq!(acknowledged_by_all(at(1, 9), &others), Some(at(1, 5)));
        assert_eq!(acknowledged_by_all(at(1, 4), &others), Some(at(1, 4)));
        assert_eq!(acknowledged_by_all(at(1, 9), &[]), Some(at(1, 9)));
    }

    #[test]
    fn who_speaks_of_another_history_has_acknowledged_nothing() {
        assert_eq!(acknowledged_by_all(at(1, 9), &[row(1, 1, at(1, 9)), row(2, 1, at(2, 99))]), None);
    }

    #[test]
    fn only_a_heart_that_stands_still_for_twice_a_lease_is_dead() {
        let mut sightings = Sightings::default();
        let mut dead = |beats: [i64; 2], asked: u64| {
            let rows = [row(1, beats[0], at(1, 1)), row(2, beats[1], at(1, 1))];
            let dead = sightings.of(&rows, LEASE, time(asked), time(asked + 500));
            dead.into_iter().map(|row| row.id.0.as_u128()).collect::<Vec<_>>()
        };
        assert!(dead([1, 1], 10_000).is_empty());
        assert!(dead([1, 2], 13_000).is_empty());
        assert!(dead([1, 3], 16_500).is_empty(), "twice a lease after the first look ended, and no longer");
        assert_eq!(dead([1, 4], 16_501), [1]);
        assert!(dead([2, 4], 22_000).is_empty(), "it has beaten since");
        assert_eq!(dead([2, 4], 99_000), [1, 2]);
    }

    #[test]
    fn a_row_that_comes_back_is_seen_for_the_first_time() {
        let mut sightings = Sightings::default();
        let row = [row(1, 1, at(1, 1))];
        assert!(sightings.of(&row, LEASE, time(0), time(0)).is_empty());
        assert!(sightings.of(&[], LEASE, time(3_000), time(3_000)).is_empty());
        assert!(sightings.of(&row, LEASE, time(9_000), time(9_000)).is_empty());
    }
}
