//! The end of many tokens at once, which a filter names.
//!
//! They are written before the log is held, when the revision is not known yet, so that nobody else waits for it meanwhile.

use std::time::Duration;

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Nullable, Text, Uuid as SqlUuid};
use uuid::Uuid;

use super::connection::Connection;
use super::error::StoreError;
use super::previous_secrets::previous_secret;
use super::schema::{bulk_revocations, tokens};
use super::token_predicates::{Predicate, unrevoked};
use super::token_row::{TokenColumns, TokenRow, into_token, is_invalidated, profile, uses};
use super::transaction::Transaction;
use crate::revocation::Change;
use crate::text::Reason;
use crate::token::{Revision, Token, TokenFilter, TokenId};
use crate::workspace::WorkspaceId;

/// The most tokens that end at once.
pub const MOST: i64 = 1_000_000;

/// The longest that one statement about so many takes.
const PATIENCE: Duration = Duration::from_mins(2);

/// Which tokens to end, of those that are not revoked.
#[derive(Debug)]
pub struct Matching {
    /// Of which workspace.
    pub workspace: WorkspaceId,
    /// Which of it.
    pub filter: TokenFilter,
    /// After which age a secret is due to be replaced, by the profile of the workspace; if `None`, none ever is.
    pub rotation_due_after: Option<Duration>,
}

impl Matching {
    fn unrevoked(&self) -> Predicate<'_> {
        unrevoked(&self.filter, self.rotation_due_after)
    }
}

/// Lets the statements of a transaction take as long as a million tokens need.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn take_time(transaction: &mut Transaction) -> Result<(), StoreError> {
    transaction.take_time(PATIENCE).await
}

/// How many tokens of a workspace a filter matches, of those that are not revoked.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn count(connection: &mut Connection, matching: &Matching) -> Result<i64, StoreError> {
    let of = tokens::table.filter(tokens::workspace.eq(matching.workspace.as_str()));
    connection.row(of.filter(matching.unrevoked()).count()).await
}

/// The newest of them, at most `limit`, the newest first.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
pub async fn newest(
    connection: &mut Connection,
    matching: &Matching,
    limit: i64,
) -> Result<Vec<Token>, StoreError> {
    let query = tokens::table
        .select((TokenRow::as_select(), is_invalidated(), profile(), uses(), previous_secret()))
        .filter(tokens::workspace.eq(matching.workspace.as_str()))
        .filter(matching.unrevoked())
        .order(tokens::id.desc())
        .limit(limit);
    let rows: Vec<TokenColumns> = connection.rows(query).await?;
    rows.into_iter().map(into_token).collect()
}

/// Tokens that were ended, and have no revision yet.
#[derive(Debug)]
#[must_use = "without a revision the tokens are not as they must be"]
pub struct Ended {
    id: i64,
    /// How many; one more than [`MOST`] if there are more, and then the transaction must not commit.
    pub count: i64,
    /// Which, if they are at most [`Change::MOST_NAMED`].
    pub tokens: Option<Vec<TokenId>>,
}

/// Ends every token of a workspace that a filter matches and that is not revoked. They are locked one after another in the
/// order of their ids, as all do who lock several; [`settle`] or [`withdraw`] must
/// follow.
///
/// # Errors
/// [`StoreError::Unavailable`], also if somebody held one for too long.
pub async fn end(
    transaction: &mut Transaction,
    matching: &Matching,
    reason: &Reason,
) -> Result<Ended, StoreError> {
    let connection = transaction.connection();
    let entry = diesel::insert_into(bulk_revocations::table).default_values();
    let id: i64 = connection.row(entry.returning(bulk_revocations::id)).await?;
    let locked = tokens::table
        .filter(tokens::workspace.eq(matching.workspace.as_str()))
        .filter(matching.unrevoked())
        .order(tokens::id)
        .limit(MOST + 1)
        .select(tokens::id)
        .for_no_key_update();
    let (count, first): (i64, Option<Vec<Uuid>>) = connection.row(End { locked, id, reason }).await?;
    let named = usize::try_from(count).is_ok_and(|count| count <= Change::MOST_NAMED);
    let tokens = first.filter(|_| named).map(|ids| ids.into_iter().map(TokenId::from_uuid).collect());
    Ok(Ended { id, count, tokens })
}

/// Gives tokens that were ended the position of that change, all of them by one row.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn settle(
    transaction: &mut Transaction,
    ended: Ended,
    revision: Revision,
) -> Result<(), StoreError> {
    let row = diesel::update(bulk_revocations::table.find(ended.id));
    transaction.connection().execute(row.set(bulk_revocations::revision.eq(revision.0))).await
}

/// Takes back what was entered for tokens to be ended by it, of which there were none. The commit still waits for the
/// standby, for something was written.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn withdraw(transaction: &mut Transaction, ended: Ended) -> Result<(), StoreError> {
    transaction.connection().execute(diesel::delete(bulk_revocations::table.find(ended.id))).await
}

/// Ends the tokens that a query locks; gives how many they are, and some of them.
struct End<'reason, Locked> {
    locked: Locked,
    id: i64,
    reason: &'reason Reason,
}

impl<Locked> QueryId for End<'_, Locked> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl<Locked> Query for End<'_, Locked> {
    type SqlType = (BigInt, Nullable<Array<SqlUuid>>);
}

impl<Locked: QueryFragment<Pg>> QueryFragment<Pg> for End<'_, Locked> {
    fn walk_ast<'query>(&'query self, mut out: AstPass<'_, 'query, Pg>) -> QueryResult<()> {
        out.push_sql("WITH locked AS MATERIALIZED (");
        self.locked.walk_ast(out.reborrow())?;
        out.push_sql("), ended AS (UPDATE tokens SET bulk_revocation = ");
        out.push_bind_param::<BigInt, _>(&self.id)?;
        out.push_sql(", revoke_reason = ");
        out.push_bind_param::<Text, _>(self.reason.as_str())?;
        out.push_sql(", revoke_time = statement_timestamp(), update_time = statement_timestamp()");
        // An array is looked up in the index, whatever the planner expects of the filter; a join may read the whole table.
        out.push_sql(" WHERE id = ANY (ARRAY(SELECT id FROM locked)) RETURNING id)");
        out.push_sql(" SELECT (SELECT count(*) FROM ended), ");
        out.push_sql("(SELECT array_agg(id ORDER BY id) FROM (SELECT id FROM ended LIMIT 1000) AS few)");
        Ok(())
    }
}
