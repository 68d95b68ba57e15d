//! What a failed call to a server means for the sidecar: the one place that judges it.

use tonic::{Code, Status};

use crate::proto::v1::ErrorReason;
use crate::rpc::status;

/// Why something was not done.
#[derive(Debug)]
pub(super) enum Failure {
    /// The credential is not that of a sidecar, or not any more.
    Refused(Status),
    /// The server is of another history, or no longer has what comes next: what is known must be verified anew.
    Astray(String),
    /// The server has no lease of ours on record.
    LeaseUnknown,
    /// The server cannot do it now; another may.
    Away(Status),
}

impl Failure {
    /// No answer, or no frame, in time.
    pub(super) fn silent() -> Self {
        Self::Away(Status::unavailable("nothing was heard in time"))
    }

    /// Whether the server has only no lease to give: it can be asked about every request.
    pub(super) fn is_no_lease(&self) -> bool {
        matches!(self, Self::Away(status) if status::reason(status) == Some(ErrorReason::TooManyLeases))
    }

    /// Why, for the log.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Refused(status) | Self::Away(status) => status.message().to_owned(),
            Self::Astray(reason) => reason.clone(),
            Self::LeaseUnknown => "the server has no such lease on record".to_owned(),
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        if matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied) {
            return Self::Refused(status);
        }
        match status::reason(&status) {
            Some(ErrorReason::LeaseUnknown) => Self::LeaseUnknown,
            Some(
                ErrorReason::CursorForeign
                | ErrorReason::CursorAhead
                | ErrorReason::InvalidCursor
                | ErrorReason::RevisionCompacted
                | ErrorReason::HistoryForeign,
            ) => Self::Astray(status.message().to_owned()),
            _ => Self::Away(status),
        }
    }
}

impl From<tonic::transport::Error> for Failure {
    fn from(error: tonic::transport::Error) -> Self {
        Self::Away(Status::unavailable(crate::telemetry::chain(&error)))
    }
}
