//! Tokens: insert, find, lock, change; and pages of them.

use std::time::{Duration, SystemTime};

use diesel::dsl::Eq;
use diesel::prelude::*;
use uuid::Uuid;

pub use super::new_tokens::{NewSecret, NewToken, insert, insert_all};
pub use super::token_ends::{Revocation, revoke};
pub use super::token_list::{Listing, TokenQuery, count, count_active};

use super::connection::Connection;
use super::error::StoreError;
use super::expiry::expire_time;
use super::previous_secrets::{self, previous_secret};
use super::schema::tokens;
use super::token_row::{
    TokenColumns, TokenRow, epoch, into_token, is_invalidated, not_of_retired_key, profile,
    statement_timestamp, token_type_column, uses,
};
use super::transaction::Transaction;
use crate::text::{Metadata, Reason};
use crate::token::{Expiry, Revision, ScopeSet, Token, TokenEdit, TokenId};

/// The token of that id.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
pub async fn find(connection: &mut Connection, id: TokenId) -> Result<Option<Token>, StoreError> {
    let columns = (TokenRow::as_select(), is_invalidated(), profile(), uses(), previous_secret());
    let query = tokens::table.find(id.as_uuid()).select(columns);
    connection.row_if_any(query).await?.map(into_token).transpose()
}

/// A token that nobody else can change until the transaction ends.
#[derive(Debug, Clone)]
pub struct Locked {
    /// The token.
    pub token: Token,
    /// When it was asked for, by the database's clock: what it is to be judged by.
    pub time: SystemTime,
}

/// Locks the tokens of these ids, those that are there, one after another in the order of the ids: so do all who lock
/// several, who therefore wait for each other and never deadlock. A first use of a token can be recorded meanwhile.
///
/// # Errors
/// [`StoreError::Unavailable`], also if somebody else held one for too long; [`StoreError::Corrupt`].
pub async fn lock(transaction: &mut Transaction, ids: &[TokenId]) -> Result<Vec<Locked>, StoreError> {
    let wanted: Vec<Uuid> = ids.iter().map(TokenId::as_uuid).collect();
    let query = tokens::table.filter(tokens::id.eq_any(wanted)).order(tokens::id);
    let query = query
        .select((TokenRow::as_select(), is_invalidated(), profile(), uses(), previous_secret()))
        .for_no_key_update();
    let rows: Vec<TokenColumns> = transaction.connection().rows(query).await?;
    let locked = rows.into_iter().map(|columns| {
        let time = columns.0.read_time.0;
        Ok(Locked { token: into_token(columns)?, time })
    });
    locked.collect()
}

/// Changes what `edit` names of a token that the transaction has locked. Given a moment in the past to expire at, it
/// comes back [`Expired`](crate::token::TokenState::Expired).
///
/// # Errors
/// [`StoreError::Unavailable`]; [`StoreError::Mismatch`] if the token is not there.
pub async fn update(
    connection: &mut Connection,
    id: TokenId,
    edit: TokenEdit,
    revision: Revision,
) -> Result<Token, StoreError> {
    let changes = (
        edit.name.map(|name| tokens::name.eq(name.into_string())),
        edit.description.map(|description| tokens::description.eq(description.into_string())),
        edit.token_type.map(|token_type| tokens::token_type.eq(token_type_column(token_type))),
        edit.scopes.as_ref().map(|scopes| tokens::scopes.eq(scopes_column(scopes))),
        edit.audiences.map(|audiences| tokens::audiences.eq(texts(audiences.as_slice()))),
        edit.allowed_cidrs.map(|blocks| tokens::allowed_cidrs.eq(texts(blocks.as_slice()))),
        edit.metadata.map(|metadata| tokens::metadata.eq(metadata_column(metadata))),
        edit.expiry.map(|expiry| tokens::expire_time.eq(expire_time(expiry))),
        changed_at(revision),
    );
    let query = diesel::update(tokens::table.find(id.as_uuid())).set(changes);
    let columns = (TokenRow::as_returning(), is_invalidated(), profile(), uses(), previous_secret());
    into_token(connection.row(query.returning(columns)).await?)
}

