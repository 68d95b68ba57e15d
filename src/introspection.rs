//! The vocabulary of introspection: what is asked about a presented token, what is known of a live one, and the verdict.

use std::sync::Arc;
use std::time::SystemTime;

use secrecy::SecretString;

use crate::text::{Metadata, Name, Principal};
use crate::token::{Generation, Revision, Scope, ScopeSet, Token, TokenId};
use crate::workspace::WorkspaceId;

/// What introspections of a live token are answered from. It holds no decision: workspace and scopes are judged anew for
/// each request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The id.
    pub id: TokenId,
    /// The workspace it belongs to.
    pub workspace: WorkspaceId,
    /// What people call it.
    pub name: Name,
    /// Who it acts for.
    pub principal: Option<Principal>,
    /// What it may do.
    pub scopes: ScopeSet,
    /// The caller's own labels.
    pub metadata: Metadata,
    /// When it expires; `None` for never.
    pub expire_time: Option<SystemTime>,
    /// When it was created.
    pub create_time: SystemTime,
    /// Which secret is live.
    pub generation: Generation,
    /// The position of its last change.
    pub revision: Revision,
}

impl From<Token> for Record {
    fn from(token: Token) -> Self {
        Self {
            id: token.id,
            workspace: token.workspace,
            name: token.name,
            principal: token.principal,
            scopes: token.scopes,
            metadata: token.metadata,
            expire_time: token.expire_time,
            create_time: token.create_time,
            generation: token.generation,
            revision: token.revision,
        }
    }
}

/// Why a presented token is not active.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InactiveReason {
    /// Not the shape of a token.
    Malformed,
    /// Not issued under any key of ours.
    Forged,
    /// Not on record, or nothing the caller may know of.
    Unknown,
    /// Of another workspace than the one asked for.
    OtherWorkspace,
    /// Its expiry has passed.
    Expired,
    /// It was revoked.
    Revoked,
    /// Its secret was replaced.
    Superseded,
}

/// How fresh an answer must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Freshness {
    /// As fresh as a lease makes it.
    #[default]
    Leased,
    /// From nothing older than a revision.
    AtLeast(Revision),
    /// From nothing older than the arrival of the request.
    Strong,
}

/// What is asked about a presented token.
#[derive(Debug)]
pub struct Introspection {
    /// What the client presented.
    pub presented: SecretString,
    /// The workspace it was presented in, if that matters.
    pub workspace: Option<WorkspaceId>,
    /// What the client's request needs.
    pub required_scopes: Vec<Scope>,
    /// How fresh the answer must be.
    pub freshness: Freshness,
}

/// The answer. It is never given when it cannot be known.
#[derive(Debug)]
pub enum Verdict {
    /// Not a live token here; the reason only for callers granted it.
    Inactive(Option<InactiveReason>),
    /// A live token, and which of the required scopes it lacks.
    Active {
        /// What is known of it.
        record: Arc<Record>,
        /// The required scopes that it does not grant.
        missing: Vec<Scope>,
    },
}

impl Verdict {
    /// The verdict on a live token, as far as scopes go.
    #[must_use]
    pub fn on(record: Arc<Record>, required: &[Scope]) -> Self {
        let missing = record.scopes.missing(required).into_iter().cloned().collect();
        Self::Active { record, missing }
    }
}
