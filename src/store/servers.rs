//! The servers over this database: a row for each life of one.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::connection::Connection;
use super::error::{StoreError, understood};
use super::log::{self, cluster, moved, record_cluster};
use super::moment::Moment;
use super::schema::{histories, leases, servers};
use super::transaction::Transaction;
use crate::defect::{Defect, seeded};
use crate::revocation::{HistoryId, Position};
use crate::token::{Kid, Revision};

/// Names one life of a server, from its start to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(pub Uuid);

/// What a heartbeat found. It counts only once the transaction has committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BeatRow {
    /// Where the log ended.
    pub head: Position,
    /// How long the longest lease of a server lasts.
    pub longest_lease: Duration,
    /// What the database's clock showed.
    pub time: SystemTime,
    /// Whether the cluster is another than the one in which this history was last known to go on.
    pub moved: bool,
}

/// A server as its row tells of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerRow {
    /// Which.
    pub id: ServerId,
    /// How often its heart has beaten.
    pub beat: i64,
    /// Everything up to here is applied by it and by those it granted leases.
    pub acknowledged: Position,
    /// How long its leases last.
    pub lease: Duration,
}

/// The server's beat, and what it is to know of the log, as one statement sees them.
const BEAT: &str = concat!(
    "WITH beaten AS (UPDATE servers SET beat = beat + 1, history = coalesce($2, history), \
     acknowledged = coalesce($3, acknowledged) WHERE id = $1 RETURNING id) \
     SELECT histories.id AS history, (SELECT coalesce(max(revision), 0) FROM revisions) AS last, \
     (SELECT coalesce(max(milliseconds), 0) FROM leases) AS lease_milliseconds, \
     clock_timestamp() AS time, system_identifier IS NOT NULL AS recorded, ",
    moved!(),
    " AS moved FROM beaten, histories, ",
    cluster!(),
    " WHERE singleton",
);

#[derive(QueryableByName)]
struct Beaten {
    #[diesel(sql_type = SqlUuid)]
    history: Uuid,
    #[diesel(sql_type = BigInt)]
    last: i64,
    #[diesel(sql_type = Integer)]
    lease_milliseconds: i32,
    #[diesel(sql_type = Timestamptz)]
    time: Moment,
    #[diesel(sql_type = Bool)]
    recorded: bool,
    #[diesel(sql_type = Bool)]
    moved: bool,
}

/// Enters a server whose leases last so long, and that holds these keys. It has acknowledged nothing yet. Writers of the
/// log wait meanwhile: a change that knows nothing of this server is committed before it is entered, so that it starts
/// from that change.
///
/// # Errors
/// [`StoreError::Conflict`] if the id is taken; [`StoreError::Unavailable`].
pub async fn register(
    transaction: &mut Transaction,
    id: ServerId,
    lease: Duration,
    kids: &[Kid],
) -> Result<(), StoreError> {
    let connection = transaction.connection();
    log::lock(connection).await?;
    let lease = i32::try_from(lease.as_millis()).unwrap_or(i32::MAX);
    let row = histories::table.find(true).select((
        id.0.into_sql::<SqlUuid>(),
        histories::id,
        kids.iter().map(Kid::to_string).collect::<Vec<_>>().into_sql::<Array<Text>>(),
    ));
    let columns = (servers::id, servers::history, servers::kids);
    connection.execute(row.insert_into(servers::table).into_columns(columns)).await?;
    let lease = (leases::server.eq(id.0), leases::milliseconds.eq(lease));
    connection.execute(diesel::insert_into(leases::table).values(lease)).await
}

