//! The commands that take a token's power away, for a while or for good.

use super::token::get;
use super::{patiently, settle, settled};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::session::Session;
use crate::cli::table::{or_dash, told};
use crate::cli::{confirm, requests};
use crate::proto::v1;
use crate::settings::client::life::{EndOverlap, Revoke, Suspend};

const REVOKE: &str = "to revoke a token";
const END_OVERLAP: &str = "to end a secret";

fn revision(token: Option<&v1::Token>) -> i64 {
    token.map_or(0, |token| token.revision)
}

pub(super) async fn revoke(session: &Session, said: &Revoke) -> Result<Exit, CliError> {
    confirm::ready(&said.sure, REVOKE)?;
    if !said.sure.yes {
        let token = get(session, &said.id).await?.token.unwrap_or_default();
        confirm::ask(&said.sure, REVOKE, &about_to_revoke(&token)).await?;
    }
    let (request, wait) = (requests::revoke(said), said.waiting.wait);
    let call = session.change(async || session.tokens().revoke_token(request.clone()).await);
    let mut answer = patiently(wait, call).await?;
    let revision = revision(answer.token.as_ref());
    settle(session, wait, revision, &mut answer.fleet_confirmed).await?;
    session.output.answer(&answer)?;
    settled(wait, revision, answer.fleet_confirmed).map(|()| Exit::Done)
}

fn about_to_revoke(token: &v1::Token) -> String {
    let used = told(token.last_use_time.as_ref());
    format!(
        "\"{}\" in {} ({}) was last used: {}.\nRevoke it for good?",
        token.name,
        token.workspace,
        token.obfuscated_secret,
        or_dash(&used)
    )
}

pub(super) async fn suspend(session: &Session, said: &Suspend) -> Result<Exit, CliError> {
    let (request, wait) = (requests::suspend(said), said.waiting.wait);
    let call = session.change(async || session.tokens().suspend_token(request.clone()).await);
    let mut answer = patiently(wait, call).await?;
    let revision = revision(answer.token.as_ref());
    settle(session, wait, revision, &mut answer.fleet_confirmed).await?;
    session.output.answer(&answer)?;
    settled(wait, revision, answer.fleet_confirmed).map(|()| Exit::Done)
}

pub(super) async fn end_overlap(session: &Session, said: &EndOverlap) -> Result<Exit, CliError> {
    confirm::ready(&said.sure, END_OVERLAP)?;
    if !said.sure.yes {
        let token = get(session, &said.id).await?.token.unwrap_or_default();
        if let Some(question) = about_to_end(&token) {
            confirm::ask(&said.sure, END_OVERLAP, &question).await?;
        }
    }
    let (request, wait) = (requests::end_overlap(said), said.waiting.wait);
    let call = session.change(async || session.tokens().end_overlap(request.clone()).await);
    let mut answer = patiently(wait, call).await?;
    let revision = revision(answer.token.as_ref());
    settle(session, wait, revision, &mut answer.fleet_confirmed).await?;
    session.output.answer(&answer)?;
    settled(wait, revision, answer.fleet_confirmed).map(|()| Exit::Done)
}

/// What there is to end; `None` if it has ended.
fn about_to_end(token: &v1::Token) -> Option<String> {
    let previous = token.previous_secret.as_ref()?;
    let used = told(previous.last_use_time.as_ref());
    let used = if used.is_empty() {
        "not used since it was replaced".to_owned()
    } else {
        format!("last used {used}")
    };
    Some(format!(
        "The previous secret {} of \"{}\" works until {}, and was {used}.\nEnd it now?",
        previous.obfuscated_secret,
        token.name,
        told(previous.expire_time.as_ref())
    ))
}
