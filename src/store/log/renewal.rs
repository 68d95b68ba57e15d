//! When the log begins a new history: after a failover that may have lost its end, and after a restore.

use diesel::prelude::*;
use diesel::sql_types::{Bool, Uuid as SqlUuid};
use uuid::Uuid;

use super::super::connection::Connection;
use super::super::error::StoreError;
use super::super::statement::statement;
use super::super::transaction::Transaction;
use super::{head, lock};
use crate::revocation::HistoryId;

/// The cluster that runs the statement: its identifier, and the timeline it writes. The control file learns of a new
/// timeline only at the next checkpoint; the name of the file that is written to tells it at once.
macro_rules! cluster {
    () => {
        "(SELECT system_identifier AS identifier, left(pg_walfile_name(pg_current_wal_lsn()), 8) AS line \
         FROM pg_control_system()) AS cluster"
    };
}
pub(in super::super) use cluster;

/// Whether `cluster` is another than the one on record in `histories`; one that was never recorded is no other.
macro_rules! moved {
    () => {
        "coalesce(system_identifier <> identifier OR timeline <> line, false)"
    };
}
pub(in super::super) use moved;

const RENEW: &str = concat!(
    "UPDATE histories SET id = gen_random_uuid(), system_identifier = identifier, timeline = line FROM ",
    cluster!(),
    " WHERE singleton AND (NOT $1 OR ",
    moved!(),
    ") RETURNING id",
);

const RECORD: &str = concat!(
    "UPDATE histories SET system_identifier = identifier, timeline = line FROM ",
    cluster!(),
    " WHERE singleton AND system_identifier IS NULL",
);

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// Begins a new history, and records the cluster it begins in; with `only_if_moved`, only if that is another than the one
/// on record. Gives the history that is the present one once the transaction has committed. Writers of the log wait.
///
/// # Errors
/// [`StoreError::Unavailable`], also if the lock was not to be had in time.
pub async fn renew_history(
    transaction: &mut Transaction,
    only_if_moved: bool,
) -> Result<HistoryId, StoreError> {
    let connection = transaction.connection();
    lock(connection).await?;
    match renew(connection, only_if_moved).await? {
        Some(renewed) => Ok(renewed),
        None => Ok(head(connection).await?.position.history),
    }
}

/// The new history, if one is begun. The log is locked by now.
pub(super) async fn renew(
    connection: &mut Connection,
    only_if_moved: bool,
) -> Result<Option<HistoryId>, StoreError> {
    let query = statement(RENEW).bind::<Bool, _>(only_if_moved);
    let renewed: Option<IdRow> = connection.row_if_any(query).await?;
    Ok(renewed.map(|IdRow { id }| HistoryId(id)))
}

/// Records the cluster, if none is on record.
pub(in super::super) async fn record_cluster(connection: &mut Connection) -> Result<(), StoreError> {
    connection.execute(diesel::sql_query(RECORD)).await
}
