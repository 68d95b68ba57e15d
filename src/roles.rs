//! What the program does when it is started: one file a role.

mod healthcheck;
mod version;

use std::io;
use std::process::ExitCode;

use crate::settings::{CommandLine, Role, SettingsError};
use crate::telemetry::{self, TelemetryError};

/// Why a role ended without having done its work.
#[derive(Debug, thiserror::Error)]
pub enum RoleError {
    /// A setting that only the role could judge.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The log or the guard against core dumps.
    #[error("cannot start")]
    Telemetry(#[from] TelemetryError),
    /// The threads or their events.
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    /// The standard output is closed or full.
    #[error("cannot write to the standard output")]
    Output(#[source] io::Error),
    /// This build has no such role.
    #[error("this build cannot {0}")]
    Absent(&'static str),
}

impl RoleError {
    /// 2 for wrong usage, 1 for everything else.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Settings(_) => ExitCode::from(2),
            Self::Telemetry(_) | Self::Runtime(_) | Self::Output(_) | Self::Absent(_) => ExitCode::FAILURE,
        }
    }
}

/// Does what the command line asks for, and gives the exit code.
///
/// # Errors
/// [`RoleError`], which the caller tells the user: nobody else has.
pub fn run(command_line: CommandLine) -> Result<ExitCode, RoleError> {
    let logging = command_line.logging;
    telemetry::start_log(&logging.log, logging.log_format)?;
    telemetry::forbid_core_dumps()?;
    match command_line.role {
        Role::Serve(_) => Err(RoleError::Absent("serve")),
        Role::Dev(_) => Err(RoleError::Absent("dev")),
        Role::Migrate(_) => Err(RoleError::Absent("migrate")),
        Role::OperatorToken(_) => Err(RoleError::Absent("issue the operator's token")),
        Role::Healthcheck(settings) => healthcheck::run(&settings),
        Role::Version => version::run(),
    }
}
