//! A recorded history: who asked what, when, and what came of it. Plain data, so that it can be kept and judged again.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::moment::Moment;

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
    pub answer: Answer,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    Create,
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

/// What a change does to a token; also what the log and a stream say that it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Change {
    Revoked,
    SecretReplaced,
    /// To the scopes of a version. The log does not tell which: 0 there.
    Updated(u32),
}

impl Change {
    /// Whether two are of one kind, whatever the version.
    pub fn is_like(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
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
        /// The version of its scopes; `None` if they are of no version that was ever asked for.
        scopes: Option<u32>,
    },
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
}

/// One stream of `WatchRevocations`, from its opening to its end.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stream {
    pub watcher: usize,
    pub node: Node,
    /// The only workspace watched; all of them without.
    pub workspace: Option<String>,
    pub invoke: Moment,
    /// The revision of the frame whose cursor it resumes from, and when that frame came.
    pub resumes: Option<(i64, Moment)>,
    pub frames: Vec<Frame>,
    /// When it was left, or ended.
    pub closed: Moment,
    /// How it ended: the reason, or `None` if the connection was lost or it was still open.
    pub end: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Frame {
    pub at: Moment,
    pub revision: i64,
    pub content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    Event { change: Change, token: String, workspace: String, generation: i32 },
    Progress { confirmed: bool },
}

/// The history was still the old one at `before`, and surely the new one at `after`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Renewal {
    pub before: Moment,
    pub after: Moment,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogRow {
    pub revision: i64,
    pub change: Change,
    pub workspace: String,
    pub token: String,
    pub generation: i32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenRow {
    pub token: String,
    pub generation: i32,
    pub revoked: bool,
    pub revision: i64,
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
    /// The token it is about.
    pub fn token(&self) -> Option<&str> {
        match (&self.call, &self.answer) {
            (Call::Introspect { token, .. } | Call::Change { token, .. }, _)
            | (Call::Create, Answer::Created { token, .. }) => Some(token),
            (Call::Create | Call::Await { .. }, _) => None,
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