/// Beats a server's heart and, if told so, notes what it has acknowledged. None if there is no such row. The first beat
/// of a history that was never recorded in any cluster records this one.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn beat(
    transaction: &mut Transaction,
    id: ServerId,
    acknowledged: Option<Position>,
) -> Result<Option<BeatRow>, StoreError> {
    let connection = transaction.connection();
    if seeded(Defect::BeatNotReplicated) {
        connection.command("SET LOCAL synchronous_commit = off").await?;
    }
    let query = diesel::sql_query(BEAT)
        .bind::<SqlUuid, _>(id.0)
        .bind::<Nullable<SqlUuid>, _>(acknowledged.map(|position| position.history.0))
        .bind::<Nullable<BigInt>, _>(acknowledged.map(|position| position.revision.0));
    let Some(beaten) = connection.row_if_any::<Beaten, _>(query).await? else {
        return Ok(None);
    };
    if !beaten.recorded {
        record_cluster(connection).await?;
    }
    let head = Position { history: HistoryId(beaten.history), revision: Revision(beaten.last) };
    let longest_lease = milliseconds(beaten.lease_milliseconds);
    Ok(Some(BeatRow { head, longest_lease, time: beaten.time.0, moved: beaten.moved }))
}

/// Notes at once what a server has acknowledged. It commits without waiting for the disk: what is lost with the database
/// is noted again, and until then others only wait longer than they must.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn acknowledge(
    connection: &mut Connection,
    id: ServerId,
    position: Position,
) -> Result<(), StoreError> {
    let Position { history: HistoryId(history), revision: Revision(revision) } = position;
    let ServerId(id) = id;
    // One message for all four, and nothing in it but numbers.
    let note = format!(
        "BEGIN; SET LOCAL synchronous_commit = off; UPDATE servers SET history = '{history}', \
         acknowledged = {revision} WHERE id = '{id}'; COMMIT"
    );
    connection.command(&note).await
}

/// Every server. One without a lease would not be waited for by whoever reads only leases, so it is not passed over.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
pub async fn list(connection: &mut Connection) -> Result<Vec<ServerRow>, StoreError> {
    let lease = leases::milliseconds.nullable();
    let columns = (servers::id, servers::beat, servers::history, servers::acknowledged, lease);
    let query = servers::table.left_join(leases::table.on(leases::server.eq(servers::id)));
    let rows: Vec<(Uuid, i64, Uuid, i64, Option<i32>)> = connection.rows(query.select(columns)).await?;
    rows.into_iter().map(into_server).collect()
}

fn into_server(row: (Uuid, i64, Uuid, i64, Option<i32>)) -> Result<ServerRow, StoreError> {
    let (id, beat, history, acknowledged, lease) = row;
    let acknowledged = Position { history: HistoryId(history), revision: Revision(acknowledged) };
    let lease = milliseconds(lease.ok_or(StoreError::Corrupt { what: "leases.server" })?);
    Ok(ServerRow { id: ServerId(id), beat, acknowledged, lease })
}

/// The keys that each server holds, as it said when it was entered; a server of a release that did not say so yet, none.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
pub async fn holdings(connection: &mut Connection) -> Result<Vec<BTreeSet<Kid>>, StoreError> {
    let rows: Vec<Vec<String>> = connection.rows(servers::table.select(servers::kids)).await?;
    let kid = |text: &String| understood("servers.kids", Kid::parse(text).ok_or(()));
    rows.iter().map(|kids| kids.iter().map(kid).collect()).collect()
}

/// The length of a lease as a row tells it.
pub(super) fn milliseconds(number: i32) -> Duration {
    Duration::from_millis(u64::try_from(number).unwrap_or_default())
}

/// Removes a server whose heart has stopped: only if it has not beaten since. Tells whether it was there.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn remove(connection: &mut Connection, id: ServerId, beat: i64) -> Result<bool, StoreError> {
    let stopped = servers::table.find(id.0).filter(servers::beat.eq(beat));
    let removed: Option<Uuid> = connection.row_if_any(diesel::delete(stopped).returning(servers::id)).await?;
    Ok(removed.is_some())
}

/// Removes a server that goes.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn leave(connection: &mut Connection, id: ServerId) -> Result<(), StoreError> {
    connection.execute(diesel::delete(servers::table.find(id.0))).await
}
