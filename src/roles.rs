//! What the program does when it is started: one file a role.

mod completion;
mod dev;
mod edge;
mod healthcheck;
mod keyring;
mod migrate;
mod operator_token;
mod profile_check;
mod renew_history;
mod serve;
mod sidecar;
mod table;
mod version;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use tokio::runtime::Runtime;

use crate::cli::{self, CliError};
use crate::compose::{ProcessError, ServerError};
use crate::keyring::KeyringError;
use crate::postgres;
use crate::profile::ProfilesError;
use crate::server::listen::ListenAddressError;
use crate::service;
use crate::settings::{CommandLine, Profile, Role, SettingsError};
use crate::store::{StoreError, UrlError};
use crate::telemetry::{self, TelemetryError};
use crate::upstream::{CredentialError, UpstreamError};

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
    /// The server keys.
    #[error("cannot use the keyring")]
    Keyring(#[from] KeyringError),
    /// The database URL or what it names.
    #[error("cannot use the database URL")]
    DatabaseUrl(#[from] UrlError),
    /// The database itself.
    #[error("cannot use the database")]
    Database(#[from] StoreError),
    /// The private PostgreSQL of `dev`.
    #[error("cannot run a private PostgreSQL")]
    Postgres(#[from] postgres::Error),
    /// The address to listen on.
    #[error("cannot listen")]
    Listen(#[from] ListenAddressError),
    /// The server did not start, or did not go on.
    #[error("the server failed")]
    Server(#[from] ServerError),
    /// The sidecar did not start, or did not go on.
    #[error("the sidecar failed")]
    Sidecar(#[from] ProcessError),
    /// The address of a server cannot be asked.
    #[error("cannot ask a server")]
    Upstream(#[from] UpstreamError),
    /// There is no credential to present.
    #[error("cannot use the credential")]
    Credential(#[from] CredentialError),
    /// The keyring does not fit the database.
    #[error("cannot use the keyring")]
    Keys(#[from] service::KeysError),
    /// A key cannot be rolled to, or retired.
    #[error(transparent)]
    Rotation(#[from] service::RotationError),
    /// The profiles.
    #[error(transparent)]
    Profiles(#[from] ProfilesError),
    /// The operating system has no randomness to give.
    #[error("cannot get random bytes from the operating system")]
    Randomness(#[from] rand::rngs::SysError),
    /// The operator's token could not be issued.
    #[error("cannot issue the operator's token")]
    Issue(#[from] service::Error),
    /// There is one already.
    #[error("there is an operator's token already; --reset replaces its secret, which ends the old one")]
    OperatorTokenExists,
    /// A command for people.
    #[error(transparent)]
    Cli(#[from] CliError),
    /// A file cannot be written.
    #[error("cannot write {path}")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
}

impl RoleError {
    /// 2 for wrong usage, 1 for everything else.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Settings(_) => ExitCode::from(2),
            Self::Cli(error) => error.exit_code(),
            Self::Telemetry(_)
            | Self::Runtime(_)
            | Self::Output(_)
            | Self::Keyring(_)
            | Self::DatabaseUrl(_)
            | Self::Database(_)
            | Self::Postgres(_)
            | Self::Listen(_)
            | Self::Server(_)
            | Self::Sidecar(_)
            | Self::Upstream(_)
            | Self::Credential(_)
            | Self::Keys(_)
            | Self::Rotation(_)
            | Self::Profiles(_)
            | Self::Randomness(_)
            | Self::Issue(_)
            | Self::OperatorTokenExists
            | Self::Unwritable { .. } => ExitCode::FAILURE,
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
        Role::Serve(settings) => serve::run(&settings).map(|()| ExitCode::SUCCESS),
        Role::Dev(settings) => dev::run(&settings).map(|()| ExitCode::SUCCESS),
        Role::Sidecar(settings) => sidecar::run(&settings).map(|()| ExitCode::SUCCESS),
        Role::Migrate(settings) => migrate::run(&settings).map(|()| ExitCode::SUCCESS),
        Role::OperatorToken(settings) => operator_token::run(&settings).map(|()| ExitCode::SUCCESS),
        Role::RenewHistory(settings) => renew_history::run(&settings).map(|()| ExitCode::SUCCESS),
        Role::Keyring(command) => keyring::run(&command).map(|()| ExitCode::SUCCESS),
        Role::Healthcheck(settings) => healthcheck::run(&settings),
        Role::Token(asked) => Ok(cli::token(&asked)?),
        Role::Workspace(asked) => Ok(cli::workspace(&asked)?),
        Role::Principal(asked) => Ok(cli::principal(&asked)?),
        Role::Audit(asked) => Ok(cli::audit(&asked)?),
        Role::Completion(arguments) => completion::run(&arguments).map(|()| ExitCode::SUCCESS),
        Role::Profile(Profile::Check(arguments)) => profile_check::run(&arguments.files),
        Role::Version => version::run(),
    }
}

/// The runtime that owns the database, and everything that waits for it.
fn runtime() -> Result<Runtime, RoleError> {
    tokio::runtime::Builder::new_multi_thread()
        .thread_name("database")
        .enable_all()
        .build()
        .map_err(RoleError::Runtime)
}
