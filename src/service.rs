//! What tokenkeep does, in the words of the domain: the rules, who may, and one transaction for each change.
//!
//! It knows nothing of the wire and nothing of SQL. Every method that a caller can reach takes a proven [`Caller`].

mod callers;
mod error;
mod introspection;
mod issuing;
mod keys;
mod last_uses;
mod operator;
mod tokens;
mod watching;
mod workspaces;

use std::sync::Arc;

pub use callers::{Caller, Permission, Reach};
pub use error::{Error, InvalidField};
pub use issuing::{Issued, NewTokenWords, Regeneration};
pub use keys::KeysError;
pub use last_uses::LastUses;
pub use tokens::{Page, TokenChange, TokenPageRequest};
pub use watching::{Frame, Subscription, WatchRequest};
pub use workspaces::WorkspacePageRequest;

use crate::feed::Feed;
use crate::hash::Hasher;
use crate::keyring::Keyring;
use crate::metrics::Metrics;
use crate::proof::{ProofCache, Prover};
use crate::store::Store;
use keys::KeyDirectory;

/// The parts that a service is made of.
pub struct Parts {
    /// Where everything is kept.
    pub store: Store,
    /// The keys this process holds.
    pub keyring: Arc<Keyring>,
    /// Runs argon2.
    pub hasher: Hasher,
    /// Remembers what argon2 has proved.
    pub proofs: ProofCache,
    /// Makes the proofs.
    pub prover: Prover,
    /// Follows the revision log.
    pub feed: Feed,
    /// Counts.
    pub metrics: Metrics,
}

/// All that tokenkeep does. Shared by every request.
pub struct Service {
    store: Store,
    keyring: Arc<Keyring>,
    keys: KeyDirectory,
    hasher: Hasher,
    proofs: ProofCache,
    prover: Prover,
    last_uses: LastUses,
    feed: Feed,
    metrics: Metrics,
}

impl Service {
    /// Makes a service on a migrated database, having compared the keyring with the keys the database lists.
    ///
    /// # Errors
    /// [`KeysError`] if a key that is in use is not in the keyring, or the database cannot be asked.
    pub async fn new(parts: Parts) -> Result<Self, KeysError> {
        let keys = KeyDirectory::register(&parts.store, &parts.keyring).await?;
        Ok(Self {
            last_uses: LastUses::new(parts.store.clone(), parts.metrics.clone()),
            store: parts.store,
            keyring: parts.keyring,
            keys,
            hasher: parts.hasher,
            proofs: parts.proofs,
            prover: parts.prover,
            feed: parts.feed,
            metrics: parts.metrics,
        })
    }

    /// Asks the database, over connections of the asker's own, whether it is there and which keys are in use by now.
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
