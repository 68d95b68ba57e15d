//! Secrets that were replaced and still work for a while. Whatever else its row says, one counts only until its end, only
//! while the token has had no other secret since but the present one, and not once it was invalidated.

use std::collections::HashMap;
use std::time::SystemTime;

use diesel::dsl::auto_type;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Int4, Nullable, Text, Timestamptz};
use diesel::upsert::excluded;
use uuid::Uuid;

use super::connection::Connection;
use super::error::StoreError;
use super::moment::Moment;
use super::schema::{previous_secrets, server_keys, token_last_uses, tokens};
use super::token_row::{epoch, statement_timestamp};
use super::tokens::Locked;
use super::transaction::Transaction;
use crate::token::{Generation, PreviousSecret, Token, TokenId};

#[diesel::declare_sql_function]
extern "SQL" {
    /// Several columns in one.
    #[sql_name = "row"]
    fn in_one(
        generation: Int4,
        obfuscated_secret: Text,
        expire_time: Timestamptz,
        last_use_time: Nullable<Timestamptz>,
    ) -> Record<(Int4, Text, Timestamptz, Nullable<Timestamptz>)>;
}

/// The columns of [`previous_secret()`].
pub(super) type PreviousColumns = Option<(i32, String, Moment, Option<Moment>)>;

/// The previous secret of the token of the row at hand, if it works by itself.
#[auto_type]
pub(super) fn previous_secret() -> _ {
    let uses = token_last_uses::token
        .eq(previous_secrets::token)
        .and(token_last_uses::previous_generation.eq(previous_secrets::generation.nullable()));
    previous_secrets::table
        .left_join(token_last_uses::table.on(uses))
        .filter(is_open())
        .filter(previous_secrets::epoch.ge(epoch()))
        .filter(diesel::dsl::not(previous_is_of_retired_key()))
        .select(in_one(
            previous_secrets::generation,
            previous_secrets::obfuscated_secret,
            previous_secrets::expire_time,
            token_last_uses::previous_last_use_time.nullable(),
        ))
        .single_value()
}

/// Whether a row is that of the token at hand, tells of the secret right before its present one, and has not ended.
#[auto_type]
pub(super) fn is_open() -> _ {
    previous_secrets::token
        .eq(tokens::id)
        .and((previous_secrets::generation + 1_i32).eq(tokens::generation))
        .and(previous_secrets::expire_time.gt(statement_timestamp()))
}

/// Whether a previous secret was issued under a key that is retired.
#[auto_type]
pub(super) fn previous_is_of_retired_key() -> _ {
    diesel::dsl::exists(
        server_keys::table
            .filter(server_keys::kid.eq(previous_secrets::kid).and(server_keys::state.eq("retired"))),
    )
}

/// What [`previous_secret()`] tells of a token: nothing once that is revoked, and no end behind the token's own.
pub(super) fn into_previous_secret(columns: PreviousColumns, token: &Token) -> Option<PreviousSecret> {
    let (generation, obfuscated, end, last_use_time) = columns.filter(|_| token.ended.is_none())?;
    Some(PreviousSecret {
        generation: Generation(generation),
        obfuscated,
        expire_time: token.expire_time.map_or(end.0, |expire_time| end.0.min(expire_time)),
        last_use_time: last_use_time.map(|moment| moment.0),
    })
}

/// Fills in the previous secrets of tokens that the transaction has locked. The statement that locked them, if it had to
/// wait, has not seen what was kept or ended meanwhile.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn fill_in<'locked>(
    transaction: &mut Transaction,
    locked: impl Iterator<Item = &'locked mut Locked>,
) -> Result<(), StoreError> {
    let tokens: HashMap<Uuid, &mut Token> =
        locked.map(|Locked { token, .. }| (token.id.as_uuid(), token)).collect();
    let wanted: Vec<Uuid> = tokens.keys().copied().collect();
    let query = tokens::table.filter(tokens::id.eq_any(wanted)).select((tokens::id, previous_secret()));
    let rows: Vec<(Uuid, PreviousColumns)> = transaction.connection().rows(query).await?;
    let mut found: HashMap<Uuid, PreviousColumns> = rows.into_iter().collect();
    for (id, token) in tokens {
        token.previous_secret = into_previous_secret(found.remove(&id).flatten(), token);
    }
    Ok(())
}

