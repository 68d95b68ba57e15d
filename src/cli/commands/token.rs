//! `tokenkeep token`.

use super::{bulk, end, issue, pages, watch};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::session::Session;
use crate::cli::{requests, secrets};
use crate::proto::v1;
use crate::proto::v1::Decision;
use crate::settings::client::life::{Introspect, Resume};
use crate::settings::client::token::{Count, Edit, List, Show, Token};

pub(in crate::cli) async fn run(session: &Session, command: &Token) -> Result<Exit, CliError> {
    match command {
        Token::Create(said) => issue::create(session, said).await,
        Token::List(said) => list(session, said).await,
        Token::Show(said) => show(session, said).await,
        Token::Edit(said) => edit(session, said).await,
        Token::Regenerate(said) => issue::regenerate(session, said).await,
        Token::EndOverlap(said) => end::end_overlap(session, said).await,
        Token::Suspend(said) => end::suspend(session, said).await,
        Token::Resume(said) => resume(session, said).await,
        Token::Revoke(said) => end::revoke(session, said).await,
        Token::BulkRevoke(said) => bulk::revoke(session, said).await,
        Token::RevokeSecret(said) => bulk::revoke_secrets(session, said).await,
        Token::Introspect(said) => introspect(session, said).await,
        Token::Count(said) => count(session, said).await,
        Token::Watch(said) => watch::run(session, said).await,
    }
}

async fn list(session: &Session, said: &List) -> Result<Exit, CliError> {
    let filter = requests::filter(&said.filter);
    pages::list(session, said.limit.limit, async |page_size, page_token| {
        let request = v1::ListTokensRequest {
            workspace: said.workspace.workspace.clone(),
            filter: Some(filter.clone()),
            page_size,
            page_token,
        };
        let page = session.ask(async || session.tokens().list_tokens(request.clone()).await).await?;
        Ok((page.tokens, page.next_page_token))
    })
    .await
}

async fn count(session: &Session, said: &Count) -> Result<Exit, CliError> {
    let workspace = said.workspace.workspace.clone();
    let request = v1::CountTokensRequest { workspace, filter: Some(requests::filter(&said.filter)) };
    let answer = session.ask(async || session.tokens().count_tokens(request.clone()).await).await?;
    session.output.answer(&answer).map(|()| Exit::Done)
}

async fn show(session: &Session, said: &Show) -> Result<Exit, CliError> {
    let answer = get(session, &said.id).await?;
    session.output.answer(&answer).map(|()| Exit::Done)
}

/// A token as it is now.
pub(super) async fn get(session: &Session, id: &str) -> Result<v1::GetTokenResponse, CliError> {
    let request = v1::GetTokenRequest { id: id.to_owned() };
    session.ask(async || session.tokens().get_token(request.clone()).await).await
}

async fn edit(session: &Session, said: &Edit) -> Result<Exit, CliError> {
    let request = requests::edit_token(said);
    let answer = session.change(async || session.tokens().update_token(request.clone()).await).await?;
    session.output.answer(&answer).map(|()| Exit::Done)
}

async fn resume(session: &Session, said: &Resume) -> Result<Exit, CliError> {
    let request = requests::resume(said);
    let answer = session.change(async || session.tokens().resume_token(request.clone()).await).await?;
    session.output.answer(&answer).map(|()| Exit::Done)
}

/// The verdict is an answer, and the exit code besides.
async fn introspect(session: &Session, said: &Introspect) -> Result<Exit, CliError> {
    let request = requests::introspect(said, &secrets::one(&said.secret)?);
    let answer = session.ask(async || session.tokens().introspect_token(request.clone()).await).await?;
    session.output.answer(&answer)?;
    let allowed = answer.active && answer.decision() == Decision::Allow;
    Ok(if allowed { Exit::Done } else { Exit::Denied })
}
