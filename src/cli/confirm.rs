//! What cannot be undone is asked about first.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use super::error::CliError;
use crate::settings::client::Sure;

/// Refuses early what could be asked of nobody.
pub(super) fn ready(sure: &Sure, what: &'static str) -> Result<(), CliError> {
    if sure.yes || io::stdin().is_terminal() && io::stderr().is_terminal() {
        Ok(())
    } else {
        Err(CliError::NobodyToAsk { what })
    }
}

/// Asks, unless that was forgone, and goes on only at a clear yes.
pub(super) async fn ask(sure: &Sure, what: &'static str, question: &str) -> Result<(), CliError> {
    ready(sure, what)?;
    if sure.yes {
        return Ok(());
    }
    let _ = write!(anstream::stderr(), "{question} [y/N] ").and_then(|()| io::stderr().flush());
    // The connection is kept alive meanwhile.
    let answer = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer).map(|_| answer)
    });
    let answer = answer.await.map_err(io::Error::other).and_then(|read| read);
    let answer = answer.map_err(|source| CliError::Input { from: "the answer".to_owned(), source })?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(CliError::Declined),
    }
}
