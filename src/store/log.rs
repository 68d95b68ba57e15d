//! The revision log: every change that can change an introspection's answer, contiguous and in commit order.

use diesel::dsl::max;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, Text, Uuid as SqlUuid};
use uuid::Uuid;

use super::connection::Connection;
use super::error::{StoreError, understood};
use super::moment::Moment;
use super::schema::{histories, revisions};
use super::transaction::Transaction;
use crate::revocation::{Change, Event, HistoryId, NewEvent, Position};
use crate::text::{Initiator, RevokeReason};
use crate::token::{Generation, Revision, TokenId};
use crate::workspace::WorkspaceId;

/// The advisory lock of whoever appends: the ASCII letters `tkrevisn`.
const LOCK: i64 = i64::from_be_bytes(*b"tkrevisn");

#[diesel::declare_sql_function]
extern "SQL" {
    /// SQL's `coalesce`, of numbers.
    #[sql_name = "coalesce"]
    fn or_else(number: Nullable<BigInt>, otherwise: BigInt) -> BigInt;
}

diesel::infix_operator!(Sum, " + ", BigInt, backend: Pg);

#[derive(Queryable, Selectable)]
#[diesel(table_name = revisions, check_for_backend(Pg))]
struct EventRow {
    revision: i64,
    event_time: Moment,
    kind: String,
    workspace: String,
    token: Uuid,
    generation: i32,
    reason: Option<String>,
    initiator: String,
}

impl EventRow {
    fn into_event(self) -> Result<Event, StoreError> {
        Ok(Event {
            revision: Revision(self.revision),
            time: self.event_time.0,
            event: NewEvent {
                change: change(&self.kind, self.reason)?,
                workspace: understood("revisions.workspace", WorkspaceId::parse(self.workspace))?,
                token: TokenId::from_uuid(self.token),
                generation: Generation(self.generation),
                initiator: understood("revisions.initiator", Initiator::parse(self.initiator))?,
            },
        })
    }
}

fn change(kind: &str, reason: Option<String>) -> Result<Change, StoreError> {
    match (kind, reason) {
        ("revoked", Some(reason)) => {
            let reason = understood("revisions.reason", RevokeReason::parse(reason))?;
            Ok(Change::Revoked { reason })
        }
        ("secret_replaced", None) => Ok(Change::SecretReplaced),
        ("updated", None) => Ok(Change::Updated),
        _ => Err(StoreError::Corrupt { what: "revisions.kind" }),
    }
}

fn kind(change: &Change) -> (&'static str, Option<&str>) {
    match change {
        Change::Revoked { reason } => ("revoked", Some(reason.as_str())),
        Change::SecretReplaced => ("secret_replaced", None),
        Change::Updated => ("updated", None),
    }
}

/// The last revision that was committed, and whose it is.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn head(connection: &mut Connection) -> Result<Position, StoreError> {
    let last = revisions::table.select(max(revisions::revision)).single_value();
    let query = histories::table.find(true).select((histories::id, last));
    let (history, last): (Uuid, Option<i64>) = connection.row(query).await?;
    Ok(Position { history: HistoryId(history), revision: Revision(last.unwrap_or(Revision::ZERO.0)) })
}

/// Appends a change. From here to its end the transaction keeps every other writer of the log waiting: lock what else
/// is to be locked before, and finish soon after.
///
/// The lock is a statement of its own, so that the next one sees what was committed while it was waited for.
///
/// # Errors
/// [`StoreError::Unavailable`], also if the lock was not to be had in time.
pub async fn append(transaction: &mut Transaction, event: NewEvent) -> Result<Event, StoreError> {
    let connection = transaction.connection();
    connection.command(&format!("SELECT pg_advisory_xact_lock({LOCK})")).await?;
    let (kind, reason) = kind(&event.change);
    let next = revisions::table.select((
        Sum::new(or_else(max(revisions::revision), 0), 1.into_sql::<BigInt>()),
        kind.into_sql::<Text>(),
        event.workspace.as_str().into_sql::<Text>(),
        event.token.as_uuid().into_sql::<SqlUuid>(),
        event.generation.0.into_sql::<Integer>(),
        reason.into_sql::<Nullable<Text>>(),
        event.initiator.as_str().into_sql::<Text>(),
    ));
    let columns = (
        revisions::revision,
        revisions::kind,
        revisions::workspace,
        revisions::token,
        revisions::generation,
        revisions::reason,
        revisions::initiator,
    );
    let place = (revisions::revision, revisions::event_time);
    let query = next.insert_into(revisions::table).into_columns(columns).returning(place);
    let (revision, time): (i64, Moment) = connection.row(query).await?;
    Ok(Event { revision: Revision(revision), time: time.0, event })
}

/// At most `limit` changes right after a position, in order. None if the log is of another history by now: what is read
/// is of the history asked for, or is not given.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
pub async fn read_after(
    connection: &mut Connection,
    after: Position,
    limit: usize,
) -> Result<Vec<Event>, StoreError> {
    let history = histories::table.find(true).select(histories::id).single_value();
    let query = revisions::table
        .select(EventRow::as_select())
        .filter(revisions::revision.gt(after.revision.0))
        .filter(history.eq(after.history.0))
        .order(revisions::revision)
        .limit(i64::try_from(limit).unwrap_or(i64::MAX));
    let rows: Vec<EventRow> = connection.rows(query).await?;
    rows.into_iter().map(EventRow::into_event).collect()
}
