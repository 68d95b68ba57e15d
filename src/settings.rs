//! The settings: what the command line, the environment and a file say, as types that hold their rules.
//!
//! A setting is declared once, as an argument under a help heading in [`groups`]. From its flag follow its variable and
//! its key in the file: `--request-timeout` is `TOKENKEEP_REQUEST_TIMEOUT` and `request-timeout = "10s"`. A flag wins
//! over a variable, a variable over the file. An argument without a heading belongs to one call and has a flag only.

pub mod client;
mod database;
mod error;
mod file;
pub mod groups;
pub mod keyring;
mod layers;
pub mod sidecar;
mod value;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use secrecy::SecretString;

pub use database::{DatabaseSource, DatabaseUrl, DirectDatabaseSource};
pub use error::{Origin, SettingsError};
pub use keyring::Keyring;
pub use sidecar::Sidecar;
pub use value::{Argon2Cost, OperationsListen, Parallelism};

use client::{Asking, Completion};
use groups::{Address, DataDirectory, Hashing, Keys, Logging, Server};
use layers::Layers;

/// What one call of the program was asked to do, and with which settings.
#[derive(Debug, Parser)]
#[command(name = "tokenkeep", version, about, subcommand_required = true, arg_required_else_help = true)]
pub struct CommandLine {
    /// Settings that every role has.
    #[command(flatten)]
    pub logging: Logging,
    /// The role and its own settings.
    #[command(subcommand)]
    pub role: Role,
}

/// What the program is started as.
#[derive(Debug, Subcommand)]
pub enum Role {
    /// Serve the API over a PostgreSQL database.
    Serve(Serve),
    /// Serve the API over a private PostgreSQL of its own: one machine, nothing to install.
    Dev(Dev),
    /// Answer introspections beside whoever asks, from a cache that servers keep coherent.
    Sidecar(Sidecar),
    /// Bring the database to this version's schema, and end.
    Migrate(Migrate),
    /// Issue the operator's token, which may do anything.
    OperatorToken(OperatorToken),
    /// Begin a new history of the log, which ends every cursor and cache of the old one, and end. For whoever has restored
    /// a backup, or promoted a standby that was not synchronous, by means that leave no trace in PostgreSQL; of a new
    /// timeline and of another cluster the servers find out themselves.
    RenewHistory(RenewHistory),
    /// Tend the server keys: make, list, roll to and retire them.
    #[command(subcommand)]
    Keyring(Keyring),
    /// Ask a server for its health: exit code 0 if it serves, 1 if it does not, 2 if it cannot be reached.
    Healthcheck(Healthcheck),
    /// Issue, find, edit, replace, pause, end, judge and follow tokens.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Token(Asking<client::token::Token>),
    /// Add, find, edit and invalidate workspaces.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Workspace(Asking<client::workspace::Workspace>),
    /// Add, find, edit, disable and end principals: users and service accounts.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Principal(Asking<client::principal::Principal>),
    /// Read who did what.
    #[command(subcommand_required = true, arg_required_else_help = true)]
    Audit(Asking<client::audit::Audit>),
    /// Print a script that has a shell complete these commands.
    Completion(Completion),
    /// Look at profiles, the files that say what products ask of their tokens.
    #[command(subcommand)]
    Profile(Profile),
    /// Print the version, the commit and the target this program was built for.
    Version,
}

/// Settings of `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// How the API is served.
    #[command(flatten)]
    pub server: Server,
    /// Which database.
    #[command(flatten)]
    pub database: DatabaseSource,
    /// Another way to it.
    #[command(flatten)]
    pub direct_database: DirectDatabaseSource,
    /// Which server keys.
    #[command(flatten)]
    pub keys: Keys,
}

/// Settings of `dev`.
#[derive(Debug, Args)]
pub struct Dev {
    /// How the API is served.
    #[command(flatten)]
    pub server: Server,
    /// Where the database, the keys and the operator's token are kept.
    #[command(flatten)]
    pub data: DataDirectory,
}

/// Settings of `migrate`.
#[derive(Debug, Args)]
pub struct Migrate {
    /// Which database.
    #[command(flatten)]
    pub database: DatabaseSource,
}

/// Settings of `renew-history`.
#[derive(Debug, Args)]
pub struct RenewHistory {
    /// Which database.
    #[command(flatten)]
    pub database: DatabaseSource,
}

/// Settings and arguments of `operator-token`; what follows a flattened group would come under that group's heading.
#[derive(Debug, Args)]
pub struct OperatorToken {
    /// Write the token to this file, readable to its owner only, instead of to the standard output.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Issue a new secret, which ends the old one, if the token exists already.
    #[arg(long)]
    pub reset: bool,
    /// Which database.
    #[command(flatten)]
    pub database: DatabaseSource,
    /// Which server keys.
    #[command(flatten)]
    pub keys: Keys,
    /// What hashing the token costs.
    #[command(flatten)]
    pub hashing: Hashing,
}

