//! The vocabulary of the revision log: what happened, and where in the one order of all changes.

use std::time::SystemTime;

use uuid::Uuid;

use crate::text::{Initiator, RevokeReason};
use crate::token::{Generation, Revision, TokenId};
use crate::workspace::WorkspaceId;

/// Names one history of the log. Revisions of different histories have nothing to do with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HistoryId(pub Uuid);

/// A place in the log that a watcher can come back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Which history.
    pub history: HistoryId,
    /// Everything up to and with this revision was delivered.
    pub revision: Revision,
}

impl Position {
    /// Whether everything up to another place was delivered here: never if that is of another history.
    #[must_use]
    pub fn reaches(self, other: Self) -> bool {
        self.history == other.history && self.revision >= other.revision
    }
}

/// What a change did to a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is dead for good.
    Revoked {
        /// Why, as the caller said.
        reason: RevokeReason,
    },
    /// Its secret was regenerated.
    SecretReplaced,
    /// Something that an introspection tells or judges was edited.
    Updated,
}

/// One change, before it has a place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// What happened.
    pub change: Change,
    /// The workspace of the token.
    pub workspace: WorkspaceId,
    /// The token.
    pub token: TokenId,
    /// The token's generation after the change.
    pub generation: Generation,
    /// On whose behalf.
    pub initiator: Initiator,
}

/// One change in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Where.
    pub revision: Revision,
    /// When, by the database's clock.
    pub time: SystemTime,
    /// What.
    pub event: NewEvent,
}
