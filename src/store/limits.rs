//! What workspaces limit: how many tokens there are, and how many secrets were issued of late.
//!
//! Whoever issues in a workspace with limits holds it until the transaction ends, so that nobody counts what somebody else
//! is about to add. It is the last lock but that of the log: requests, principals, tokens by id, limits, log.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Double, Int4, Nullable, Text, Timestamptz};

use super::error::StoreError;
use super::moment::Moment;
use super::transaction::Transaction;
use crate::text::PrincipalId;
use crate::workspace::WorkspaceId;

/// The advisory locks of those who issue, by workspace: the ASCII letters `tkli`.
const LOCK: i32 = i32::from_be_bytes(*b"tkli");

/// The counts stop one beyond what is allowed, and are made only where something is limited and unless $3 is still to come.
const ROOM: &str = "\
    SELECT max_tokens, max_tokens_per_principal, max_issues_per_minute, counts, \
    CASE WHEN counts AND max_tokens IS NOT NULL THEN (SELECT count(*) FROM ( \
    SELECT FROM tokens WHERE tokens.workspace = $1 AND revoke_time IS NULL \
    AND (expire_time IS NULL OR expire_time > statement_timestamp()) LIMIT max_tokens + 1) AS living) \
    ELSE 0 END AS tokens, \
    CASE WHEN counts AND max_tokens_per_principal IS NOT NULL AND $2::text IS NOT NULL THEN (SELECT count(*) FROM ( \
    SELECT FROM tokens WHERE tokens.workspace = $1 AND principal = $2 AND revoke_time IS NULL \
    AND (expire_time IS NULL OR expire_time > statement_timestamp()) LIMIT max_tokens_per_principal + 1) AS living) \
    ELSE 0 END AS tokens_of_principal \
    FROM workspaces, (SELECT coalesce($3 <= statement_timestamp(), true) AS counts) AS moment WHERE id = $1";

/// A bucket that is full with as many as may be issued within a minute, and fills as fast. One that is not there is full.
const ISSUE: &str = "\
    INSERT INTO issuance_buckets AS bucket (workspace, issues_left) VALUES ($1, $2 - 1) \
    ON CONFLICT (workspace) DO UPDATE SET fill_time = statement_timestamp(), issues_left = least($2, bucket.issues_left \
    + greatest(0, extract(epoch FROM statement_timestamp() - bucket.fill_time)) * $2 / 60) - 1 \
    WHERE least($2, bucket.issues_left \
    + greatest(0, extract(epoch FROM statement_timestamp() - bucket.fill_time)) * $2 / 60) >= 1 \
    RETURNING 0::float8 AS seconds";

/// When there will be one again.
const WAIT: &str = "\
    SELECT (greatest(0, (1 - issues_left) * 60 / $2 \
    - extract(epoch FROM statement_timestamp() - fill_time)))::float8 AS seconds \
    FROM issuance_buckets WHERE workspace = $1";

/// What a workspace limits, and how much of it there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// The most tokens.
    pub most: Option<i64>,
    /// How many there are, or one more than may be; 0 if that does not matter.
    pub tokens: i64,
    /// The most tokens of a principal.
    pub most_per_principal: Option<i64>,
    /// How many the principal has, or one more than it may; 0 if that does not matter.
    pub tokens_of_principal: i64,
    /// The most secrets within a minute.
    pub issues_per_minute: Option<i32>,
    /// Whether what it was asked for adds a token.
    pub adds: bool,
}

#[derive(QueryableByName)]
struct RoomRow {
    #[diesel(sql_type = Nullable<BigInt>)]
    max_tokens: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    max_tokens_per_principal: Option<i64>,
    #[diesel(sql_type = Nullable<Int4>)]
    max_issues_per_minute: Option<i32>,
    #[diesel(sql_type = Bool)]
    counts: bool,
    #[diesel(sql_type = BigInt)]
    tokens: i64,
    #[diesel(sql_type = BigInt)]
    tokens_of_principal: i64,
}

#[derive(QueryableByName)]
struct WaitRow {
    #[diesel(sql_type = Double)]
    seconds: f64,
}

/// Keeps everybody else from issuing in a workspace until the transaction ends. A statement of its own, so that the next
/// one sees what was committed while it was waited for.
///
/// # Errors
/// [`StoreError::Unavailable`], also if somebody else held it for too long.
pub async fn lock(transaction: &mut Transaction, workspace: &WorkspaceId) -> Result<(), StoreError> {
    let lock = diesel::sql_query("SELECT pg_advisory_xact_lock($1, hashtext($2))");
    let lock = lock.bind::<Int4, _>(LOCK).bind::<Text, _>(workspace.as_str());
    transaction.connection().execute(lock).await
}

/// How much room there is in a workspace that the transaction holds, and for a principal of it. Given a moment until which
/// a token counts already, nothing is counted before that has come.
///
/// # Errors
/// [`StoreError::Unavailable`]; [`StoreError::Mismatch`] if the workspace is not there.
pub async fn room(
    transaction: &mut Transaction,
    workspace: &WorkspaceId,
    principal: Option<&PrincipalId>,
    counted_until: Option<std::time::SystemTime>,
) -> Result<Room, StoreError> {
    let query = diesel::sql_query(ROOM)
        .bind::<Text, _>(workspace.as_str())
        .bind::<Nullable<Text>, _>(principal.map(PrincipalId::as_str))
        .bind::<Nullable<Timestamptz>, _>(counted_until.map(Moment));
    let row: RoomRow = transaction.connection().row(query).await?;
    Ok(Room {
        most: row.max_tokens,
        tokens: row.tokens,
        most_per_principal: row.max_tokens_per_principal,
        tokens_of_principal: row.tokens_of_principal,
        issues_per_minute: row.max_issues_per_minute,
        adds: row.counts,
    })
}

/// Takes one secret out of what may be issued in a workspace that the transaction holds; if there is none left, gives how
/// long it takes until there is.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn issue(
    transaction: &mut Transaction,
    workspace: &WorkspaceId,
    per_minute: i32,
) -> Result<Option<Duration>, StoreError> {
    let ask = |query: &'static str| {
        let query = diesel::sql_query(query).bind::<Text, _>(workspace.as_str());
        query.bind::<Double, _>(f64::from(per_minute))
    };
    let taken: Option<WaitRow> = transaction.connection().row_if_any(ask(ISSUE)).await?;
    if taken.is_some() {
        return Ok(None);
    }
    let WaitRow { seconds } = transaction.connection().row(ask(WAIT)).await?;
    Ok(Some(Duration::try_from_secs_f64(seconds).unwrap_or_default()))
}
