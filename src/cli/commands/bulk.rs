//! The commands that end many tokens at once.

use std::io;

use super::{patiently, settle, settled};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::note;
use crate::cli::session::Session;
use crate::cli::show::Row;
use crate::cli::table::Table;
use crate::cli::{confirm, progress, requests, secrets};
use crate::proto::v1;
use crate::settings::client::life::{BulkRevoke, RevokeSecret};

const BULK: &str = "to revoke tokens";
const SECRETS: &str = "to revoke the tokens of secrets";

/// Counts first, shows some, and revokes exactly as many as were counted.
pub(super) async fn revoke(session: &Session, said: &BulkRevoke) -> Result<Exit, CliError> {
    let narrow = requests::is_narrow(&requests::filter(&said.filter));
    match (narrow, said.all) {
        (false, false) => return Err(CliError::NotNarrowed),
        (true, true) => {
            return Err(CliError::Usage("--all and a filter contradict each other: leave one of them out"));
        }
        (true, false) | (false, true) => {}
    }
    if !said.dry_run {
        confirm::ready(&said.sure, BULK)?;
    }
    let counted = call(session, said, None).await?;
    if said.dry_run || counted.token_count == 0 && said.expected_count.is_none_or(|expected| expected == 0) {
        show_sample(session, &counted)?;
        return session.output.answer(&counted).map(|()| Exit::Done);
    }
    show_sample(session, &counted)?;
    confirm::ask(&said.sure, BULK, &question(said, counted.token_count)).await?;
    let expected = said.expected_count.unwrap_or(counted.token_count);
    let mut answer = call(session, said, Some(expected)).await?;
    settle(session, said.waiting.wait, answer.revision, &mut answer.fleet_confirmed).await?;
    session.output.answer(&answer)?;
    settled(said.waiting.wait, answer.revision, answer.fleet_confirmed).map(|()| Exit::Done)
}

async fn call(
    session: &Session,
    said: &BulkRevoke,
    expected: Option<i64>,
) -> Result<v1::BulkRevokeTokensResponse, CliError> {
    let request = requests::bulk_revoke(said, expected);
    match expected {
        None => {
            let call = session.ask(async || session.tokens().bulk_revoke_tokens(request.clone()).await);
            progress::during("counting", call).await
        }
        Some(count) => {
            let call = session.change(async || session.tokens().bulk_revoke_tokens(request.clone()).await);
            progress::during(&format!("revoking {count} tokens"), patiently(said.waiting.wait, call)).await
        }
    }
}

/// Shows whoever decides what it is about; programs read it in the answer of a dry run.
fn show_sample(session: &Session, counted: &v1::BulkRevokeTokensResponse) -> Result<(), CliError> {
    if !session.output.is_for_people() || counted.sample.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(v1::Token::HEADINGS);
    for token in &counted.sample {
        table.add(token.cells());
    }
    table.print(&mut anstream::AutoStream::auto(io::stderr())).map_err(CliError::Output)?;
    let more = usize::try_from(counted.token_count).unwrap_or(usize::MAX) - counted.sample.len();
    if more > 0 {
        note(&format!("… and {more} more"));
    }
    Ok(())
}

fn question(said: &BulkRevoke, count: i64) -> String {
    let tokens = if count == 1 { "this token" } else { "these tokens" };
    format!("Revoke {tokens} ({count}) of {} for good?", said.workspace.workspace)
}

/// The answer never tells whether a secret worked, and neither does this.
pub(super) async fn revoke_secrets(session: &Session, said: &RevokeSecret) -> Result<Exit, CliError> {
    if said.secrets.token_file.is_none() && !said.sure.yes {
        // The standard input holds the secrets, and is at its end by the time of a question.
        return Err(CliError::NobodyToAsk { what: SECRETS });
    }
    confirm::ready(&said.sure, SECRETS)?;
    let secrets = secrets::many(&said.secrets)?;
    let question = format!("Revoke whatever tokens these secrets ({}) are of, for good?", secrets.len());
    confirm::ask(&said.sure, SECRETS, &question).await?;
    let all = async {
        for request in requests::revoke_secrets(said, &secrets) {
            session.change(async || session.tokens().revoke_secret(request.clone()).await).await?;
        }
        Ok::<_, CliError>(())
    };
    progress::during("revoking", all).await?;
    session.output.answer(&v1::RevokeSecretResponse {}).map(|()| Exit::Done)
}
