//! Forgetting the beginning of the log.

use std::time::Duration;

use diesel::data_types::PgInterval;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Interval};

use super::super::error::StoreError;
use super::super::transaction::Transaction;

/// The advisory lock of whoever compacts: the ASCII letters `tkcompct`. Writers of the log take another.
const LOCK: i64 = i64::from_be_bytes(*b"tkcompct");

/// The most events that one call deletes: some tens of milliseconds of work.
const MOST: usize = 10_000;

/// Deletes the events that come before the first one that is young enough, and before the last one in any case.
const COMPACT: &str = "\
    WITH oldest AS MATERIALIZED ( \
    SELECT revision, event_time >= clock_timestamp() - $1::interval AS stays FROM revisions \
    WHERE revision > (SELECT compacted FROM histories WHERE singleton) ORDER BY revision LIMIT $2::bigint), \
    boundary AS (SELECT least( \
    (SELECT min(revision) FROM oldest WHERE stays), (SELECT max(revision) + 1 FROM oldest), \
    (SELECT max(revision) FROM revisions)) AS first), \
    deleted AS (DELETE FROM revisions WHERE revision < (SELECT first FROM boundary) \
    AND revision >= (SELECT min(revision) FROM oldest) RETURNING revision), \
    noted AS (UPDATE histories SET compacted = (SELECT max(revision) FROM deleted) \
    WHERE singleton AND EXISTS (SELECT FROM deleted)) \
    SELECT count(*) AS deleted FROM deleted";

#[diesel::declare_sql_function]
extern "SQL" {
    /// Takes an advisory lock until the transaction ends, if nobody holds it.
    fn pg_try_advisory_xact_lock(key: BigInt) -> Bool;
}

#[derive(QueryableByName)]
struct Deleted {
    #[diesel(sql_type = BigInt)]
    deleted: i64,
}

/// Deletes the oldest events that are older than `older_than` by the database's clock, at most `batch` and never more
/// than 10,000, and notes up to where; gives their number. The last event stays in any case, for the next one is counted
/// from it. Nothing is done while another server does it, and no writer of the log waits.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn compact(
    transaction: &mut Transaction,
    older_than: Duration,
    batch: usize,
) -> Result<usize, StoreError> {
    let connection = transaction.connection();
    if !connection.row::<bool, _>(diesel::select(pg_try_advisory_xact_lock(LOCK))).await? {
        return Ok(0);
    }
    let age = PgInterval::from_microseconds(i64::try_from(older_than.as_micros()).unwrap_or(i64::MAX));
    let query = diesel::sql_query(COMPACT)
        .bind::<Interval, _>(age)
        .bind::<BigInt, _>(i64::try_from(batch.min(MOST)).unwrap_or(i64::MAX));
    let Deleted { deleted } = connection.row(query).await?;
    Ok(usize::try_from(deleted).unwrap_or_default())
}
