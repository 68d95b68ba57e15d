//! `tokenkeep principal`.

use super::{pages, patiently, settle, settled};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::secrets::Place;
use crate::cli::session::Session;
use crate::cli::{confirm, requests};
use crate::proto::v1;
use crate::settings::client::principal::{Create, Delete, Edit, List, Principal, Show};

const DELETE: &str = "to delete a principal";

pub(in crate::cli) async fn run(session: &Session, command: &Principal) -> Result<Exit, CliError> {
    match command {
        Principal::Create(said) => create(session, said).await,
        Principal::List(said) => list(session, said).await,
        Principal::Show(said) => show(session, said).await,
        Principal::Edit(said) => edit(session, said).await,
        Principal::Delete(said) => delete(session, said).await,
    }
}

async fn create(session: &Session, said: &Create) -> Result<Exit, CliError> {
    if said.first.token.is_none() && said.secret.out.is_some() {
        return Err(CliError::Usage("there is no secret to write without a first token: --token NAME"));
    }
    let place = Place::prepare(&said.secret)?;
    let request = requests::create_principal(said);
    let mut answer =
        session.change(async || session.principals().create_principal(request.clone()).await).await?;
    place.take(&mut answer)?;
    session.output.answer(&answer).map(|()| Exit::Done)
}

async fn list(session: &Session, said: &List) -> Result<Exit, CliError> {
    pages::list(session, said.limit.limit, async |page_size, page_token| {
        let request = v1::ListPrincipalsRequest {
            workspace: said.workspace.workspace.clone(),
            kind: requests::principal_kind(said.kind),
            page_size,
            page_token,
        };
        let page = session.ask(async || session.principals().list_principals(request.clone()).await).await?;
        Ok((page.principals, page.next_page_token))
    })
    .await
}

async fn show(session: &Session, said: &Show) -> Result<Exit, CliError> {
    let request = requests::get_principal(said);
    let answer = session.ask(async || session.principals().get_principal(request.clone()).await).await?;
    session.output.answer(&answer).map(|()| Exit::Done)
}

async fn edit(session: &Session, said: &Edit) -> Result<Exit, CliError> {
    let (request, wait) = (requests::edit_principal(said), said.waiting.wait);
    let call = session.change(async || session.principals().update_principal(request.clone()).await);
    let mut answer = patiently(wait, call).await?;
    let revision = answer.principal.as_ref().map_or(0, |principal| principal.revision);
    settle(session, wait, revision, &mut answer.fleet_confirmed).await?;
    session.output.answer(&answer)?;
    settled(wait, revision, answer.fleet_confirmed).map(|()| Exit::Done)
}

async fn delete(session: &Session, said: &Delete) -> Result<Exit, CliError> {
    let (id, workspace) = (&said.id, &said.workspace.workspace);
    let tokens = match &said.hand_over_to {
        Some(heir) => format!("hand its tokens over to {heir}"),
        None => "revoke its tokens".to_owned(),
    };
    let question = format!("Delete {id} of {workspace} for good, and {tokens}?");
    confirm::ask(&said.sure, DELETE, &question).await?;
    let (request, wait) = (requests::delete_principal(said), said.waiting.wait);
    let call = session.change(async || session.principals().delete_principal(request.clone()).await);
    let mut answer = patiently(wait, call).await?;
    settle(session, wait, answer.revision, &mut answer.fleet_confirmed).await?;
    session.output.answer(&answer)?;
    settled(wait, answer.revision, answer.fleet_confirmed).map(|()| Exit::Done)
}
