//! Everything that can be wrong with a request or with us, said in the words of the domain.

use std::time::Duration;

use crate::hash::HashError;
use crate::keyring::Unsealable;
use crate::lease::GrantError;
use crate::profile::{Forbidden, ProfileName};
use crate::store::StoreError;
use crate::text::{Invalid, PrincipalId};
use crate::token::{Kid, Revision, Scope, TokenId};
use crate::workspace::WorkspaceId;

use super::Permission;

/// A field of a request that cannot be taken, by its path in the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidField {
    /// The path, such as `token.scopes[2]`.
    pub path: String,
    /// What is wrong with it, and so what would be right.
    pub invalid: Invalid,
}

/// What there is as much of as may be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    /// Tokens, of the workspace or of a principal.
    #[error("{} has as many tokens as it may, which is {limit}: revoke some, or have the limit raised", owner(principal.as_ref()))]
    Tokens {
        /// The most that may be.
        limit: i64,
        /// Of which principal; of the workspace if `None`.
        principal: Option<PrincipalId>,
    },
    /// Secrets that the workspace has issued of late; when there can be another.
    #[error("the workspace has issued as many secrets of late as it may; try again in {} ms", .0.as_millis())]
    Issues(Duration),
    /// Secrets that the caller has presented of late as leaked; when there can be as many more.
    #[error("as many secrets were presented of late as may be; try again in {} ms", .0.as_millis())]
    Leaks(Duration),
}

