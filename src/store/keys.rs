//! The server keys that are in use: names and fingerprints, never the keys.

use std::time::{Duration, SystemTime};

use diesel::prelude::*;

use super::connection::Connection;
use super::error::{StoreError, understood};
use super::moment::Moment;
use super::schema::server_keys;
use super::token_row::statement_timestamp;
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
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
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
    /// Since when it is listed, by the database's clock.
    pub create_time: SystemTime,
    /// How long that is ago.
    pub age: Duration,
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
    // Servers that start together must not both find the list empty.
    let mut minting = lock(transaction).await?.iter().any(|key| key.state == KeyState::Minting);
    let connection = transaction.connection();
    for (kid, fingerprint) in keys {
        let state = if minting { KeyState::Live } else { KeyState::Minting };
        insert(connection, *kid, fingerprint, state).await?;
        minting = true;
    }
    list(connection).await
}

/// Every key that is listed, by kid, which nobody else can change until the transaction ends.
///
/// # Errors
/// [`StoreError::Unavailable`], also if somebody else held them for too long; [`StoreError::Corrupt`].
pub async fn lock(transaction: &mut Transaction) -> Result<Vec<ServerKeyRow>, StoreError> {
    let connection = transaction.connection();
    connection.command("LOCK TABLE server_keys IN SHARE ROW EXCLUSIVE MODE").await?;
    list(connection).await
}

/// Changes what one of the keys is used for that the transaction has locked; at most one may be minting.
///
/// # Errors
/// [`StoreError::Conflict`] if another key is minting; [`StoreError::Unavailable`].
pub async fn set_state(transaction: &mut Transaction, kid: Kid, state: KeyState) -> Result<(), StoreError> {
    let row = server_keys::table.find(kid.to_string());
    let query = diesel::update(row).set(server_keys::state.eq(state.as_str()));
    transaction.connection().execute(query).await
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
    let columns = (
        server_keys::kid,
        server_keys::fingerprint,
        server_keys::state,
        server_keys::create_time,
        statement_timestamp(),
    );
    let query = server_keys::table.select(columns).order(server_keys::kid).limit(MOST);
    let rows: Vec<KeyColumns> = connection.rows(query).await?;
    rows.into_iter().map(into_key).collect()
}

type KeyColumns = (String, String, String, Moment, Moment);

fn into_key((kid, fingerprint, state, created, read): KeyColumns) -> Result<ServerKeyRow, StoreError> {
    Ok(ServerKeyRow {
        kid: understood("server_keys.kid", Kid::parse(&kid).ok_or(()))?,
        fingerprint,
        state: understood("server_keys.state", KeyState::parse(&state).ok_or(()))?,
        create_time: created.0,
        age: read.0.duration_since(created.0).unwrap_or_default(),
    })
}
