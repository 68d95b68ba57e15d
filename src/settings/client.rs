//! The settings of the commands for people, which ask a server; and in the files below, what each of them is told.

pub mod audit;
pub mod life;
mod moment;
pub mod principal;
pub mod token;
mod values;
pub mod workspace;

use std::fmt::Debug;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Command, Subcommand, ValueEnum};
use secrecy::SecretString;

pub use moment::Moment;
pub use values::{Label, PrincipalKind, Shell, State, SupersededUse, Type, Wait};

use super::groups::DataHome;
use super::value;

/// What the exit codes say; `cli::Exit` gives them.
const EXIT_CODES: &str = "\
Exit codes:
  0 done; the token is active
  1 not done
  2 asked the wrong way
  3 the token is not active, or lacks a required scope
  4 not found
  5 the credential may not do that, or is dead
  6 not done, and cannot be done now: try again
  7 nobody knows whether it was done: look before trying again
  8 the cursor cannot be gone on from: watch anew";

/// The program with the exit codes in the help of the commands that ask a server.
pub(super) fn with_exit_codes(mut program: Command) -> Command {
    for word in ["token", "workspace", "principal", "audit"] {
        program = program.mut_subcommand(word, |asking| {
            let asking = asking.mut_subcommands(|command| command.after_help(EXIT_CODES));
            asking.after_help(EXIT_CODES)
        });
    }
    program
}

/// A command that asks a server, and what it is told.
#[derive(Debug, Args)]
pub struct Asking<Word: Subcommand + Debug> {
    /// What to ask.
    #[command(subcommand)]
    pub command: Word,
    /// Whom to ask, and how to show the answer.
    #[command(flatten)]
    pub client: Client,
}

/// What all commands that ask a server have in common.
#[derive(Debug, Args)]
pub struct Client {
    /// How long to try before giving up; `watch` goes on for good once it has begun.
    #[arg(long, global = true, value_name = "DURATION", default_value = "30s", value_parser = value::duration)]
    pub timeout: Duration,
    /// How answers are shown.
    #[command(flatten)]
    pub showing: Showing,
    /// Which server is asked, and as whom.
    #[command(flatten)]
    pub server: ServerAsked,
    /// Where a `dev` on this machine leaves its credential.
    #[command(flatten)]
    pub data: DataHome,
}

/// How answers are shown.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct Showing {
    /// How the answer is written: a table for people, or the API's own messages as JSON, one object a line; auto is a
    /// table on a terminal and json elsewhere. Colours are for terminals only, and never if `NO_COLOR` is set.
    #[arg(long, short, global = true, value_name = "FORMAT", default_value = "auto")]
    pub output: Output,
}

/// How answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// A table on a terminal, JSON elsewhere.
    Auto,
    /// For people.
    Table,
    /// For programs.
    Json,
}

/// Which server is asked, and as whom.
#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
pub struct ServerAsked {
    /// The server: `https://host:port`, `http://127.0.0.1:port` or `unix:/path`. Unless set: <http://127.0.0.1:50051>,
    /// where `tokenkeep dev` serves.
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub server: Option<String>,
    /// A file that holds the token to authenticate by. Unless it, a credential or a server is set: the operator's token
    /// that `tokenkeep dev` leaves in its data directory.
    #[arg(long, global = true, value_name = "FILE")]
    pub credential_file: Option<PathBuf>,
    /// That token itself. Refused as a flag, which every process of this machine can read: set the variable.
    #[arg(long, global = true, value_name = "TOKEN", value_parser = secret, hide_possible_values = true)]
    pub credential: Option<SecretString>,
    /// Trust the certificate authorities in this PEM file, instead of those of the web.
    #[arg(long, global = true, value_name = "FILE")]
    pub server_ca: Option<PathBuf>,
    /// The name that the server's certificate must bear, if it is not the host of the address.
    #[arg(long, global = true, value_name = "NAME")]
    pub server_name: Option<String>,
    /// The certificate to present, as a PEM file, to a server that wants one of its clients; goes with a key.
    #[arg(long, global = true, value_name = "FILE")]
    pub client_certificate: Option<PathBuf>,
    /// The private key of that certificate, a PEM file.
    #[arg(long, global = true, value_name = "FILE")]
    pub client_key: Option<PathBuf>,
    /// Ask a server of another machine without TLS: whoever sees the network sees the tokens.
    #[arg(long, global = true)]
    pub insecure_plaintext: bool,
}

/// In which workspace a command works.
#[derive(Debug, Args)]
#[command(next_help_heading = "Workspace")]
pub struct InWorkspace {
    /// The workspace.
    #[arg(long, short, value_name = "ID")]
    pub workspace: String,
}

/// On whose behalf a change is made.
#[derive(Debug, Args)]
#[command(next_help_heading = "Audit")]
pub struct OnBehalf {
    /// The person or process on whose behalf you act, for the record; the credential's own id unless set.
    #[arg(long, value_name = "WHO")]
    pub initiator: Option<String>,
}

impl OnBehalf {
    /// As a request says it: empty for nobody in particular.
    #[must_use]
    pub fn initiator(&self) -> String {
        self.initiator.clone().unwrap_or_default()
    }
}

/// What a change that takes power away waits for.
#[derive(Debug, Args)]
pub struct Waiting {
    /// What to wait for: commit, until it is durable; fleet, until no cache of any server or sidecar answers from before.
    #[arg(long, value_name = "WHAT", default_value = "commit")]
    pub wait: Wait,
}

/// What cannot be undone is asked about first.
#[derive(Debug, Args)]
pub struct Sure {
    /// Do it without asking; needed where nobody can be asked.
    #[arg(long, short)]
    pub yes: bool,
}

/// Where a new secret goes.
#[derive(Debug, Args)]
pub struct SecretOut {
    /// Write the secret to this file, readable to its owner only, instead of to the standard output.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Where presented secrets come from: never from an argument, which every process of this machine can read.
#[derive(Debug, Args)]
pub struct SecretIn {
    /// Read from this file instead of from the standard input.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// How much of a list is shown.
#[derive(Debug, Args)]
pub struct Limit {
    /// Show this many at most; all unless set.
    #[arg(long, value_name = "COUNT")]
    pub limit: Option<usize>,
}

/// Which version is to be changed.
#[derive(Debug, Args)]
pub struct IfUnchanged {
    /// Do it only if this is still the etag.
    #[arg(long, value_name = "ETAG")]
    pub etag: Option<String>,
}

/// Arguments of `completion`.
#[derive(Debug, Args)]
pub struct Completion {
    /// For which shell.
    pub shell: Shell,
}

#[expect(clippy::unnecessary_wraps, reason = "what clap takes")]
fn secret(text: &str) -> Result<SecretString, std::convert::Infallible> {
    Ok(SecretString::from(text))
}