/// A new secret for a token that is there.
#[derive(Debug, Clone)]
pub struct Replacement {
    /// The secret.
    pub secret: NewSecret,
    /// When the token will expire; `None` to leave that as it is.
    pub expiry: Option<Expiry>,
    /// Until when the present secret works on; `None` if it does not.
    pub overlap_end: Option<SystemTime>,
}

/// Gives a token that the transaction has locked a new secret, and with it the next generation; the old secret is
/// forgotten, unless it works on. The expiry stays unless a new one is given.
///
/// # Errors
/// [`StoreError::KeyRetired`], and as [`update`].
pub async fn replace_secret(
    connection: &mut Connection,
    locked: &Token,
    replacement: Replacement,
    revision: Revision,
) -> Result<Token, StoreError> {
    let Replacement { secret, expiry, overlap_end } = replacement;
    match overlap_end {
        Some(end) => previous_secrets::keep(connection, locked.id, end).await?,
        None if locked.previous_secret.is_some() => previous_secrets::forget(connection, locked.id).await?,
        None => {}
    }
    let changes = (
        tokens::generation.eq(tokens::generation + 1),
        secret_columns(&secret),
        tokens::epoch.eq(epoch()),
        tokens::secret_time.eq(statement_timestamp()),
        expiry.map(|expiry| tokens::expire_time.eq(expire_time(expiry))),
        changed_at(revision),
    );
    let query = diesel::update(tokens::table.find(locked.id.as_uuid())).set(changes);
    let columns = (TokenRow::as_returning(), is_invalidated(), profile(), uses(), previous_secret());
    let row = connection.row(query.returning(columns)).await?;
    not_of_retired_key(into_token(row)?, secret.kid)
}

/// Ends the secret before the present one of a token that the transaction has locked.
///
/// # Errors
/// As [`update`].
pub async fn end_overlap(
    connection: &mut Connection,
    id: TokenId,
    revision: Revision,
) -> Result<Token, StoreError> {
    previous_secrets::end(connection, id).await?;
    update(connection, id, TokenEdit::default(), revision).await
}

/// Suspends a token that the transaction has locked, for a reason, or resumes it without one.
///
/// # Errors
/// As [`update`].
pub async fn suspend(
    connection: &mut Connection,
    id: TokenId,
    reason: Option<&Reason>,
    revision: Revision,
) -> Result<Token, StoreError> {
    let since = Expiry::After(Duration::ZERO);
    let changes = (
        tokens::suspend_time.eq(expire_time(reason.map_or(Expiry::Never, |_| since))),
        tokens::suspend_reason.eq(reason.map(Reason::as_str)),
        changed_at(revision),
    );
    let query = diesel::update(tokens::table.find(id.as_uuid())).set(changes);
    let columns = (TokenRow::as_returning(), is_invalidated(), profile(), uses(), previous_secret());
    into_token(connection.row(query.returning(columns)).await?)
}

type SecretColumns = (
    Eq<tokens::kid, String>,
    Eq<tokens::tag, Vec<u8>>,
    Eq<tokens::secret_hash, String>,
    Eq<tokens::obfuscated_secret, String>,
);

fn secret_columns(secret: &NewSecret) -> SecretColumns {
    (
        tokens::kid.eq(secret.kid.to_string()),
        tokens::tag.eq(secret.tag.0.to_vec()),
        tokens::secret_hash.eq(secret.hash.as_phc().to_owned()),
        tokens::obfuscated_secret.eq(secret.obfuscated.clone()),
    )
}

type ChangedAt = (Eq<tokens::revision, i64>, Eq<tokens::update_time, statement_timestamp>);

fn changed_at(revision: Revision) -> ChangedAt {
    (tokens::revision.eq(revision.0), tokens::update_time.eq(statement_timestamp()))
}

pub(super) fn scopes_column(scopes: &ScopeSet) -> Vec<String> {
    scopes.iter().map(|scope| scope.as_str().to_owned()).collect()
}

fn texts(items: &[impl ToString]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

pub(super) fn metadata_column(metadata: Metadata) -> serde_json::Value {
    metadata.into_entries().into_iter().collect()
}
