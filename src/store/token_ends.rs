//! The end of tokens, of many in one statement.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::error::StoreError;
use super::moment::Moment;
use super::statement::statement;
use super::transaction::Transaction;
use crate::text::Reason;
use crate::token::{Ended, Revision, Token, TokenState};

/// The end of a token that the transaction has locked and that is not revoked yet.
#[derive(Debug, Clone)]
pub struct Revocation {
    /// The token as it was locked.
    pub token: Token,
    /// Why it ends.
    pub reason: Reason,
    /// The position of this change.
    pub revision: Revision,
}

const REVOKE: &str = "\
    UPDATE tokens SET revoke_time = statement_timestamp(), revoke_reason = ended.reason, \
    revision = ended.revision, update_time = statement_timestamp() \
    FROM unnest($1::uuid[], $2::text[], $3::bigint[]) AS ended (token, reason, revision) \
    WHERE tokens.id = ended.token RETURNING update_time AS time";

#[derive(QueryableByName)]
struct TimeRow {
    #[diesel(sql_type = Timestamptz)]
    time: Moment,
}

/// Ends tokens, in one statement and at one moment; gives them as they are now, in the same order.
///
/// # Errors
/// [`StoreError::Unavailable`]; [`StoreError::Mismatch`] if one of them is not there.
pub async fn revoke(
    transaction: &mut Transaction,
    revocations: Vec<Revocation>,
) -> Result<Vec<Token>, StoreError> {
    let ids: Vec<Uuid> = revocations.iter().map(|ended| ended.token.id.as_uuid()).collect();
    let reasons: Vec<&str> = revocations.iter().map(|ended| ended.reason.as_str()).collect();
    let revisions: Vec<i64> = revocations.iter().map(|ended| ended.revision.0).collect();
    let query = statement(REVOKE)
        .bind::<Array<SqlUuid>, _>(ids)
        .bind::<Array<Text>, _>(reasons)
        .bind::<Array<BigInt>, _>(revisions);
    let times: Vec<TimeRow> = transaction.connection().rows(query).await?;
    if times.len() != revocations.len() {
        return Err(StoreError::from_diesel(diesel::NotFound));
    }
    let ended = revocations.into_iter().zip(times).map(|(revocation, TimeRow { time: Moment(time) })| {
        let Revocation { token, reason, revision } = revocation;
        let ended = Some(Ended { time, reason });
        let (state, previous_secret) = (TokenState::Revoked, None);
        Token { ended, state, previous_secret, update_time: time, revision, ..token }
    });
    Ok(ended.collect())
}
