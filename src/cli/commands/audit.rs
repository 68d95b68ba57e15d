//! `tokenkeep audit`.

use super::pages;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::requests;
use crate::cli::session::Session;
use crate::settings::client::audit::Audit;

pub(in crate::cli) async fn run(session: &Session, command: &Audit) -> Result<Exit, CliError> {
    let Audit::List(said) = command;
    pages::list(session, said.limit.limit, async |size, next| {
        let request = requests::list_audit_events(said, size, next);
        let page = session.ask(async || session.audit().list_audit_events(request.clone()).await).await?;
        Ok((page.events, page.next_page_token))
    })
    .await
}
