//! The commands for people: what is asked of a server, and how its answers are shown.
//!
//! `requests` makes messages of what was said, `commands` sends them, `show` tells what came back. A command never
//! prints an error: it gives a [`CliError`], which the program tells once, and by which it ends.

mod commands;
mod confirm;
mod error;
mod exit;
mod json;
mod output;
mod progress;
mod remedy;
mod requests;
mod secrets;
mod session;
mod show;
pub mod table;

use std::process::ExitCode;

pub use error::CliError;
pub use exit::Exit;

use crate::settings::client::audit::Audit;
use crate::settings::client::principal::Principal;
use crate::settings::client::token::Token;
use crate::settings::client::workspace::Workspace;
use crate::settings::client::{Asking, Client};
use session::Session;

/// Does what `tokenkeep token …` asks for.
///
/// # Errors
/// [`CliError`].
pub fn token(asked: &Asking<Token>) -> Result<ExitCode, CliError> {
    run(&asked.client, async |session| commands::token(&session, &asked.command).await)
}

/// Does what `tokenkeep workspace …` asks for.
///
/// # Errors
/// [`CliError`].
pub fn workspace(asked: &Asking<Workspace>) -> Result<ExitCode, CliError> {
    run(&asked.client, async |session| commands::workspace(&session, &asked.command).await)
}

/// Does what `tokenkeep principal …` asks for.
///
/// # Errors
/// [`CliError`].
pub fn principal(asked: &Asking<Principal>) -> Result<ExitCode, CliError> {
    run(&asked.client, async |session| commands::principal(&session, &asked.command).await)
}

/// Does what `tokenkeep audit …` asks for.
///
/// # Errors
/// [`CliError`].
pub fn audit(asked: &Asking<Audit>) -> Result<ExitCode, CliError> {
    run(&asked.client, async |session| commands::audit(&session, &asked.command).await)
}

fn run(
    client: &Client,
    command: impl AsyncFnOnce(Session) -> Result<Exit, CliError>,
) -> Result<ExitCode, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let exit =
        runtime.map_err(CliError::Runtime)?.block_on(async { command(Session::open(client)?).await })?;
    Ok(exit.into())
}
