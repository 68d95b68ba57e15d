//! The commands that issue a secret, which is shown once.

use super::token::get;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::note;
use crate::cli::secrets::Place;
use crate::cli::session::Session;
use crate::cli::table::{or_dash, told};
use crate::cli::{confirm, requests};
use crate::proto::v1;
use crate::settings::client::life::Regenerate;
use crate::settings::client::token::Create;

const REGENERATE: &str = "to end the present secret";

pub(super) async fn create(session: &Session, said: &Create) -> Result<Exit, CliError> {
    let place = Place::prepare(&said.secret)?;
    let request = requests::create_token(said);
    let mut answer = session.change(async || session.tokens().create_token(request.clone()).await).await?;
    place.take(&mut answer)?;
    session.output.answer(&answer).map(|()| Exit::Done)
}

/// Without an overlap whoever still has the old secret is cut off, so that is asked about, and done to the token that was
/// looked at only.
pub(super) async fn regenerate(session: &Session, said: &Regenerate) -> Result<Exit, CliError> {
    let at_once = said.overlap.is_none();
    if at_once {
        confirm::ready(&said.sure, REGENERATE)?;
    }
    let etag = match &said.etag.etag {
        Some(etag) if said.sure.yes || !at_once => etag.clone(),
        said_etag => {
            let token = get(session, &said.id).await?.token.unwrap_or_default();
            if at_once {
                confirm::ask(&said.sure, REGENERATE, &question(&token)).await?;
            }
            said_etag.clone().unwrap_or(token.etag)
        }
    };
    let place = Place::prepare(&said.secret)?;
    let request = requests::regenerate(said, etag);
    let mut answer =
        session.change(async || session.tokens().regenerate_token(request.clone()).await).await?;
    place.take(&mut answer)?;
    session.output.answer(&answer)?;
    let previous = answer.token.as_ref().and_then(|token| token.previous_secret.as_ref());
    if let Some(previous) = previous.filter(|_| session.output.is_for_people()) {
        note(&format!("The secret before works until {}.", told(previous.expire_time.as_ref())));
    }
    Ok(Exit::Done)
}

fn question(token: &v1::Token) -> String {
    let used = told(token.last_use_time.as_ref());
    format!(
        "The secret {} of \"{}\" in {} was last used: {}. It stops working at once (--overlap gives it time).\n\
         Replace it?",
        token.obfuscated_secret,
        token.name,
        token.workspace,
        or_dash(&used)
    )
}
