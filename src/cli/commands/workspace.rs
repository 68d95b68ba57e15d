//! `tokenkeep workspace`.

use super::{pages, patiently, settle, settled};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::session::Session;
use crate::cli::{confirm, progress, requests};
use crate::proto::v1;
use crate::settings::client::workspace::{Create, Edit, Invalidate, List, Show, Workspace};

const INVALIDATE: &str = "to invalidate the secrets of a workspace";

pub(in crate::cli) async fn run(session: &Session, command: &Workspace) -> Result<Exit, CliError> {
    match command {
        Workspace::Create(said) => create(session, said).await,
        Workspace::List(said) => list(session, said).await,
        Workspace::Show(said) => show(session, said).await,
        Workspace::Edit(said) => edit(session, said).await,
        Workspace::Invalidate(said) => invalidate(session, said).await,
        Workspace::Profile(said) => profile(session, said).await,
    }
}

async fn create(session: &Session, said: &Create) -> Result<Exit, CliError> {
    let request = requests::create_workspace(said);
    let answer =
        session.change(async || session.workspaces().create_workspace(request.clone()).await).await?;
    session.output.answer(&answer).map(|()| Exit::Done)
}

async fn list(session: &Session, said: &List) -> Result<Exit, CliError> {
    pages::list(session, said.limit.limit, async |page_size, page_token| {
        let request = v1::ListWorkspacesRequest { page_size, page_token };
        let page = session.ask(async || session.workspaces().list_workspaces(request.clone()).await).await?;
        Ok((page.workspaces, page.next_page_token))
    })
    .await
}

async fn show(session: &Session, said: &Show) -> Result<Exit, CliError> {
    let answer = get(session, &said.id).await?;
    session.output.answer(&answer).map(|()| Exit::Done)
}

async fn get(session: &Session, id: &str) -> Result<v1::GetWorkspaceResponse, CliError> {
    let request = v1::GetWorkspaceRequest { id: id.to_owned() };
    session.ask(async || session.workspaces().get_workspace(request.clone()).await).await
}

/// The limits are taken all together, so that those that are not spoken of are read first.
async fn edit(session: &Session, said: &Edit) -> Result<Exit, CliError> {
    let now = if requests::edits_limits(&said.made) {
        get(session, &said.id).await?.workspace.unwrap_or_default()
    } else {
        v1::Workspace::default()
    };
    let request = requests::edit_workspace(said, &now);
    let answer =
        session.change(async || session.workspaces().update_workspace(request.clone()).await).await?;
    session.output.answer(&answer).map(|()| Exit::Done)
}

async fn profile(session: &Session, said: &Show) -> Result<Exit, CliError> {
    let request = v1::GetWorkspaceProfileRequest { id: said.id.clone() };
    let call = session.ask(async || session.workspaces().get_workspace_profile(request.clone()).await);
    session.output.answer(&call.await?).map(|()| Exit::Done)
}

/// Counts first; what is done then is done to the workspace as it was when it was counted.
async fn invalidate(session: &Session, said: &Invalidate) -> Result<Exit, CliError> {
    if !said.dry_run {
        confirm::ready(&said.sure, INVALIDATE)?;
    }
    let counted = call(session, requests::invalidate(said, None)).await?;
    if said.dry_run {
        return session.output.answer(&counted).map(|()| Exit::Done);
    }
    let question = format!(
        "{} tokens of {} are active. Their secrets stop working; each token lives again once it is regenerated.\n\
         Invalidate them all?",
        counted.token_count, said.id
    );
    confirm::ask(&said.sure, INVALIDATE, &question).await?;
    let wait = said.waiting.wait;
    let etag = counted.workspace.unwrap_or_default().etag;
    let mut answer = patiently(wait, call(session, requests::invalidate(said, Some(etag)))).await?;
    let revision = answer.workspace.as_ref().map_or(0, |workspace| workspace.revision);
    settle(session, wait, revision, &mut answer.fleet_confirmed).await?;
    session.output.answer(&answer)?;
    settled(wait, revision, answer.fleet_confirmed).map(|()| Exit::Done)
}

async fn call(
    session: &Session,
    request: v1::InvalidateWorkspaceTokensRequest,
) -> Result<v1::InvalidateWorkspaceTokensResponse, CliError> {
    let call = async || session.workspaces().invalidate_workspace_tokens(request.clone()).await;
    if request.dry_run {
        progress::during("counting", session.ask(call)).await
    } else {
        progress::during("invalidating", session.change(call)).await
    }
}
