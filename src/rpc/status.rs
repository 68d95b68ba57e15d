//! From what went wrong to what the caller is told: the only place where a code is chosen.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::proto::v1::{self, ErrorReason};
use crate::service::{Error, Excess, Permission};

/// The domain of every reason.
pub const DOMAIN: &str = "tokenkeep";

/// What the names of reasons begin with in the proto, and nowhere else.
const PREFIX: &str = "ERROR_REASON_";

/// How long a caller should wait before it tries again what could not be decided.
const RETRY_DELAY: Duration = Duration::from_millis(250);

/// Says what went wrong: a code, a message for people, and for programs exactly one `ErrorInfo`, with `BadRequest` for
/// wrong fields and `RetryInfo` where trying again can help.
#[must_use]
pub fn from_error(error: &Error) -> Status {
    let (code, reason) = classify(error);
    let mut details = ErrorDetails::with_error_info(name(reason), DOMAIN, metadata(error));
    if let Error::InvalidFields(fields) = error {
        for field in fields {
            details.add_bad_request_violation(&field.path, format!("{} {}", field.path, field.invalid));
        }
    }
    if let Error::ProfileForbids(forbidden) = error {
        for it in forbidden {
            details.add_bad_request_violation(&it.path, it.to_string());
        }
    }
    if let Some(delay) = retry_delay(error, code) {
        details.set_retry_info(Some(delay));
    }
    Status::with_error_details(code, error.to_string(), details)
}

/// How long a caller should wait before it tries again, where that can help.
fn retry_delay(error: &Error, code: Code) -> Option<Duration> {
    if let Error::Excess(Excess::Issues(wait) | Excess::Leaks(wait)) = error {
        return Some((*wait).max(RETRY_DELAY));
    }
    // It is done perhaps, or somebody must make room first.
    let in_vain = matches!(error, Error::OutcomeUnknown(_) | Error::Excess(Excess::Tokens { .. }));
    (matches!(code, Code::Unavailable | Code::ResourceExhausted) && !in_vain).then_some(RETRY_DELAY)
}

/// The same within an answer that holds outcomes of several.
#[must_use]
pub fn failure(error: &Error) -> v1::IntrospectionFailure {
    let (code, reason) = classify(error);
    let message = error.to_string();
    v1::IntrospectionFailure { code: code.into(), reason: reason.into(), message }
}

