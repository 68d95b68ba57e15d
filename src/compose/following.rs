//! What keeps a server abreast of the others: the tail of the log, the doorbell, the heart; and what it answers from.

use std::sync::Arc;
use std::time::Duration;

use super::process::Parts;
use super::{CACHED, ServerError, ServerOptions};
use crate::cache::Cache;
use crate::feed::{Feed, FeedOptions};
use crate::fleet::{Fleet, FleetOptions};
use crate::keyring::ServerKey;
use crate::metrics::Metrics;
use crate::proof::Prover;
use crate::store::doorbell::Doorbell;
use crate::store::{DatabaseOptions, Store};

/// The longest that the database works on a heartbeat, and waits for the row. One that takes longer is given up at about
/// the same time on our side, and must not be in the way of the next.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// The parts, and the handles on them.
pub(super) struct Following {
    pub(super) cache: Arc<Cache>,
    pub(super) feed: Feed,
    pub(super) fleet: Fleet,
    /// Two connections, one of which the tail uses. Apart from the requests', so that a flood of those is not taken for an
    /// outage, nor keeps watchers waiting.
    pub(super) watching: Store,
    /// What must never end of itself, by name.
    pub(super) parts: Parts,
}

impl Following {
    /// Follows the log and joins the fleet.
    pub(super) async fn begin(
        options: &ServerOptions,
        requests: &Store,
        prover: Prover,
        metrics: &Metrics,
    ) -> Result<Self, ServerError> {
        let cache = Arc::new(Cache::new(CACHED, prover));
        let watching = Store::new(&DatabaseOptions { connections: 2, ..options.database.clone() })?;
        let (store, metrics) = (watching.clone(), metrics.clone());
        let (feed, tail) =
            Feed::start(FeedOptions { store, cache: Arc::clone(&cache), metrics: metrics.clone() });
        let mut parts = Parts::default();
        parts.add("the tail of the log", tail);
        if let Some(doorbell) = &options.doorbell {
            let answering = feed.answer(Doorbell::new(doorbell)?, metrics.clone());
            parts.add("the doorbell", answering);
        }
        let joined = Fleet::start(FleetOptions {
            store: Store::new(&heartbeats(&options.database))?,
            others: vec![requests.clone(), watching.clone()],
            cache: Arc::clone(&cache),
            feed: feed.clone(),
            metrics,
            lease: options.lease,
            kids: options.keyring.keys().map(ServerKey::kid).collect(),
        });
        let (fleet, heart) = joined.await?;
        parts.add("the heart", heart);
        Ok(Self { cache, feed, fleet, watching, parts })
    }
}

/// One connection for heartbeats, one for looking at the others, and one should either hang.
fn heartbeats(database: &DatabaseOptions) -> DatabaseOptions {
    DatabaseOptions {
        connections: 3,
        connect_timeout: HEARTBEAT,
        statement_timeout: HEARTBEAT,
        lock_timeout: HEARTBEAT,
        commit_timeout: HEARTBEAT,
        ..database.clone()
    }
}
