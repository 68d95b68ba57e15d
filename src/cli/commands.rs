//! What each command does: one call mostly, and before what cannot be undone a question.

mod audit;
mod bulk;
mod end;
mod issue;
mod pages;
mod principal;
mod token;
mod watch;
mod workspace;

pub(super) use audit::run as audit;
pub(super) use principal::run as principal;
pub(super) use token::run as token;
pub(super) use workspace::run as workspace;

use super::error::CliError;
use super::progress;
use super::session::Session;
use crate::proto::v1;
use crate::settings::client::Wait;

/// What is said while the fleet is waited for.
const FLEET: &str = "waiting until no cache answers from before";

/// Makes a call that may wait for the fleet, and says so meanwhile.
async fn patiently<Done>(wait: Wait, call: impl Future<Output = Done>) -> Done {
    match wait {
        Wait::Commit => call.await,
        Wait::Fleet => progress::during(FLEET, call).await,
    }
}

/// Waits on where a call that was to wait for the fleet came back before it was done, and says so in the answer.
async fn settle(
    session: &Session,
    wait: Wait,
    revision: i64,
    fleet_confirmed: &mut bool,
) -> Result<(), CliError> {
    if wait == Wait::Fleet && !*fleet_confirmed && revision > 0 {
        let request = v1::WaitForRevisionRequest { revision };
        let call = session.ask(async || session.tokens().wait_for_revision(request).await);
        *fleet_confirmed = progress::during(FLEET, call).await?.fleet_confirmed;
    }
    Ok(())
}

/// Whether what was to be confirmed was.
fn settled(wait: Wait, revision: i64, fleet_confirmed: bool) -> Result<(), CliError> {
    if wait == Wait::Fleet && !fleet_confirmed && revision > 0 { Err(CliError::Unconfirmed) } else { Ok(()) }
}
