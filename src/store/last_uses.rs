//! Uses of tokens, written in bulk and never on the way of a request, and each report once.

use std::time::{Duration, SystemTime};

use diesel::data_types::PgInterval;
use diesel::sql_types::{Array, BigInt, Integer, Interval, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use diesel::{QueryableByName, sql_query};
use uuid::Uuid;

use super::connection::Connection;
use super::error::StoreError;
use super::moment::Moment;
use crate::defect::{Defect, seeded};
use crate::token::{Revision, TokenId};
use crate::uses::{Report, Use, Used};
use crate::workspace::WorkspaceId;

/// A report that is not greater than the last one of its reporter was written already. Two that are the same wait for each
/// other at the row of their reporter. Then tokens are gone through by id, so that reports wait for each other and never
/// deadlock.
///
/// Uses of a secret that is not the present one are told apart once it was replaced: then it lives on for a while only.
/// The counts end at the greatest number there is.
const RECORD: &str = "\
    WITH report AS ( \
        INSERT INTO usage_reports (reporter, sequence) VALUES ($1, $2) \
        ON CONFLICT (reporter) DO UPDATE \
        SET sequence = EXCLUDED.sequence, report_time = EXCLUDED.report_time \
        WHERE usage_reports.sequence < EXCLUDED.sequence \
        RETURNING sequence \
    ), uses AS ( \
        SELECT told.token, told.generation, told.count, told.time, \
            told.generation < tokens.generation AND told.time >= tokens.secret_time AS of_previous \
        FROM unnest($3::uuid[], $4::integer[], $5::bigint[], $6::timestamptz[]) \
            AS told (token, generation, count, time) \
        CROSS JOIN LATERAL ( \
            SELECT generation, secret_time FROM tokens \
            WHERE id = told.token AND workspace = coalesce($7, workspace) LIMIT 1 \
        ) AS tokens \
        WHERE EXISTS (SELECT FROM report) \
    ) \
    INSERT INTO token_last_uses AS known (token, last_use_time, use_count, previous_generation, \
        previous_last_use_time, superseded_use_count, superseded_use_time) \
    SELECT token, \
        max(time) FILTER (WHERE generation IS NOT NULL), \
        coalesce(sum(count) FILTER (WHERE generation IS NOT NULL), 0), \
        max(generation) FILTER (WHERE of_previous), \
        (array_agg(time ORDER BY generation DESC, time DESC) FILTER (WHERE of_previous))[1], \
        coalesce(sum(count) FILTER (WHERE generation IS NULL), 0), \
        max(time) FILTER (WHERE generation IS NULL) \
    FROM uses GROUP BY token ORDER BY token \
    ON CONFLICT (token) DO UPDATE SET \
        last_use_time = greatest(known.last_use_time, EXCLUDED.last_use_time), \
        use_count = least(known.use_count, 9223372036854775807 - EXCLUDED.use_count) + EXCLUDED.use_count, \
        previous_generation = greatest(known.previous_generation, EXCLUDED.previous_generation), \
        previous_last_use_time = CASE \
            WHEN known.previous_generation > EXCLUDED.previous_generation \
                OR EXCLUDED.previous_generation IS NULL THEN known.previous_last_use_time \
            WHEN known.previous_generation = EXCLUDED.previous_generation \
                THEN greatest(known.previous_last_use_time, EXCLUDED.previous_last_use_time) \
            ELSE EXCLUDED.previous_last_use_time END, \
        superseded_use_count = least(known.superseded_use_count, \
            9223372036854775807 - EXCLUDED.superseded_use_count) + EXCLUDED.superseded_use_count, \
        superseded_use_time = greatest(known.superseded_use_time, EXCLUDED.superseded_use_time)";

/// Records a report, in one statement, unless it was recorded before. A last use never moves back; tokens that are not
/// there are skipped, and so are those of other workspaces than the one given, if one is.
///
/// # Errors
/// [`StoreError::Unavailable`]: nothing was recorded, or, outside a transaction, perhaps all: to be repeated as it is.
pub async fn record(
    connection: &mut Connection,
    report: &Report<SystemTime>,
    workspace: Option<&WorkspaceId>,
) -> Result<(), StoreError> {
    let uses = &report.uses;
    let reporter = if seeded(Defect::ReportsCountedTwice) { Uuid::new_v4() } else { report.reporter };
    let query = sql_query(RECORD)
        .bind::<SqlUuid, _>(reporter)
        .bind::<BigInt, _>(report.sequence)
        .bind::<Array<SqlUuid>, _>(each(uses, |used| used.token.as_uuid()))
        .bind::<Array<Nullable<Integer>>, _>(each(uses, generation))
        .bind::<Array<BigInt>, _>(each(uses, |used| used.count))
        .bind::<Array<Timestamptz>, _>(each(uses, |used| Moment(used.last)))
        .bind::<Nullable<Text>, _>(workspace.map(WorkspaceId::as_str));
    connection.execute(query).await
}

fn each<Value>(uses: &[Use<SystemTime>], of: impl Fn(&Use<SystemTime>) -> Value) -> Vec<Value> {
    uses.iter().map(of).collect()
}

/// Of a dead secret nobody knows which it is.
fn generation(used: &Use<SystemTime>) -> Option<i32> {
    match used.secret {
        Used::Live(generation) => Some(generation.0),
        Used::Superseded => None,
    }
}

/// What the secret that was last replaced was dead since is when it was replaced, or when its overlap ended; those before
/// have been dead for longer.
const MISUSED: &str = "\
    SELECT tokens.id AS token, tokens.revision \
    FROM unnest($1::uuid[], $2::timestamptz[]) AS used (token, time) \
    CROSS JOIN LATERAL ( \
        SELECT id, revision, workspace, revoke_time, \
            greatest(secret_time, (SELECT expire_time FROM previous_secrets WHERE token = id)) AS since \
        FROM tokens WHERE id = used.token LIMIT 1 \
    ) AS tokens \
    WHERE revoke_time IS NULL AND since <= used.time - $3::interval \
    AND (SELECT superseded_use FROM workspaces WHERE id = tokens.workspace) = 'revoke'";

#[derive(QueryableByName)]
struct MisusedRow {
    #[diesel(sql_type = SqlUuid)]
    token: Uuid,
    #[diesel(sql_type = BigInt)]
    revision: i64,
}

/// Of tokens that were used by a dead secret, when last, those that such a use revokes: it had been dead for `grace` by
/// then, and their workspace asks for it. What decides is true of a token as long as it has the revision that is given.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn misused(
    connection: &mut Connection,
    uses: &[Use<SystemTime>],
    grace: Duration,
) -> Result<Vec<(TokenId, Revision)>, StoreError> {
    let grace = PgInterval::from_microseconds(i64::try_from(grace.as_micros()).unwrap_or(i64::MAX));
    let query = sql_query(MISUSED)
        .bind::<Array<SqlUuid>, _>(each(uses, |used| used.token.as_uuid()))
        .bind::<Array<Timestamptz>, _>(each(uses, |used| Moment(used.last)))
        .bind::<Interval, _>(grace);
    let rows: Vec<MisusedRow> = connection.rows(query).await?;
    let of = |MisusedRow { token, revision }| (TokenId::from_uuid(token), Revision(revision));
    Ok(rows.into_iter().map(of).collect())
}

/// How many reports are forgotten at once.
const BATCH: i64 = 10_000;

const FORGET: &str = "\
    DELETE FROM usage_reports WHERE reporter IN ( \
        SELECT reporter FROM usage_reports WHERE report_time < statement_timestamp() - $1::interval \
        ORDER BY report_time LIMIT $2 FOR UPDATE SKIP LOCKED)";

/// Forgets reporters that have not reported for so long; some of them, if there are very many. A report that is repeated
/// even later counts twice.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn forget(connection: &mut Connection, after: Duration) -> Result<(), StoreError> {
    let after = PgInterval::from_microseconds(i64::try_from(after.as_micros()).unwrap_or(i64::MAX));
    let query = sql_query(FORGET).bind::<Interval, _>(after).bind::<BigInt, _>(BATCH);
    connection.execute(query).await
}