/// Settings and arguments of `healthcheck`; what follows a flattened group would come under that group's heading.
#[derive(Debug, Args)]
pub struct Healthcheck {
    /// The address to ask, if it is not the one the server listens on.
    #[arg(long, value_name = "ADDRESS")]
    pub address: Option<String>,
    /// The service asked about, like `tokenkeep.v1.TokenService`; empty for the server as a whole.
    #[arg(long, value_name = "NAME", default_value = "")]
    pub service: String,
    /// Speak TLS, and trust the certificates in this PEM file.
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// The name that the server's certificate must bear, if it is not the host of the address.
    #[arg(long, value_name = "NAME", requires = "tls_ca")]
    pub tls_server_name: Option<String>,
    /// The certificate to present, as a PEM file, to a server that wants one of its clients.
    #[arg(long, value_name = "FILE", requires_all = ["tls_ca", "tls_client_key"])]
    pub tls_client_certificate: Option<PathBuf>,
    /// The private key of that certificate, as a PEM file.
    #[arg(long, value_name = "FILE", requires = "tls_client_certificate")]
    pub tls_client_key: Option<PathBuf>,
    /// How long to wait for the answer.
    #[arg(long, value_name = "DURATION", default_value = "3s", value_parser = value::duration)]
    pub timeout: std::time::Duration,
    /// Where the server listens.
    #[command(flatten)]
    pub listening: Address,
}

/// What can be done with profiles.
#[derive(Debug, Subcommand)]
pub enum Profile {
    /// Say whether files are right profiles, without a database: exit code 0 if all are, 1 if one is not.
    Check(ProfileCheck),
}

/// Arguments of `profile check`.
#[derive(Debug, Args)]
pub struct ProfileCheck {
    /// The files.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

impl CommandLine {
    /// Reads the settings of this process.
    ///
    /// # Errors
    /// [`SettingsError`], also when help was asked for.
    pub fn of_this_process() -> Result<Self, SettingsError> {
        let arguments: Vec<OsString> = std::env::args_os().collect();
        Self::read(&arguments, std::env::vars_os())
    }

    /// Reads the settings from arguments, of which the first is the program's name, from an environment, and from the
    /// file that one of them names.
    ///
    /// # Errors
    /// [`SettingsError`] names the flag, variable or key at fault and says what to do.
    pub fn read(
        arguments: &[OsString],
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, SettingsError> {
        let command = client::with_exit_codes(layers::with_sources_in_help(Self::command()));
        // The first look finds what must be known before anything is judged: a wish for help, and the file's name.
        let first = command.clone().ignore_errors(true).try_get_matches_from(arguments);
        let first = first.map_err(|help| SettingsError::Usage(Box::new(help)))?;
        let names = layers::names(&command);
        let mut layers = Layers::of_environment(&names, environment)?;
        if let Some(path) = config_file(&first, &layers) {
            layers.lay_over(file::read(&names, &path)?);
        }
        let matches = layers.under(command).try_get_matches_from(arguments);
        let matches = matches.map_err(|error| layers.explain(error, &names, arguments))?;
        let read =
            Self::from_arg_matches(&matches).map_err(|error| layers.explain(error, &names, arguments))?;
        refuse_secrets_in_arguments(&matches)?;
        Ok(read)
    }
}

/// The file with settings, if a flag or the environment names one.
fn config_file(matches: &ArgMatches, layers: &Layers) -> Option<PathBuf> {
    let flag = matches.try_get_one::<PathBuf>("config").ok().flatten();
    flag.cloned().or_else(|| layers.value("config").map(PathBuf::from))
}

/// Every process of the machine may read another's arguments.
fn refuse_secrets_in_arguments(matches: &ArgMatches) -> Result<(), SettingsError> {
    let Some((_, role)) = matches.subcommand() else { return Ok(()) };
    refuse_secrets_in_arguments(role)?;
    for (id, name) in [("database_url", "database-url"), ("direct_database_url", "direct-database-url")] {
        let url = role.try_get_one::<DatabaseUrl>(id).ok().flatten();
        let from_flag = || role.value_source(id) == Some(ValueSource::CommandLine);
        if url.is_some_and(DatabaseUrl::has_password) && from_flag() {
            return Err(SettingsError::PasswordInArguments { name });
        }
    }
    let credential = role.try_get_one::<SecretString>("credential").ok().flatten();
    if credential.is_some() && role.value_source("credential") == Some(ValueSource::CommandLine) {
        return Err(SettingsError::CredentialInArguments);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