#[expect(clippy::too_many_lines, reason = "a table of all errors")]
fn classify(error: &Error) -> (Code, ErrorReason) {
    match error {
        Error::CredentialMissing => (Code::Unauthenticated, ErrorReason::CredentialMissing),
        Error::CredentialInvalid => (Code::Unauthenticated, ErrorReason::CredentialInvalid),
        Error::ScopeRequired(_) => (Code::PermissionDenied, ErrorReason::ScopeRequired),
        Error::WorkspaceDenied(_) | Error::EveryWorkspaceRequired => {
            (Code::PermissionDenied, ErrorReason::WorkspaceDenied)
        }
        Error::ScopeEscalation(_) => (Code::PermissionDenied, ErrorReason::ScopeEscalation),
        Error::LifetimeEscalation => (Code::PermissionDenied, ErrorReason::LifetimeEscalation),
        Error::InvalidFields(_) => (Code::InvalidArgument, ErrorReason::InvalidField),
        Error::TokenNotFound(_) => (Code::NotFound, ErrorReason::TokenNotFound),
        Error::WorkspaceNotFound(_) => (Code::NotFound, ErrorReason::WorkspaceNotFound),
        Error::WorkspaceExists(_) => (Code::AlreadyExists, ErrorReason::WorkspaceExists),
        Error::PrincipalNotFound => (Code::NotFound, ErrorReason::PrincipalNotFound),
        Error::PrincipalExists => (Code::AlreadyExists, ErrorReason::PrincipalExists),
        Error::PrincipalDisabled(_) => (Code::FailedPrecondition, ErrorReason::PrincipalDisabled),
        Error::ProfileNotFound(_) | Error::WorkspaceWithoutProfile(_) => {
            (Code::NotFound, ErrorReason::ProfileNotFound)
        }
        Error::ProfileForbids(_) => (Code::InvalidArgument, ErrorReason::ProfileForbids),
        Error::TokenRevoked(_) => (Code::FailedPrecondition, ErrorReason::TokenRevoked),
        Error::TokenExpired(_) => (Code::FailedPrecondition, ErrorReason::TokenExpired),
        Error::RequestIdReused => (Code::InvalidArgument, ErrorReason::RequestIdReused),
        Error::SecretSuperseded(_) => (Code::FailedPrecondition, ErrorReason::SecretSuperseded),
        Error::SecretUnavailable(_) => (Code::FailedPrecondition, ErrorReason::SecretUnavailable),
        Error::EtagMismatch => (Code::Aborted, ErrorReason::EtagMismatch),
        Error::CountMismatch { .. } => (Code::FailedPrecondition, ErrorReason::CountMismatch),
        Error::Excess(excess) => (Code::ResourceExhausted, reason_of(excess)),
        Error::InvalidPageToken => (Code::InvalidArgument, ErrorReason::InvalidPageToken),
        Error::InvalidCursor => (Code::InvalidArgument, ErrorReason::InvalidCursor),
        Error::CursorForeign => (Code::FailedPrecondition, ErrorReason::CursorForeign),
        Error::CursorAhead => (Code::FailedPrecondition, ErrorReason::CursorAhead),
        Error::RevisionCompacted { .. } => (Code::OutOfRange, ErrorReason::RevisionCompacted),
        Error::RevisionAhead => (Code::FailedPrecondition, ErrorReason::RevisionAhead),
        Error::HistoryForeign => (Code::FailedPrecondition, ErrorReason::HistoryForeign),
        Error::LeaseUnknown => (Code::FailedPrecondition, ErrorReason::LeaseUnknown),
        Error::TooManyLeases => (Code::ResourceExhausted, ErrorReason::TooManyLeases),
        Error::RevisionNotReached => (Code::Unavailable, ErrorReason::RevisionNotReached),
        Error::LeaseLost => (Code::Unavailable, ErrorReason::LeaseLost),
        Error::UpstreamUnavailable => (Code::Unavailable, ErrorReason::UpstreamUnavailable),
        Error::SlowConsumer => (Code::ResourceExhausted, ErrorReason::SlowConsumer),
        Error::Draining => (Code::Unavailable, ErrorReason::Draining),
        Error::AnswerTooLarge => (Code::ResourceExhausted, ErrorReason::AnswerTooLarge),
        // The first never leaves the service.
        Error::RequestCarriedOut | Error::Overloaded => {
            (Code::ResourceExhausted, ErrorReason::ServerOverloaded)
        }
        Error::VerifierOverloaded => (Code::ResourceExhausted, ErrorReason::VerifierOverloaded),
        Error::KeyUnavailable(_) => (Code::Unavailable, ErrorReason::KeyUnavailable),
        Error::DatabaseUnavailable(_) => (Code::Unavailable, ErrorReason::DatabaseUnavailable),
        Error::OutcomeUnknown(_) => (Code::Unavailable, ErrorReason::OutcomeUnknown),
        Error::DeadlineExceeded => (Code::DeadlineExceeded, ErrorReason::DeadlineExceeded),
        Error::Internal(_) => (Code::Internal, ErrorReason::Internal),
    }
}

const fn reason_of(excess: &Excess) -> ErrorReason {
    match excess {
        Excess::Tokens { .. } => ErrorReason::TokenLimitReached,
        Excess::Issues(_) => ErrorReason::IssuanceRateExceeded,
        Excess::Leaks(_) => ErrorReason::RevokeSecretRateExceeded,
    }
}

/// The reason as it stands in `ErrorInfo`.
pub(super) fn name(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix(PREFIX).unwrap_or(name)
}

/// By what the audit names that a caller was refused; `None` if the request failed by something else.
pub(super) fn refusal(error: &Error) -> Option<&'static str> {
    let (code, reason) = classify(error);
    matches!(code, Code::Unauthenticated | Code::PermissionDenied).then(|| name(reason))
}

