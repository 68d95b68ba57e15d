//! What many records have in common, in memory once.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Arc, Mutex};

use super::lock;
use crate::introspection::{Extras, Record};
use crate::profile::ProfileName;
use crate::text::{Handle, PrincipalId};
use crate::token::ScopeSet;
use crate::workspace::WorkspaceId;

/// The parts of a pool, each with a lock of its own, so that they are swept one by one.
const PARTS: usize = 64;

/// So many values of a part are kept whether or not somebody else has them.
const FEW: usize = 8;

/// The values that records share. Nobody needs it who only looks records up.
#[derive(Default)]
pub(super) struct Common {
    workspaces: Pool<WorkspaceId>,
    principals: Pool<PrincipalId>,
    usernames: Pool<Handle>,
    scopes: Pool<ScopeSet>,
    profiles: Pool<ProfileName>,
    extras: Pool<Extras>,
}

impl Common {
    /// The same record, sharing with those from before whatever is the same in them.
    pub(super) fn share(&self, record: Arc<Record>) -> Arc<Record> {
        let record = Arc::unwrap_or_clone(record);
        Arc::new(Record {
            workspace: self.workspaces.share(&record.workspace),
            principal: record.principal.as_ref().map(|principal| self.principals.share(principal)),
            username: record.username.as_ref().map(|username| self.usernames.share(username)),
            scopes: self.scopes.share(&record.scopes),
            profile: record.profile.as_ref().map(|profile| self.profiles.share(profile)),
            extras: self.extras.share(&record.extras),
            ..record
        })
    }

    /// How many principals there are.
    #[cfg(test)]
    pub(super) fn principals(&self) -> usize {
        self.principals.parts.iter().map(|part| lock(part).values.len()).sum()
    }

    /// Forgets them all. Records that are left keep what they have.
    pub(super) fn clear(&self) {
        self.workspaces.clear();
        self.principals.clear();
        self.usernames.clear();
        self.scopes.clear();
        self.profiles.clear();
        self.extras.clear();
    }
}

/// Values of one kind, each once.
struct Pool<Value> {
    hasher: RandomState,
    parts: Box<[Mutex<Part<Value>>]>,
}

/// Some of the values. Of those that somebody else has there are half as many at least, when there are more than a few.
struct Part<Value> {
    values: HashSet<Arc<Value>>,
    /// How many there may be until it is looked who else has them.
    room: usize,
}

impl<Value> Default for Pool<Value> {
    fn default() -> Self {
        let parts = std::iter::repeat_with(Mutex::default).take(PARTS).collect();
        Self { hasher: RandomState::new(), parts }
    }
}

impl<Value> Default for Part<Value> {
    fn default() -> Self {
        Self { values: HashSet::new(), room: FEW }
    }
}

impl<Value: Eq + Hash> Pool<Value> {
    /// The one that equals this, if there is one; from now on there is.
    fn share(&self, value: &Arc<Value>) -> Arc<Value> {
        let hash = usize::try_from(self.hasher.hash_one(value)).unwrap_or_default();
        self.parts.get(hash % PARTS).map_or_else(|| Arc::clone(value), |part| lock(part).share(value))
    }

    fn clear(&self) {
        self.parts.iter().for_each(|part| *lock(part) = Part::default());
    }
}

impl<Value: Eq + Hash> Part<Value> {
    fn share(&mut self, value: &Arc<Value>) -> Arc<Value> {
        if let Some(same) = self.values.get(value) {
            return Arc::clone(same);
        }
        if self.values.len() >= self.room {
            self.sweep();
        }
        self.values.insert(Arc::clone(value));
        Arc::clone(value)
    }

    /// Forgets what nobody else has. The room is then twice what is left, so that each value that comes has about one looked at.
    fn sweep(&mut self) {
        self.values.retain(|value| Arc::strong_count(value) > 1);
        self.room = 2 * self.values.len() + FEW;
    }
}
