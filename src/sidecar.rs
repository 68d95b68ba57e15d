//! The sidecar: a cache beside whoever asks, kept by servers that it follows, and trusted no longer than its lease.
//!
//! Whatever it knows and may tell it answers on the serving thread. Everything else it asks a server, and when there is
//! none it says so: an outage is never a verdict.

mod acknowledging;
mod answering;
mod counts;
mod deciding;
mod failure;
mod following;
mod health;
mod holding;
mod judging;
mod links;
mod profiles;
mod resolving;
mod revalidating;
mod session;
mod upstream;
mod usage;
mod words;

use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;
use uuid::Uuid;

pub use answering::SidecarRpc;
pub use counts::Counts;
pub use health::Health;
pub use session::follow_upstreams;
pub use usage::report_usage;

use crate::cache::Cache;
use crate::clock::BootTime;
use crate::keyring::{Origin, TagKeys};
use crate::revocation::Position;
use crate::token::Presented;
use crate::uses::Outbox;
use crate::workspace::WorkspaceId;
use links::Links;
use profiles::Profiles;

/// What a sidecar is made of.
#[derive(Debug)]
pub struct Parts {
    /// What it answers from.
    pub cache: Arc<Cache>,
    /// The workspaces that it answers for; all that its credential acts on if there are none.
    pub workspaces: Vec<WorkspaceId>,
}

/// What a sidecar knows and does. Shared by every request and by everything that keeps it up to date.
#[derive(Debug)]
pub struct Sidecar {
    /// Names this process to the servers.
    id: Uuid,
    cache: Arc<Cache>,
    workspaces: Vec<WorkspaceId>,
    counts: Arc<Counts>,
    trust: RwLock<Arc<Trust>>,
    place: watch::Sender<Option<Place>>,
    links: Links,
    profiles: Profiles,
    usage: Arc<Outbox>,
    /// Whether leases are asked for no more. Held to read by whoever asks for one.
    released: tokio::sync::RwLock<bool>,
}

/// What servers let the sidecar judge by itself.
#[derive(Debug, Default)]
struct Trust {
    keys: TagKeys,
    /// Whether it may tell why a token is not active.
    tells_reasons: bool,
}

/// Where the sidecar stands in the log: everything up to here is applied, and the cursor resumes right after it.
#[derive(Debug, Clone)]
struct Place {
    position: Position,
    cursor: String,
}

impl Sidecar {
    /// One that knows nothing yet.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts { cache, workspaces } = parts;
        let id = Uuid::new_v4();
        Self {
            id,
            cache,
            workspaces,
            counts: Arc::default(),
            trust: RwLock::default(),
            place: watch::Sender::new(None),
            links: Links::new(),
            profiles: Profiles::default(),
            usage: Arc::new(Outbox::new(id)),
            released: tokio::sync::RwLock::new(false),
        }
    }

    /// What it counts.
    #[must_use]
    pub const fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// The uses that it has not reported yet.
    #[must_use]
    pub const fn usage(&self) -> &Arc<Outbox> {
        &self.usage
    }

    /// What it has now: whether it holds a lease and reaches a server, up to which revision it has applied the log (0 if
    /// it follows none), and how many tokens it knows.
    #[must_use]
    pub fn state(&self) -> Vec<(&'static str, i64)> {
        vec![
            ("lease", self.holds_lease().into()),
            ("server", self.links.is_up().into()),
            ("revision", self.position().map_or(0, |position| position.revision.0)),
            ("tokens", i64::try_from(self.cache.len()).unwrap_or(i64::MAX)),
        ]
    }

    /// Whether it may answer by itself now.
    fn holds_lease(&self) -> bool {
        self.cache.standing(BootTime::now()).is_some()
    }

    fn position(&self) -> Option<Position> {
        self.place.borrow().as_ref().map(|place| place.position)
    }

    /// Forgets everything, as it must when its credential is refused.
    fn forget(&self) {
        self.cache.empty();
        self.profiles.outdate();
        self.place.send_replace(None);
        *self.trust.write().unwrap_or_else(PoisonError::into_inner) = Arc::default();
    }

    fn trust(&self) -> Arc<Trust> {
        Arc::clone(&self.trust.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn may_judge_by(&self, trust: Trust) {
        *self.trust.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(trust);
    }

    /// What a token's tag says, as far as the servers' keys are known.
    fn origin(&self, presented: &Presented<'_>) -> Origin {
        self.trust.read().unwrap_or_else(PoisonError::into_inner).keys.origin(presented)
    }
}