/// The reason that a status carries, if it is one of ours.
#[must_use]
pub fn reason(status: &Status) -> Option<ErrorReason> {
    let details = status.get_error_details();
    let info = details.error_info().filter(|info| info.domain == DOMAIN)?;
    ErrorReason::from_str_name(&format!("{PREFIX}{}", info.reason))
}

/// A server's status within an answer that holds outcomes of several.
#[must_use]
pub fn passed_on(status: &Status) -> v1::IntrospectionFailure {
    v1::IntrospectionFailure {
        code: status.code().into(),
        reason: reason(status).unwrap_or_default().into(),
        message: status.message().to_owned(),
    }
}

/// The failure of an introspection that is the only one of its answer.
#[must_use]
pub fn from_failure(failure: &v1::IntrospectionFailure) -> Status {
    let code = Code::from_i32(failure.code);
    let mut details = ErrorDetails::with_error_info(name(failure.reason()), DOMAIN, HashMap::new());
    if matches!(code, Code::Unavailable | Code::ResourceExhausted) {
        details.set_retry_info(Some(RETRY_DELAY));
    }
    Status::with_error_details(code, &failure.message, details)
}

/// The values that the message speaks of, for programs.
#[expect(clippy::too_many_lines, reason = "a table of all errors")]
fn metadata(error: &Error) -> HashMap<String, String> {
    let value = match error {
        Error::RevisionCompacted { compacted, head } => {
            let (compacted, head) = (compacted.to_string(), head.to_string());
            return named([("compacted_revision", compacted), ("head_revision", head)]);
        }
        Error::CountMismatch { count, .. } => Some(("count", count.to_string())),
        Error::Excess(excess) => return named(limits_of(excess)),
        Error::ScopeRequired(permission) => Some(("scope", Permission::scope(*permission).to_string())),
        Error::ScopeEscalation(scope) => Some(("scope", scope.to_string())),
        Error::WorkspaceDenied(id)
        | Error::WorkspaceNotFound(id)
        | Error::WorkspaceExists(id)
        | Error::WorkspaceWithoutProfile(id) => Some(("workspace", id.to_string())),
        Error::PrincipalDisabled(id) => Some(("principal", id.to_string())),
        Error::ProfileNotFound(name) => Some(("profile", name.to_string())),
        Error::TokenNotFound(id)
        | Error::TokenRevoked(id)
        | Error::TokenExpired(id)
        | Error::SecretSuperseded(id)
        | Error::SecretUnavailable(id) => Some(("id", id.to_string())),
        Error::KeyUnavailable(kid) => Some(("kid", kid.to_string())),
        Error::CredentialMissing
        | Error::CredentialInvalid
        | Error::EveryWorkspaceRequired
        | Error::LifetimeEscalation
        | Error::InvalidFields(_)
        | Error::PrincipalNotFound
        | Error::PrincipalExists
        | Error::ProfileForbids(_)
        | Error::RequestIdReused
        | Error::RequestCarriedOut
        | Error::EtagMismatch
        | Error::InvalidPageToken
        | Error::InvalidCursor
        | Error::CursorForeign
        | Error::CursorAhead
        | Error::RevisionAhead
        | Error::HistoryForeign
        | Error::LeaseUnknown
        | Error::TooManyLeases
        | Error::RevisionNotReached
        | Error::LeaseLost
        | Error::UpstreamUnavailable
        | Error::SlowConsumer
        | Error::Draining
        | Error::AnswerTooLarge
        | Error::Overloaded
        | Error::VerifierOverloaded
        | Error::DatabaseUnavailable(_)
        | Error::OutcomeUnknown(_)
        | Error::DeadlineExceeded
        | Error::Internal(_) => None,
    };
    named(value)
}

fn limits_of(excess: &Excess) -> Vec<(&'static str, String)> {
    match excess {
        Excess::Tokens { limit, principal } => {
            let principal = principal.as_ref().map(|principal| ("principal", principal.to_string()));
            [("limit", limit.to_string())].into_iter().chain(principal).collect()
        }
        Excess::Issues(_) | Excess::Leaks(_) => Vec::new(),
    }
}

