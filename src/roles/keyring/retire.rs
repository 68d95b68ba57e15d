//! `tokenkeep keyring retire`: says what retiring a key would end, or retires it.

use super::super::RoleError;
use super::super::table::{Table, moment, print, say};
use super::on_record;
use crate::service::Survey;
use crate::settings::keyring::KeyringRetire;
use crate::store::minted::Minted;
use crate::token::{Kid, Token};
use crate::workspace::WorkspaceId;

/// How many workspaces are told one by one.
const WORKSPACES: usize = 20;

pub(super) fn run(settings: &KeyringRetire) -> Result<(), RoleError> {
    let (kid, url) = (settings.kid, settings.database.url()?);
    if !settings.confirm {
        let survey = on_record(&url, async |rotation| rotation.survey(kid).await)?;
        return tell(kid, &survey);
    }
    let revision = on_record(&url, async |rotation| rotation.retire(kid).await)?;
    say(&format!(
        "The key {kid} is retired as of revision {}: no secret that it minted is accepted anywhere.",
        revision.0
    ))?;
    say(&format!(
        "The tokens stay, and live again once they are regenerated. The file {kid}.key is of no more use."
    ))
}

fn tell(kid: Kid, survey: &Survey) -> Result<(), RoleError> {
    let total: i64 = survey.minted.iter().map(|minted| minted.live).sum();
    let workspaces = survey.minted.len();
    let (tokens, workspaces) = (counted(&total, "live token"), counted(&workspaces, "workspace"));
    say(&format!("Retiring the key {kid} would end {tokens} in {workspaces}."))?;
    if total > 0 {
        say("")?;
        by_workspace(&survey.minted)?;
        say("\nThe newest of them:\n")?;
        sample(&survey.sample)?;
    }
    warn_operators(survey)?;
    say(&format!("\nNothing has changed. To do it: tokenkeep keyring retire {kid} --confirm"))
}

fn counted(count: &impl ToString, what: &str) -> String {
    let count = count.to_string();
    let plural = if count == "1" { "" } else { "s" };
    format!("{count} {what}{plural}")
}

fn by_workspace(minted: &[Minted]) -> Result<(), RoleError> {
    let mut table = Table::new(&["WORKSPACE", "LIVE TOKENS"]);
    for minted in minted.iter().take(WORKSPACES) {
        table.add([minted.workspace.as_str().to_owned(), minted.live.to_string()]);
    }
    if let Some(rest) = minted.get(WORKSPACES..).filter(|rest| !rest.is_empty()) {
        let live: i64 = rest.iter().map(|minted| minted.live).sum();
        table.add([format!("({} more)", rest.len()), live.to_string()]);
    }
    print(table)
}

fn sample(tokens: &[Token]) -> Result<(), RoleError> {
    let mut table = Table::new(&["TOKEN", "WORKSPACE", "NAME", "SECRET", "LAST USE"]);
    for token in tokens {
        table.add([
            token.id.to_string(),
            token.workspace.as_str().to_owned(),
            token.name.as_str().to_owned(),
            token.obfuscated_secret.clone(),
            token.last_use_time.map_or_else(|| "never".to_owned(), moment),
        ]);
    }
    print(table)
}

/// Whoever retires the key under their own token locks themselves out.
fn warn_operators(survey: &Survey) -> Result<(), RoleError> {
    if survey.minted.iter().any(|minted| minted.workspace.is_system()) {
        let workspace = WorkspaceId::SYSTEM;
        say(&format!(
            "\nWarning: the workspace {workspace} is among them: sidecars, proxies and services call by its tokens. Regenerate these first."
        ))?;
    }
    if survey.operator {
        say("Warning: the operator's token is among them. Renew it first: tokenkeep operator-token --reset")?;
    }
    Ok(())
}
