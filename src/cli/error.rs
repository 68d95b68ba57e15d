//! Why a command did not do what was asked, in the words of whoever asked it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::exit::Exit;
use super::remedy;
use super::show::text::clean;
use crate::proto::v1::ErrorReason;
use crate::rpc::status::reason;
use crate::settings::SettingsError;
use crate::upstream::{CredentialError, UpstreamError};

/// Why a command did not do what was asked. None of them repeats a secret.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// A setting that only the command could judge.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The address of the server.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// There is no credential.
    #[error("cannot use the credential")]
    Credential(#[from] CredentialError),
    /// Nobody said what to authenticate by.
    #[error(
        "no credential is set: put a token into a file and set --credential-file or TOKENKEEP_CREDENTIAL_FILE, or run \
         `tokenkeep dev` on this machine, which leaves one in its data directory"
    )]
    NoCredential,
    /// The threads or their events.
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    /// The standard output is closed or full.
    #[error("cannot write to the standard output")]
    Output(#[source] io::Error),
    /// An answer that cannot be shown.
    #[error("cannot write the answer as JSON")]
    Json(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The standard input, or the file in its place.
    #[error("cannot read {from}")]
    Input {
        /// What was to be read.
        from: String,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// There was nothing to present.
    #[error("there is no token in {0}")]
    NothingPresented(String),
    /// The file for the secret.
    #[error("cannot write {}", .path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// The secret is on record, and nobody has it.
    #[error("the secret was issued, but cannot be written to {}; regenerate the token", .path.display())]
    SecretLost {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// Whoever was asked said no.
    #[error("nothing was changed")]
    Declined,
    /// Nobody can be asked.
    #[error("{what} cannot be undone, and there is no terminal to ask at: say --yes")]
    NobodyToAsk {
        /// What is about to be done.
        what: &'static str,
    },
    /// A bulk revocation of everything, by oversight.
    #[error("no filter narrows this: say which tokens, or --all for every token of the workspace")]
    NotNarrowed,
    /// A command that says two things that do not go together.
    #[error("{0}")]
    Usage(&'static str),
    /// The server said no, or nothing.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// No answer in the time that was given.
    #[error("no answer from {server} within {within:?}{}", if *.changes { remedy::PERHAPS_DONE } else { "" })]
    Timeout {
        /// The server.
        server: String,
        /// For how long was waited.
        within: Duration,
        /// Whether it may have been done all the same.
        changes: bool,
    },
    /// It is done, but some cache may not have heard of it.
    #[error("it is done, but the fleet has not confirmed it in time; the same command waits on")]
    Unconfirmed,
}

impl CliError {
    /// What the exit code says.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Settings(_)
            | Self::Upstream(_)
            | Self::NoCredential
            | Self::NobodyToAsk { .. }
            | Self::NotNarrowed
            | Self::NothingPresented(_)
            | Self::Usage(_) => Exit::Usage,
            Self::Credential(_)
            | Self::Runtime(_)
            | Self::Output(_)
            | Self::Json(_)
            | Self::Input { .. }
            | Self::Unwritable { .. }
            | Self::SecretLost { .. }
            | Self::Declined => Exit::Failed,
            Self::Refused(refusal) => refusal.exit(),
            Self::Timeout { changes: true, .. } => Exit::Unknown,
            Self::Timeout { changes: false, .. } | Self::Unconfirmed => Exit::Unavailable,
        }
    }

    /// The same as a number.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        self.exit().into()
    }

    /// Whether the reader of our output has gone, as `head` does once it has enough.
    pub(super) fn is_closed_output(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// What a server said instead of an answer, or what became of the way there.
#[derive(Debug)]
pub struct Refusal {
    code: Code,
    reason: Option<ErrorReason>,
    message: String,
    /// What is wrong with which field.
    fields: Vec<(String, String)>,
    /// The scope that is missing, where one is.
    scope: Option<String>,
    /// Whether trying again is advised.
    again: bool,
    /// Whether the answer was lost on its way, and not said.
    lost: bool,
    /// Whether a change was asked for.
    changes: bool,
}

impl Refusal {
    /// Reads a status of this server, which was asked for a change or not.
    pub(super) fn new(status: &Status, server: &str, changes: bool) -> Self {
        let details = status.get_error_details();
        let fields = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
        let lost = is_lost(status);
        let message = match root(status) {
            Some(cause) => format!("cannot reach {server}: {cause}"),
            None if status.message().is_empty() => status.code().description().to_owned(),
            None => status.message().to_owned(),
        };
        Self {
            code: status.code(),
            reason: reason(status),
            message,
            fields: fields.into_iter().map(|field| (field.field, field.description)).collect(),
            scope: details.error_info().and_then(|info| info.metadata.get("scope").cloned()),
            again: details.retry_info().is_some(),
            lost,
            changes,
        }
    }

    fn exit(&self) -> Exit {
        match self.reason {
            Some(ErrorReason::OutcomeUnknown | ErrorReason::DeadlineExceeded) if self.changes => {
                Exit::Unknown
            }
            Some(
                ErrorReason::RevisionCompacted
                | ErrorReason::CursorForeign
                | ErrorReason::CursorAhead
                | ErrorReason::InvalidCursor,
            ) => Exit::CursorLost,
            _ => self.exit_by_code(),
        }
    }

    fn exit_by_code(&self) -> Exit {
        match self.code {
            Code::Ok => Exit::Done,
            Code::InvalidArgument => Exit::Usage,
            Code::NotFound => Exit::NotFound,
            Code::Unauthenticated | Code::PermissionDenied => Exit::Forbidden,
            Code::ResourceExhausted if self.again => Exit::Unavailable,
            Code::DeadlineExceeded | Code::Cancelled | Code::Unknown if self.changes => Exit::Unknown,
            Code::Internal if self.lost && self.changes => Exit::Unknown,
            Code::Unknown | Code::Internal if self.lost => Exit::Unavailable,
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => Exit::Unavailable,
            Code::Unknown
            | Code::Internal
            | Code::ResourceExhausted
            | Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::DataLoss => Exit::Failed,
        }
    }
}

/// The cause of all, where the way to the server broke; what lies between says the same in other words.
fn root(status: &Status) -> Option<String> {
    let errors = std::iter::successors(std::error::Error::source(status), |error| error.source());
    errors.last().map(ToString::to_string)
}

/// Whether a status says that the way to the server broke, not what the server said.
pub(super) fn is_lost(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

impl fmt::Display for Refusal {
    /// The message with the reason to switch on; a line for each wrong field; and what to do about it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = self.reason.map(|reason| reason.as_str_name().trim_start_matches("ERROR_REASON_"));
        let word = reason.map_or_else(|| code_name(self.code), str::to_owned);
        // The message of a server repeats what the lines below say.
        let message = if self.fields.is_empty() { &self.message } else { "the server does not take this" };
        write!(formatter, "{} ({word})", clean(message))?;
        for (field, description) in &self.fields {
            write!(formatter, "\n  {}: {}", clean(field), clean(rule(field, description)))?;
        }
        let remedy = remedy::of(self.code, self.reason, self.scope.as_deref());
        let remedy = remedy.filter(|_| !(self.lost && self.changes && self.exit() == Exit::Unknown));
        match remedy {
            Some(remedy) => write!(formatter, "\n  {remedy}"),
            None if self.exit() == Exit::Unknown => write!(formatter, "{}", remedy::PERHAPS_DONE),
            None => Ok(()),
        }
    }
}

/// The rule that a field broke: a description without the field's name, which a server puts first.
fn rule<'text>(field: &str, description: &'text str) -> &'text str {
    let named = description.strip_prefix(&format!("`{field}`")).or_else(|| description.strip_prefix(field));
    named.unwrap_or(description).trim_start()
}

/// The name of a code as gRPC writes it.
fn code_name(code: Code) -> String {
    let mut name = String::new();
    for character in format!("{code:?}").chars() {
        if character.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(character.to_ascii_uppercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::status::from_error;
    use crate::service::Error;

    fn told(error: &Error, changes: bool) -> (String, Exit) {
        let refusal = Refusal::new(&from_error(error), "there", changes);
        (refusal.to_string(), refusal.exit())
    }

    #[test]
    fn a_refusal_tells_the_reason_the_fields_and_a_remedy() {
        let (text, exit) = told(&Error::EtagMismatch, true);
        assert!(text.contains("(ETAG_MISMATCH)\n  "), "{text}");
        assert_eq!(exit, Exit::Failed);
        let status = Status::new(Code::Unimplemented, "not yet");
        let text = Refusal::new(&status, "there", true).to_string();
        assert!(text.starts_with("not yet (UNIMPLEMENTED)"), "{text}");
    }

    #[test]
    fn the_exit_code_tells_what_a_script_must_know() {
        assert_eq!(told(&Error::CredentialInvalid, true).1, Exit::Forbidden);
        assert_eq!(told(&Error::PrincipalNotFound, true).1, Exit::NotFound);
        assert_eq!(told(&Error::Overloaded, true).1, Exit::Unavailable);
        assert_eq!(told(&Error::DeadlineExceeded, true).1, Exit::Unknown);
        assert_eq!(told(&Error::DeadlineExceeded, false).1, Exit::Unavailable);
        assert_eq!(told(&Error::CursorForeign, false).1, Exit::CursorLost);
    }
}
