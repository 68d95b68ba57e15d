//! A recorded history: who asked what, when, and what came of it. Plain data, so that it can be kept and judged again.

pub mod told;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::moment::Moment;
pub use told::{Content, Frame, LogRow, PrincipalRow, Renewal, Stream, TokenRow, WorkspaceRow};

/// Everything that was seen of one run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct History {
    /// The length of a lease.
    pub lease: Duration,
    /// Whether nothing was made to fail.
    pub calm: bool,
    pub operations: Vec<Operation>,
    pub streams: Vec<Stream>,
    /// When the revision log's history was renewed.
    pub renewals: Vec<Renewal>,
    /// The revision log as the database had it at the end.
    pub log: Vec<LogRow>,
    /// The tokens as the database had them at the end.
    pub tokens: Vec<TokenRow>,
    /// The principals as the database had them at the end.
    pub principals: Vec<PrincipalRow>,
    /// The workspaces as the database had them at the end.
    pub workspaces: Vec<WorkspaceRow>,
    /// What was seen once every fault was over.
    pub aftermath: Aftermath,
}

/// Who was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Node {
    Server(usize),
    Sidecar(usize),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Operation {
    pub client: usize,
    pub node: Node,
    pub call: Call,
    /// Before the request was sent.
    pub invoke: Moment,
    /// After the answer had come; [`Moment::NEVER`] if nobody knows what came of it.
    pub returned: Moment,
    /// It was asked for more than once under one request id, first when it was invoked; the answer is the last.
    #[serde(default)]
    pub retried: bool,
    pub answer: Answer,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    Create {
        /// Who the token acts for.
        principal: Option<String>,
        /// Its name, which it shares with others.
        group: String,
    },
    CreatePrincipal {
        principal: String,
    },
    Introspect {
        token: String,
        /// The generation of the secret that was presented.
        generation: i32,
        freshness: Freshness,
        /// As one of a batch.
        batch: bool,
    },
    Change {
        token: String,
        change: Change,
        /// Wait for the fleet.
        fleet: bool,
    },
    ChangePrincipal {
        principal: String,
        edit: Edit,
        /// The log has it as the initiator, so that it is told which change of many this was.
        mark: u32,
        fleet: bool,
    },
    Invalidate {
        workspace: String,
        mark: u32,
        /// Only counted what would be invalidated.
        dry: bool,
        fleet: bool,
    },
    /// Revokes all tokens of a name.
    RevokeGroup {
        workspace: String,
        group: String,
        mark: u32,
        /// Only counted what would be revoked.
        dry: bool,
        fleet: bool,
    },
    /// The request that made a generation of a token, once more.
    Repeat {
        token: String,
        generation: i32,
    },
    /// `WaitForRevision`.
    Await {
        revision: i64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Freshness {
    Leased,
    AtLeast(i64),
    Strong,
}

/// What becomes of a principal. What its tokens then can do tells its mark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Edit {
    Held {
        /// Whether it may do all that its tokens can.
        wide: bool,
        disabled: bool,
    },
    /// It is deleted, and its tokens are revoked.
    Deleted,
    /// It is deleted, and its tokens act for another principal.
    HandedOver { to: String },
}

/// What an answer tells of a token's scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Scopes {
    /// The version of its own; `None` where its principal may not do all that it can.
    pub version: Option<u32>,
    /// The mark of the change that its principal's are of, 0 for those it was created with; `None` without a principal.
    pub held: Option<u32>,
}

/// What a change does to a token, or to all of a subject; also what the log and a stream say that it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Change {
    Revoked,
    SecretReplaced,
    /// As the one before, but the old secret is to work on for a while. The log tells until when.
    Overlapped,
    /// The old secret is to work on no more.
    OverlapEnded,
    Suspended,
    Resumed,
    /// To the scopes of a version. The log does not tell which: 0 there.
    Updated(u32),
    PrincipalChanged,
    WorkspaceInvalidated,
    GroupRevoked,
    ProfileUpdated,
}

impl Change {
    /// The kind, whatever the version, and however long the old secret works on.
    pub const fn kind(self) -> Self {
        match self {
            Self::Updated(_) => Self::Updated(0),
            Self::Overlapped => Self::SecretReplaced,
            _ => self,
        }
    }

    /// Whether two are of one kind.
    pub fn is_like(self, other: Self) -> bool {
        self.kind() == other.kind()
    }

    /// What a stream calls it.
    pub const fn on_stream(self) -> Self {
        match self {
            Self::OverlapEnded => Self::SecretReplaced,
            _ => self.kind(),
        }
    }

    /// Whether it is answered with the token as it is, if that is so already.
    pub const fn may_be_so_already(self) -> bool {
        matches!(self, Self::Revoked | Self::Suspended | Self::Resumed | Self::OverlapEnded)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// It may have happened, at any time since it was invoked, or not.
    Unknown,
    /// A server said why not: nothing was changed, and nothing decided.
    Refused(String),
    Created {
        token: String,
        workspace: String,
        /// When it expires.
        expires: Option<Moment>,
    },
    Active {
        /// The last change that the answer takes into account.
        revision: i64,
        generation: i32,
        /// Its scopes; `None` if they are none that were ever asked for, or if the decision does not follow from them.
        scopes: Option<Scopes>,
    },
    /// A principal was created, or what would end was counted, or there was none: no change, and no revision.
    Done,
    /// Whether the request that was repeated was answered with the same secret.
    Same(bool),
    Inactive(Reason),
    Changed {
        revision: i64,
        generation: i32,
        /// Whether the whole fleet has confirmed it.
        confirmed: bool,
    },
    Awaited {
        confirmed: bool,
    },
}

/// Why a token is said not to be live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    Untold,
    /// Unknown, malformed, forged, of another workspace: never true of a token that was issued.
    NotOurs,
    Expired,
    Revoked,
    Superseded,
    Invalidated,
    Suspended,
    PrincipalDisabled,
}

/// What was seen once every fault was over.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Aftermath {
    /// How long each node took from the end of the last fault to agreeing with the database on every token; `None` if it
    /// never did within the time it was given.
    pub converged: Vec<(Node, Option<Duration>)>,
    /// How long the machine let us wait meanwhile for no reason of ours.
    pub stalled: Duration,
    /// Sessions that were left idle in a transaction.
    pub idle_in_transaction: usize,
    /// Programs that ended unasked, or panicked.
    pub misdeeds: Vec<(Node, String)>,
}

impl Operation {
    /// The mark of a change of a principal or a workspace, and of which.
    pub fn marked(&self) -> Option<(u32, &str)> {
        match &self.call {
            Call::ChangePrincipal { mark, principal, .. } => Some((*mark, principal)),
            Call::Invalidate { mark, workspace, dry: false, .. }
            | Call::RevokeGroup { mark, workspace, dry: false, .. } => Some((*mark, workspace)),
            _ => None,
        }
    }

    /// The token it is about.
    pub fn token(&self) -> Option<&str> {
        match (&self.call, &self.answer) {
            (Call::Introspect { token, .. } | Call::Change { token, .. }, _)
            | (Call::Create { .. }, Answer::Created { token, .. }) => Some(token),
            _ => None,
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(number) => write!(formatter, "server {number}"),
            Self::Sidecar(number) => write!(formatter, "sidecar {number}"),
        }
    }
}
