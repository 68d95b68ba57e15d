//! What tokenkeep does, in the words of the domain: the rules, who may, and one transaction for each change.
//!
//! It knows nothing of the wire and nothing of SQL. Every method that a caller can reach takes a proven [`Caller`].

mod allowances;
mod audit;
mod bulk;
mod callers;
mod committing;
mod drafting;
mod edge;
mod error;
mod finding;
mod freshness;
mod gathering;
mod introspection;
mod issuing;
mod keys;
mod last_uses;
mod leaked;
mod limiting;
mod operator;
mod overlaps;
mod permissions;
mod principals;
mod profiles;
mod proving;
mod reading;
mod refusals;
mod retries;
mod rotation;
mod search;
mod sidecars;
mod tokens;
mod waiting;
mod watching;
mod workspaces;

use std::sync::Arc;
use std::time::Duration;

pub use audit::AuditPageRequest;
pub use bulk::{BulkRevocation, BulkRevoked};
pub use callers::{Caller, Reach};
pub use committing::Committing;
pub use error::{Error, Excess, InvalidField};
pub use finding::{Page, TokenCount, TokenCountRequest, TokenPageRequest};
pub use issuing::{Issued, Issuer, NewTokenWords, Regeneration};
pub use keys::KeysError;
pub use last_uses::LastUses;
pub use leaked::LeakedSecrets;
pub use overlaps::OverlapEnd;
pub use permissions::Permission;
pub use principals::{Deleted, PrincipalPageRequest};
pub use profiles::{EntryError, Profiles};
pub use refusals::{Refusal, Refusals};
pub use rotation::{KeyList, Rotation, RotationError, Survey};
pub use sidecars::{Acknowledgement, Grant, Inquiry, Renewal, Resolution};
pub use tokens::{Revocation, Suspension, TokenChange};
pub use watching::{Frame, Subscription, Told, WatchRequest};
pub use workspaces::{Invalidated, WorkspacePageRequest};

use crate::cache::Cache;
use crate::feed::Feed;
use crate::fleet::Fleet;
use crate::hash::Hasher;
use crate::keyring::{Keyring, ReplayKeys};
use crate::metrics::Metrics;
use crate::proof::ProofCache;
use crate::store::Store;
use allowances::Allowances;
use keys::KeyDirectory;
use reading::Reading;
use retries::Retries;

/// The parts that a service is made of.
pub struct Parts {
    /// Where everything is kept.
    pub store: Store,
    /// Makes the changes that take a revision.
    pub committing: Committing,
    /// The keys this process holds.
    pub keyring: Arc<Keyring>,
    /// Runs argon2.
    pub hasher: Hasher,
    /// Remembers what argon2 has proved, by proofs as the cache makes them.
    pub proofs: ProofCache,
    /// What is answered from.
    pub cache: Arc<Cache>,
    /// Follows the revision log.
    pub feed: Feed,
    /// This server among the others.
    pub fleet: Fleet,
    /// Counts.
    pub metrics: Metrics,
    /// By what requests are recognised that are repeated.
    pub replay: Arc<ReplayKeys>,
    /// For how long they are.
    pub request_window: Duration,
}

/// All that tokenkeep does. Shared by every request.
pub struct Service {
    store: Store,
    reading: Arc<Reading>,
    committing: Committing,
    keyring: Arc<Keyring>,
    keys: Arc<KeyDirectory>,
    issuer: Issuer,
    hasher: Hasher,
    proofs: ProofCache,
    profiles: Profiles,
    last_uses: LastUses,
    /// Of secrets that leaked.
    allowances: Allowances,
    cache: Arc<Cache>,
    feed: Feed,
    fleet: Fleet,
    metrics: Metrics,
    retries: Retries,
    refusals: Refusals,
}

impl Service {
    /// Makes a service on a migrated database, having compared the keyring with the keys the database lists.
    ///
    /// # Errors
    /// [`KeysError`] if a key that is in use is not in the keyring, or the database cannot be asked.
    pub async fn new(parts: Parts) -> Result<Self, KeysError> {
        let Parts { store, committing, keyring, hasher, proofs, cache, feed, fleet, metrics, .. } = parts;
        let (held, argon2) = (Arc::clone(&keyring), hasher.clone());
        let retries = Retries::new(parts.replay, parts.request_window);
        let issuer = Issuer::new(store.clone(), committing.clone(), held, argon2, metrics.clone()).await?;
        Ok(Self {
            profiles: issuer.profiles.clone(),
            last_uses: LastUses::new(store.clone(), committing.clone(), fleet.clone(), metrics.clone()),
            keys: Arc::clone(&issuer.keys),
            allowances: Allowances::default(),
            reading: Reading::new(store.clone()),
            store,
            committing,
            keyring,
            issuer,
            hasher,
            proofs,
            cache,
            feed,
            fleet,
            metrics,
            retries,
            refusals: Refusals::default(),
        })
    }

    /// Asks the database, over connections of the asker's own, whether it is there, and which keys are in use by now.
    ///
    /// # Errors
    /// [`Error::DatabaseUnavailable`] and its like.
    pub async fn check_database(&self, store: &Store) -> Result<(), Error> {
        self.keys.refresh(store).await
    }

    /// What it counts.
    #[must_use]
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// What was used when, on its way to the database.
    #[must_use]
    pub const fn last_uses(&self) -> &LastUses {
        &self.last_uses
    }
}
