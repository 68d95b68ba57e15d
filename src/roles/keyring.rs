//! `tokenkeep keyring`: makes server keys, lists them, rolls to another, and retires them.

mod list;
mod retire;

use std::collections::BTreeSet;

use super::RoleError;
use super::table::say;
use crate::keyring::{create_key, key_file};
use crate::service::{Rotation, RotationError};
use crate::settings::{DatabaseUrl, Keyring, keyring as settings};
use crate::store::{DatabaseOptions, Store};
use crate::token::Kid;

pub(super) fn run(command: &Keyring) -> Result<(), RoleError> {
    match command {
        Keyring::Add(settings) => add(settings),
        Keyring::List(settings) => list::run(settings),
        Keyring::Roll(settings) => roll(settings),
        Keyring::Retire(settings) => retire::run(settings),
    }
}

/// Does something with the keys on record, in a database that is brought to this version's schema.
fn on_record<Done>(
    database: &DatabaseUrl,
    work: impl AsyncFnOnce(&Rotation) -> Result<Done, RotationError>,
) -> Result<Done, RoleError> {
    let mut options = DatabaseOptions::new(database.secret().clone());
    options.connections = 2;
    let store = Store::new(&options)?;
    super::runtime()?.block_on(async {
        store.migrate().await?;
        Ok(work(&Rotation::new(store)).await?)
    })
}

fn add(settings: &settings::KeyringAdd) -> Result<(), RoleError> {
    let directory = &settings.keys.keyring;
    let listed = match settings.database.url_if_any()? {
        Some(url) => on_record(&url, async |rotation| Ok(rotation.list().await?.keys))?,
        None => Vec::new(),
    };
    let listed: BTreeSet<Kid> = listed.into_iter().map(|key| key.kid).collect();
    let key = create_key(directory, settings.kid, &listed)?;
    let (kid, fingerprint) = (key.kid(), key.fingerprint());
    say(&format!("Made {}, fingerprint {fingerprint}.", key_file(directory, kid).display()))?;
    say("It mints nothing yet. Copy it into the keyring of every server, restart them one after another,")?;
    say(&format!("and then: tokenkeep keyring roll {kid}"))
}

fn roll(settings: &settings::KeyringRoll) -> Result<(), RoleError> {
    let kid = settings.kid;
    let before = on_record(&settings.database.url()?, async |rotation| rotation.roll(kid).await)?;
    match before {
        Some(before) if before == kid => say(&format!("The key {kid} mints already.")),
        Some(before) => say(&format!(
            "The key {kid} mints from now on; every server hears of it within about a second. What {before} minted stays good."
        )),
        None => say(&format!("The key {kid} mints from now on.")),
    }
}
