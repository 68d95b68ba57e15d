//! `tokenkeep keyring list`: which keys there are, what each is used for, and what it minted.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

use super::super::RoleError;
use super::super::table::{Table, moment, print};
use super::on_record;
use crate::keyring::{Keyring, ServerKey, key_file};
use crate::service::KeyList;
use crate::settings::keyring::KeyringList;
use crate::store::keys::{KeyState, ServerKeyRow};
use crate::store::minted::Minted;
use crate::token::Kid;

/// What there is where there is nothing to say.
const NOTHING: &str = "-";

pub(super) fn run(settings: &KeyringList) -> Result<(), RoleError> {
    let directory = &settings.keys.keyring;
    let keyring = Keyring::read(directory)?;
    let Some(url) = settings.database.url_if_any()? else { return print_files(directory, &keyring) };
    let (list, minted) =
        on_record(&url, async |rotation| Ok((rotation.list().await?, rotation.count().await?)))?;
    print_all(directory, &keyring, &list, &minted)
}

/// Without a database nobody knows what a key is used for.
fn print_files(directory: &Path, keyring: &Keyring) -> Result<(), RoleError> {
    let mut table = Table::new(&["KID", "CREATED", "FINGERPRINT"]);
    for key in keyring.keys() {
        table.add([key.kid().to_string(), written(directory, key.kid()), key.fingerprint().to_owned()]);
    }
    print(table)
}

fn print_all(
    directory: &Path,
    keyring: &Keyring,
    list: &KeyList,
    minted: &[Minted],
) -> Result<(), RoleError> {
    let mut table = Table::new(&["KID", "CREATED", "STATE", "LIVE TOKENS", "SERVERS", "FILE", "FINGERPRINT"]);
    let kids: BTreeSet<Kid> =
        list.keys.iter().map(|key| key.kid).chain(keyring.keys().map(ServerKey::kid)).collect();
    for kid in kids {
        let (row, key) = (list.keys.iter().find(|row| row.kid == kid), keyring.key(kid));
        table.add([
            kid.to_string(),
            row.map_or_else(|| written(directory, kid), |row| moment(row.create_time)),
            row.map_or("new", |row| row.state.as_str()).to_owned(),
            live(row, minted).to_string(),
            format!("{} of {}", list.holders(kid), list.holdings.len()),
            file(row, key).to_owned(),
            fingerprint(row, key),
        ]);
    }
    print(table)
}

/// How many live tokens a key minted: none, if it is retired.
fn live(row: Option<&ServerKeyRow>, minted: &[Minted]) -> i64 {
    let usable = row.filter(|row| row.state != KeyState::Retired);
    usable
        .map_or(0, |row| minted.iter().filter(|minted| minted.kid == row.kid).map(|minted| minted.live).sum())
}

/// Whether the key is in the keyring.
fn file(row: Option<&ServerKeyRow>, key: Option<&ServerKey>) -> &'static str {
    match (row, key) {
        (_, None) => "missing",
        (Some(row), Some(key)) if row.fingerprint != key.fingerprint() => "another key",
        (_, Some(_)) => "here",
    }
}

fn fingerprint(row: Option<&ServerKeyRow>, key: Option<&ServerKey>) -> String {
    let listed = row.map(|row| row.fingerprint.as_str());
    listed.or(key.map(ServerKey::fingerprint)).unwrap_or(NOTHING).to_owned()
}

/// When a key's file was written.
fn written(directory: &Path, kid: Kid) -> String {
    let time = fs::metadata(key_file(directory, kid)).and_then(|file| file.modified());
    time.map_or_else(|_| NOTHING.to_owned(), |time: SystemTime| moment(time))
}