fn named(values: impl IntoIterator<Item = (&'static str, String)>) -> HashMap<String, String> {
    values.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Source, StoreError};
    use crate::token::Revision;

    fn told(error: &Error) -> (Code, String, bool) {
        let status = from_error(error);
        let details = status.get_error_details();
        let reason = details.error_info().unwrap().reason.clone();
        (status.code(), reason, details.retry_info().is_some())
    }

    #[test]
    fn trying_again_is_advised_only_where_nothing_was_changed() {
        let lost = || Source::from(Box::from("connection reset"));
        let away = Error::from(StoreError::Unavailable { source: lost() });
        assert_eq!(told(&away), (Code::Unavailable, "DATABASE_UNAVAILABLE".to_owned(), true));
        let unknown = Error::from(StoreError::CommitUnknown { source: lost() });
        assert_eq!(told(&unknown), (Code::Unavailable, "OUTCOME_UNKNOWN".to_owned(), false));
        let full = Error::from(StoreError::Overloaded);
        assert_eq!(told(&full), (Code::ResourceExhausted, "SERVER_OVERLOADED".to_owned(), true));
    }

    #[test]
    fn what_was_compacted_is_told_to_programs() {
        let (compacted, head) = (Revision(41), Revision(99));
        let status = from_error(&Error::RevisionCompacted { compacted, head });
        assert_eq!(status.code(), Code::OutOfRange);
        let info = status.get_error_details().error_info().unwrap().clone();
        let value = |key: &str| info.metadata.get(key).map(String::as_str);
        assert_eq!((value("compacted_revision"), value("head_revision")), (Some("41"), Some("99")));
    }

    /// Whoever has lost its lease, or has not heard of a change, asks again or elsewhere; whoever speaks of another
    /// history must first learn of this one.
    #[test]
    fn what_is_only_not_known_yet_may_be_asked_again() {
        for (error, code, reason, again) in [
            (Error::LeaseLost, Code::Unavailable, "LEASE_LOST", true),
            (Error::RevisionNotReached, Code::Unavailable, "REVISION_NOT_REACHED", true),
            (Error::UpstreamUnavailable, Code::Unavailable, "UPSTREAM_UNAVAILABLE", true),
            (Error::TooManyLeases, Code::ResourceExhausted, "TOO_MANY_LEASES", true),
            (Error::LeaseUnknown, Code::FailedPrecondition, "LEASE_UNKNOWN", false),
            (Error::HistoryForeign, Code::FailedPrecondition, "HISTORY_FOREIGN", false),
            (Error::RevisionAhead, Code::FailedPrecondition, "REVISION_AHEAD", false),
        ] {
            assert_eq!(told(&error), (code, reason.to_owned(), again));
        }
    }

    #[test]
    fn a_refusal_is_what_a_caller_may_not_do_and_not_what_cannot_be_done() {
        assert_eq!(refusal(&Error::CredentialInvalid), Some("CREDENTIAL_INVALID"));
        assert_eq!(refusal(&Error::EveryWorkspaceRequired), Some("WORKSPACE_DENIED"));
        assert_eq!(refusal(&Error::EtagMismatch), None);
    }

    #[test]
    fn a_failure_among_many_and_alone_are_told_alike() {
        let status = from_error(&Error::VerifierOverloaded);
        let again = from_failure(&passed_on(&status));
        assert_eq!((again.code(), reason(&again)), (status.code(), reason(&status)));
        assert_eq!(reason(&again), Some(ErrorReason::VerifierOverloaded));
        assert!(again.get_error_details().retry_info().is_some());
    }

    #[test]
    fn a_defect_of_ours_tells_nothing_of_its_cause() {
        let status = from_error(&Error::from(StoreError::Corrupt { what: "tokens.name" }));
        assert_eq!((status.code(), status.message()), (Code::Internal, "internal error"));
        assert!(!String::from_utf8_lossy(status.details()).contains("tokens"));
    }
}
