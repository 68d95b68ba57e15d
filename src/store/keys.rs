//! The server keys that are in use: names and fingerprints, never the keys.

use diesel::prelude::*;

use super::connection::Connection;
use super::error::{StoreError, understood};
use super::schema::server_keys;
use super::transaction::Transaction;
use crate::token::Kid;

/// The most keys there can be: each kid is two base62 characters.
const MOST: i64 = 62 * 62;

/// What a server key is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// It issues new tokens. At most one key does.
    Minting,
    /// Tokens issued under it live.
    Live,
    /// Nothing: what was issued under it is dead.
    Retired,
}

impl KeyState {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Minting => "minting",
            Self::Live => "live",
            Self::Retired => "retired",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Minting, Self::Live, Self::Retired].into_iter().find(|state| state.as_str() == text)
    }
}

/// A server key as the database lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerKeyRow {
    /// Its name.
    pub kid: Kid,
    /// Which key it is: 32 hexadecimal digits.
    pub fingerprint: String,
    /// What it is used for.
    pub state: KeyState,
}

/// Lists those keys of a server that are not listed yet, each with its fingerprint, and gives the whole list by kid.
/// The first key of an empty list is minting, all later ones are live. A kid that is listed with another fingerprint
/// is left as it is, for the caller to find in the answer.
///
/// # Errors
/// [`StoreError::Conflict`] if a fingerprint is listed under another kid; [`StoreError::Unavailable`].
pub async fn register(
    transaction: &mut Transaction,
    keys: &[(Kid, &str)],
) -> Result<Vec<ServerKeyRow>, StoreError> {
    let connection = transaction.connection();
    // Servers that start together must not both find the list empty.
    connection.command("LOCK TABLE server_keys IN SHARE ROW EXCLUSIVE MODE").await?;
    let mut minting = list(connection).await?.iter().any(|key| key.state == KeyState::Minting);
    for (kid, fingerprint) in keys {
        let state = if minting { KeyState::Live } else { KeyState::Minting };
        insert(connection, *kid, fingerprint, state).await?;
        minting = true;
    }
    list(connection).await
}

async fn insert(
    connection: &mut Connection,
    kid: Kid,
    fingerprint: &str,
    state: KeyState,
) -> Result<(), StoreError> {
    let values = (
        server_keys::kid.eq(kid.to_string()),
        server_keys::fingerprint.eq(fingerprint),
        server_keys::state.eq(state.as_str()),
    );
    let query = diesel::insert_into(server_keys::table).values(values);
    connection.execute(query.on_conflict(server_keys::kid).do_nothing()).await
}

/// Every key that is listed, by kid.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
pub async fn list(connection: &mut Connection) -> Result<Vec<ServerKeyRow>, StoreError> {
    let columns = (server_keys::kid, server_keys::fingerprint, server_keys::state);
    let query = server_keys::table.select(columns).order(server_keys::kid).limit(MOST);
    let rows: Vec<(String, String, String)> = connection.rows(query).await?;
    rows.into_iter().map(into_key).collect()
}

fn into_key((kid, fingerprint, state): (String, String, String)) -> Result<ServerKeyRow, StoreError> {
    Ok(ServerKeyRow {
        kid: understood("server_keys.kid", Kid::parse(&kid).ok_or(()))?,
        fingerprint,
        state: understood("server_keys.state", KeyState::parse(&state).ok_or(()))?,
    })
}
