//! What to do about a refusal, where more can be said than the refusal says itself.

use tonic::Code;

use crate::proto::v1::ErrorReason;

/// After a change of which nobody knows whether it was made.
pub(super) const PERHAPS_DONE: &str = "\n  it may have been done all the same: look before you try again";

/// What to do about it; `None` if the message says all there is.
pub(super) fn of(code: Code, reason: Option<ErrorReason>, scope: Option<&str>) -> Option<String> {
    if let (Some(ErrorReason::ScopeRequired), Some(scope)) = (reason, scope) {
        return Some(format!("use a credential whose token has the scope {scope}"));
    }
    let said = match reason {
        Some(reason) => of_reason(reason),
        None if code == Code::Unimplemented => Some("the server is of another version than this program"),
        None if code == Code::Unavailable => Some("is it running, and is --server its address?"),
        None => None,
    };
    said.map(str::to_owned)
}

#[expect(clippy::too_many_lines, reason = "an arm for each reason there is")]
fn of_reason(reason: ErrorReason) -> Option<&'static str> {
    match reason {
        ErrorReason::CredentialMissing | ErrorReason::CredentialInvalid => {
            Some("name the file of a live token with --credential-file or TOKENKEEP_CREDENTIAL_FILE")
        }
        ErrorReason::WorkspaceDenied => {
            Some("use a credential of that workspace, or of the workspace tokenkeep")
        }
        ErrorReason::ScopeEscalation | ErrorReason::LifetimeEscalation => {
            Some("use a credential that may do as much, for as long")
        }
        ErrorReason::TokenExpired => {
            Some("renew it in the same call: --lifetime, --expire-time or --never-expires")
        }
        ErrorReason::TokenSuspended => Some("resume it first: tokenkeep token resume"),
        ErrorReason::EtagMismatch => Some("it has changed meanwhile: look at it again, and decide anew"),
        ErrorReason::CountMismatch => Some("what matches has changed meanwhile: do the dry run again"),
        ErrorReason::SecretSuperseded | ErrorReason::SecretUnavailable => {
            Some("give it another secret: tokenkeep token regenerate")
        }
        ErrorReason::TokenLimitReached => {
            Some("revoke what is not needed, or raise the limit of the workspace")
        }
        ErrorReason::PrincipalDisabled => Some("enable it first: tokenkeep principal edit --enable"),
        ErrorReason::ProfileForbids => Some("tokenkeep workspace profile shows what there is to choose from"),
        ErrorReason::OutcomeUnknown | ErrorReason::DeadlineExceeded => {
            Some("it may have been done all the same: look before you try again")
        }
        ErrorReason::RevisionCompacted | ErrorReason::CursorForeign | ErrorReason::CursorAhead => {
            Some("verify what was derived from the stream, then watch without --cursor")
        }
        ErrorReason::Unspecified
        | ErrorReason::InvalidField
        | ErrorReason::ScopeRequired
        | ErrorReason::TokenNotFound
        | ErrorReason::WorkspaceNotFound
        | ErrorReason::WorkspaceExists
        | ErrorReason::TokenRevoked
        | ErrorReason::InvalidPageToken
        | ErrorReason::InvalidCursor
        | ErrorReason::SlowConsumer
        | ErrorReason::Draining
        | ErrorReason::DatabaseUnavailable
        | ErrorReason::KeyUnavailable
        | ErrorReason::VerifierOverloaded
        | ErrorReason::ServerOverloaded
        | ErrorReason::Internal
        | ErrorReason::RevisionAhead
        | ErrorReason::RevisionNotReached
        | ErrorReason::LeaseLost
        | ErrorReason::LeaseUnknown
        | ErrorReason::TooManyLeases
        | ErrorReason::UpstreamUnavailable
        | ErrorReason::HistoryForeign
        | ErrorReason::AnswerTooLarge
        | ErrorReason::ProfileNotFound
        | ErrorReason::PrincipalNotFound
        | ErrorReason::PrincipalExists
        | ErrorReason::RequestIdReused
        | ErrorReason::IssuanceRateExceeded
        | ErrorReason::RevokeSecretRateExceeded => None,
    }
}
