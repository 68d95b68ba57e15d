//! The vocabulary of the revision log: what happened, and where in the one order of all changes.

use std::time::{Duration, SystemTime};

use uuid::Uuid;

use crate::introspection::Record;
use crate::profile::ProfileName;
use crate::text::{Initiator, PrincipalId, Reason};
use crate::token::{Generation, Kid, Revision, TokenId};
use crate::workspace::WorkspaceId;

/// Names one history of the log. Revisions of different histories have nothing to do with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HistoryId(pub Uuid);

/// A place in the log that a watcher can come back to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

/// A change that is committed, as whoever waits for it everywhere must know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Where it is.
    pub position: Position,
    /// How long the longest lease lasts by which somebody may answer from before it.
    pub longest_lease: Duration,
}

/// What happened, and to what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// To one token.
    Token {
        /// The workspace of the token.
        workspace: WorkspaceId,
        /// The token.
        token: TokenId,
        /// The token's generation after the change.
        generation: Generation,
        /// What.
        what: TokenChange,
    },
    /// A principal was edited, disabled, enabled or deleted.
    PrincipalChanged {
        /// Its workspace.
        workspace: WorkspaceId,
        /// The principal.
        principal: PrincipalId,
    },
    /// Every secret of a workspace that was issued before is dead; the tokens stay.
    WorkspaceInvalidated {
        /// The workspace.
        workspace: WorkspaceId,
        /// Why, as the caller said.
        reason: Reason,
    },
    /// Many tokens of a workspace are dead for good, all at once.
    BulkRevoked {
        /// The workspace.
        workspace: WorkspaceId,
        /// Which, if they are at most [`Change::MOST_NAMED`]; `None` if any of the workspace may be one.
        tokens: Option<Vec<TokenId>>,
        /// Why, as the caller said.
        reason: Reason,
    },
    /// A workspace has another profile.
    WorkspaceUpdated {
        /// The workspace.
        workspace: WorkspaceId,
    },
    /// A profile was changed.
    ProfileUpdated {
        /// The profile.
        profile: ProfileName,
    },
    /// Every secret that was issued under a server key is dead; the tokens stay.
    KeyRetired {
        /// The key.
        kid: Kid,
    },
}

impl Change {
    /// The most tokens that one change names.
    pub const MOST_NAMED: usize = 1_000;

    /// The tokens that it names.
    #[must_use]
    pub fn tokens(&self) -> &[TokenId] {
        match self {
            Self::Token { token, .. } => std::slice::from_ref(token),
            Self::BulkRevoked { tokens, .. } => tokens.as_deref().unwrap_or_default(),
            Self::PrincipalChanged { .. }
            | Self::WorkspaceInvalidated { .. }
            | Self::WorkspaceUpdated { .. }
            | Self::ProfileUpdated { .. }
            | Self::KeyRetired { .. } => &[],
        }
    }

    /// The workspace that it concerns; `None` if it may concern any.
    #[must_use]
    pub const fn workspace(&self) -> Option<&WorkspaceId> {
        match self {
            Self::Token { workspace, .. }
            | Self::PrincipalChanged { workspace, .. }
            | Self::WorkspaceInvalidated { workspace, .. }
            | Self::BulkRevoked { workspace, .. }
            | Self::WorkspaceUpdated { workspace } => Some(workspace),
            Self::ProfileUpdated { .. } | Self::KeyRetired { .. } => None,
        }
    }

    /// Whether the token of a record may be judged otherwise since. A record does not tell its key, so that any key's end
    /// concerns it.
    #[must_use]
    pub fn concerns(&self, record: &Record) -> bool {
        match self {
            Self::Token { token, .. } => *token == record.id,
            Self::PrincipalChanged { workspace, principal } => {
                *workspace == *record.workspace && record.principal.as_deref() == Some(principal)
            }
            Self::BulkRevoked { tokens: Some(tokens), .. } => tokens.contains(&record.id),
            Self::BulkRevoked { workspace, tokens: None, .. }
            | Self::WorkspaceInvalidated { workspace, .. }
            | Self::WorkspaceUpdated { workspace } => *workspace == *record.workspace,
            Self::ProfileUpdated { profile } => record.profile.as_deref() == Some(profile),
            Self::KeyRetired { .. } => true,
        }
    }
}

/// What a change did to a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenChange {
    /// It is dead for good.
    Revoked {
        /// Why, as the caller said.
        reason: Reason,
    },
    /// Its secret was regenerated, or the time is over in which the one before worked too.
    SecretReplaced {
        /// Until when the secret before the present one still works; `None` if it does not.
        overlap_end: Option<SystemTime>,
    },
    /// Something that an introspection tells or judges was edited.
    Updated,
    /// It does not work until it is resumed.
    Suspended {
        /// Why, as the caller said.
        reason: Reason,
    },
    /// It works again.
    Resumed,
}

/// One change, before it has a place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// What happened.
    pub change: Change,
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
    /// Whether somebody waits until every server has applied it.
    pub awaited: bool,
}

/// Changes that were appended to the log in one transaction. They count only once it has committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Which history.
    pub history: HistoryId,
    /// How long the longest lease of a server lasts.
    pub longest_lease: Duration,
    /// The changes, in order.
    pub events: Vec<Event>,
}

/// The log as it stood at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The last revision that was committed, and whose it is.
    pub position: Position,
    /// Everything up to here was deleted; never the last revision.
    pub compacted: Revision,
}

impl Head {
    /// Whether everything after a position can still be read, as far as this history goes back.
    #[must_use]
    pub fn reaches_back_to(&self, position: Position) -> bool {
        position.history == self.position.history && position.revision >= self.compacted
    }
}

/// What the log holds right after a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The log as it stood when this was read.
    pub head: Head,
    /// What follows, in order, possibly not all of it; nothing unless the log reaches back to the position.
    pub events: Vec<Event>,
}