/// Keeps the present secret of a token that the transaction has locked and is about to give another one; it works until
/// `end`. One that was kept before is forgotten.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub(super) async fn keep(
    connection: &mut Connection,
    id: TokenId,
    end: SystemTime,
) -> Result<(), StoreError> {
    let present = tokens::table.find(id.as_uuid()).select((
        tokens::id,
        tokens::generation,
        tokens::kid,
        tokens::tag,
        tokens::secret_hash,
        tokens::epoch,
        tokens::obfuscated_secret,
        Moment(end).into_sql::<Timestamptz>(),
    ));
    let columns = (
        previous_secrets::token,
        previous_secrets::generation,
        previous_secrets::kid,
        previous_secrets::tag,
        previous_secrets::secret_hash,
        previous_secrets::epoch,
        previous_secrets::obfuscated_secret,
        previous_secrets::expire_time,
    );
    let query = diesel::insert_into(previous_secrets::table).values(present).into_columns(columns);
    let replaced = (
        previous_secrets::generation.eq(excluded(previous_secrets::generation)),
        previous_secrets::kid.eq(excluded(previous_secrets::kid)),
        previous_secrets::tag.eq(excluded(previous_secrets::tag)),
        previous_secrets::secret_hash.eq(excluded(previous_secrets::secret_hash)),
        previous_secrets::epoch.eq(excluded(previous_secrets::epoch)),
        previous_secrets::obfuscated_secret.eq(excluded(previous_secrets::obfuscated_secret)),
        previous_secrets::expire_time.eq(excluded(previous_secrets::expire_time)),
    );
    connection.execute(query.on_conflict(previous_secrets::token).do_update().set(replaced)).await
}

/// Forgets the previous secret of a token that the transaction has locked, if one is kept.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub(super) async fn forget(connection: &mut Connection, id: TokenId) -> Result<(), StoreError> {
    connection.execute(diesel::delete(previous_secrets::table.find(id.as_uuid()))).await
}

/// Ends the previous secret of a token that the transaction has locked, if one works. It is kept for a while all the same:
/// how long a secret has been dead decides what its use comes to.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub(super) async fn end(connection: &mut Connection, id: TokenId) -> Result<(), StoreError> {
    let open = previous_secrets::table.find(id.as_uuid());
    let open = open.filter(previous_secrets::expire_time.gt(statement_timestamp()));
    let ended = previous_secrets::expire_time.eq(statement_timestamp());
    connection.execute(diesel::update(open).set(ended)).await
}

/// Whoever holds one, because they give its token another secret, is not waited for.
const FORGET_ENDED: &str = "\
    WITH deleted AS (DELETE FROM previous_secrets WHERE token IN ( \
    SELECT token FROM previous_secrets WHERE expire_time <= statement_timestamp() - interval '1 hour' \
    ORDER BY expire_time LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING token) \
    SELECT count(*) AS deleted FROM deleted";

#[derive(QueryableByName)]
struct Deleted {
    #[diesel(sql_type = BigInt)]
    deleted: i64,
}

/// Forgets secrets that ended an hour ago or more, at most so many; gives their number.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn forget_ended(connection: &mut Connection, batch: usize) -> Result<usize, StoreError> {
    let batch = i64::try_from(batch).unwrap_or(i64::MAX);
    let Deleted { deleted } =
        connection.row(diesel::sql_query(FORGET_ENDED).bind::<BigInt, _>(batch)).await?;
    Ok(usize::try_from(deleted).unwrap_or_default())
}