/// Why a request was not done. Only those under "cannot decide" may have had an effect.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No credential came with the request.
    #[error("a caller token is required: send the metadata `authorization: Bearer <token>`")]
    CredentialMissing,
    /// The credential is not a live token.
    #[error("the caller token is not valid: malformed, unknown, expired, revoked or replaced")]
    CredentialInvalid,
    /// The caller's token lacks a scope.
    #[error("the caller token lacks the scope `{}`", .0.scope())]
    ScopeRequired(Permission),
    /// The caller does not act on the workspace it names.
    #[error("the caller token does not act on the workspace `{0}`")]
    WorkspaceDenied(WorkspaceId),
    /// The caller acts on one workspace, and this needs all.
    #[error("only a caller token that acts on every workspace may do this")]
    EveryWorkspaceRequired,
    /// The caller would give, or get hold of, power over tokenkeep that it lacks.
    #[error("no scope of the caller token covers `{0}`, so it cannot handle a token that has it")]
    ScopeEscalation(Scope),
    /// The caller would leave power over tokenkeep behind that outlives its own.
    #[error(
        "a token with `tokenkeep:` scopes cannot outlive the caller token that makes, edits or regenerates it"
    )]
    LifetimeEscalation,
    /// Some fields cannot be taken.
    #[error("{}", describe(.0))]
    InvalidFields(Vec<InvalidField>),
    /// No such token that the caller could know of.
    #[error("there is no token `{0}`")]
    TokenNotFound(TokenId),
    /// No such workspace.
    #[error("there is no workspace `{0}`")]
    WorkspaceNotFound(WorkspaceId),
    /// No such principal in the workspace.
    #[error("the workspace has no such principal")]
    PrincipalNotFound,
    /// The id was given before, or somebody else has the handle or the number.
    #[error("the workspace has or had a principal with this id, or has one with this handle or number")]
    PrincipalExists,
    /// Nothing new may be given to whoever is disabled.
    #[error("the principal `{0}` is disabled; enable it first")]
    PrincipalDisabled(PrincipalId),
    /// No such profile.
    #[error("there is no profile `{0}`")]
    ProfileNotFound(ProfileName),
    /// The workspace keeps nobody's rules.
    #[error("the workspace `{0}` has no profile")]
    WorkspaceWithoutProfile(WorkspaceId),
    /// The workspace's profile does not allow it.
    #[error("the workspace's profile does not allow it: {}", list(.0))]
    ProfileForbids(Vec<Forbidden>),
    /// The id is taken.
    #[error("there is a workspace `{0}` already")]
    WorkspaceExists(WorkspaceId),
    /// Revoked is final.
    #[error("the token `{0}` is revoked, which is final")]
    TokenRevoked(TokenId),
    /// An expired token cannot get a new secret without a new expiry.
    #[error("the token `{0}` is expired; set `expire_time` or `lifetime` to renew it in the same call")]
    TokenExpired(TokenId),
    /// The id of another request.
    #[error("the request id was used for another request; make up another for each intention")]
    RequestIdReused,
    /// What the request has made was replaced since.
    #[error(
        "the request was carried out before, and the secret that it made for token `{0}` was replaced since"
    )]
    SecretSuperseded(TokenId),
    /// What the request has made cannot be opened any more.
    #[error(
        "the request was carried out before, and the secret that it made for token `{0}` cannot be shown again; regenerate it"
    )]
    SecretUnavailable(TokenId),
    /// Another attempt at the same request came first; whoever is told so looks up what came of it.
    #[error("the request is being carried out by another attempt; try again shortly")]
    RequestCarriedOut,
    /// Somebody else was faster.
    #[error("the etag does not match: it has changed since; read it again and decide anew")]
    EtagMismatch,
    /// What a filter matches has changed since it was counted.
    #[error(
        "the filter matches {count} tokens and not {expected}: nothing was changed; do a dry run and decide anew"
    )]
    CountMismatch {
        /// How many there were to be.
        expected: i64,
        /// How many there are.
        count: i64,
    },
    /// More was asked for than may be.
    #[error(transparent)]
    Excess(#[from] Excess),
    /// Not a page token that was made for this request and caller.
    #[error("the page token was altered, or made for another request; begin again without one")]
    InvalidPageToken,
    /// Not a cursor of ours.
    #[error("the cursor was altered; begin again without one")]
    InvalidCursor,
    /// A cursor from another history of the database.
    #[error("the cursor belongs to another history; drop what it led to and begin again without one")]
    CursorForeign,
    /// A cursor from the future.
    #[error("the cursor is ahead of the history; drop what it led to and begin again without one")]
    CursorAhead,
    /// What follows a cursor was deleted, or the position itself cannot be told of any more.
    #[error(
        "what follows the cursor is kept no longer: events up to revision {compacted} were deleted, the log ends at {head}; verify what the cursor led to and begin again without one"
    )]
    RevisionCompacted {
        /// Everything up to here was deleted.
        compacted: Revision,
        /// Where the log ends.
        head: Revision,
    },
    /// A revision from the future.
    #[error("no such revision was committed yet")]
    RevisionAhead,
    /// The request speaks of another history of the database than ours.
    #[error("the request is of another history of the database; renew the lease to learn of the present one")]
    HistoryForeign,
    /// Whoever asks holds no lease of ours.
    #[error("this server has no such lease on record; drop it and renew it")]
    LeaseUnknown,
    /// As many leases are granted as may be.
    #[error("this server has granted as many leases as it may; try another")]
    TooManyLeases,
    /// Frames were not read in time.
    #[error("frames were not read in time; resume from the last cursor")]
    SlowConsumer,
    /// Not in this answer: it is full.
    #[error("the answer is full; ask for this again, with fewer others")]
    AnswerTooLarge,
    /// Cannot decide: the server is going away.
    #[error("the server is draining; try another")]
    Draining,
    /// Cannot decide: what is applied here is older than what was asked for.
    #[error("this server has not applied that revision yet; try again shortly, or another")]
    RevisionNotReached,
    /// Cannot decide: what is known here may be old.
    #[error("it cannot be proved that what is known here is fresh; try again shortly, or another")]
    LeaseLost,
    /// Cannot decide: no server can be reached.
    #[error("no server can be reached; try again shortly")]
    UpstreamUnavailable,
    /// Cannot decide: too many requests.
    #[error("too many requests are in flight; try again shortly")]
    Overloaded,
    /// Cannot decide: too many secrets to prove.
    #[error("too many secrets wait to be proved; try again shortly")]
    VerifierOverloaded,
    /// Cannot decide: the token's key is or may be in use, but not here; or it was to issue a secret, and was retired.
    #[error("this server cannot use the key `{0}`, which others may; try again shortly, or another")]
    KeyUnavailable(Kid),
    /// Cannot decide: the database did not answer.
    #[error("the database cannot be reached or did not answer in time; try again shortly")]
    DatabaseUnavailable(#[source] StoreError),
    /// Cannot tell: the change may or may not have been made, so trying again is not for us to advise.
    #[error("it is not known whether the change was made; read what is there, then decide anew")]
    OutcomeUnknown(#[source] StoreError),
    /// Cannot decide: the time is up.
    #[error("the deadline passed; a change may still have been made")]
    DeadlineExceeded,
    /// A defect of ours.
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// One field that cannot be taken.
    #[must_use]
    pub fn field(path: impl Into<String>, invalid: Invalid) -> Self {
        Self::InvalidFields(vec![InvalidField { path: path.into(), invalid }])
    }
}

fn owner(principal: Option<&PrincipalId>) -> String {
    principal.map_or_else(|| "the workspace".to_owned(), |principal| format!("the principal `{principal}`"))
}

fn list(forbidden: &[Forbidden]) -> String {
    let told: Vec<String> = forbidden.iter().map(ToString::to_string).collect();
    told.join("; ")
}

fn describe(fields: &[InvalidField]) -> String {
    let told: Vec<String> =
        fields.iter().map(|field| format!("`{}` {}", field.path, field.invalid)).collect();
    told.join("; ")
}

impl From<HashError> for Error {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Overloaded => Self::VerifierOverloaded,
            HashError::Unusable | HashError::Failed(_) => Self::Internal(Box::new(error)),
        }
    }
}

impl From<GrantError> for Error {
    fn from(error: GrantError) -> Self {
        match error {
            GrantError::Full => Self::TooManyLeases,
            GrantError::Unknown => Self::LeaseUnknown,
        }
    }
}

impl From<Unsealable> for Error {
    fn from(error: Unsealable) -> Self {
        Self::Internal(Box::new(error))
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { .. } => Self::DatabaseUnavailable(error),
            StoreError::Overloaded => Self::Overloaded,
            StoreError::KeyRetired(kid) => Self::KeyUnavailable(kid),
            StoreError::CommitUnknown { .. } => Self::OutcomeUnknown(error),
            StoreError::Conflict { .. }
            | StoreError::Aborted
            | StoreError::Corrupt { .. }
            | StoreError::Mismatch { .. }
            | StoreError::Migration { .. } => Self::Internal(Box::new(error)),
        }
    }
}
