//! The revision log: every change that can change an introspection's answer, contiguous and in commit order.

mod columns;
mod compaction;
mod head;
mod renewal;

use std::borrow::Cow;
use std::time::SystemTime;

use diesel::dsl::auto_type;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Int4, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use columns::{kind, named, overlap_end, several};
pub use compaction::compact;
use head::HeadRow;
pub use head::head;
pub use renewal::renew_history;
pub(super) use renewal::{cluster, moved, record_cluster};

use super::connection::Connection;
use super::error::{StoreError, understood};
use super::moment::Moment;
use super::schema::{histories, revisions};
use super::servers::milliseconds;
use super::statement::statement;
use super::transaction::Transaction;
use crate::defect::{Defect, seeded};
use crate::profile::ProfileName;
use crate::revocation::{Appended, Change, Event, HistoryId, NewEvent, Position, Segment, TokenChange};
use crate::text::{Initiator, PrincipalId, Reason};
use crate::token::{Generation, Kid, Revision, TokenId};
use crate::workspace::WorkspaceId;

/// The advisory lock of whoever appends: the ASCII letters `tkrevisn`.
const LOCK: i64 = i64::from_be_bytes(*b"tkrevisn");

/// Counts on from the last revision, in the order of the arrays.
const APPEND: &str = "\
    INSERT INTO revisions \
    (revision, kind, workspace, token, generation, reason, initiator, principal, profile, kid, tokens, overlap_end_time, \
    awaited) \
    SELECT last + number, kind, workspace, token, generation, reason, initiator, principal, profile, kid, \
    string_to_array(tokens, ',')::uuid[], overlap_end_time, $12 \
    FROM (SELECT coalesce(max(revision), 0) AS last FROM revisions) AS log, \
    unnest($1::text[], $2::text[], $3::uuid[], $4::int[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], \
    $10::text[], $11::timestamptz[]) WITH ORDINALITY \
    AS events (kind, workspace, token, generation, reason, initiator, principal, profile, kid, tokens, overlap_end_time, \
    number) \
    ORDER BY number RETURNING revision, event_time, \
    (SELECT id FROM histories WHERE singleton) AS history, \
    (SELECT coalesce(max(milliseconds), 0) FROM leases) AS lease_milliseconds";

/// One statement, which sees the log at one moment: what was deleted is never skipped, and what is read is of the
/// history asked for.
const READ: &str = "\
    SELECT id AS history, compacted, (SELECT coalesce(max(revision), 0) FROM revisions) AS last, following.* \
    FROM histories LEFT JOIN LATERAL ( \
    SELECT revision, event_time, kind, workspace, token, generation, reason, initiator, awaited, principal, profile, kid, \
    tokens, overlap_end_time \
    FROM revisions WHERE revision > $2 AND histories.id = $1 AND histories.compacted <= $2 ORDER BY revision LIMIT $3 \
    ) AS following ON true WHERE singleton ORDER BY revision";

/// The history of the log, as the statement at hand sees it.
#[auto_type]
pub(super) fn history() -> _ {
    histories::table.find(true).select(histories::id).single_value().assume_not_null()
}

#[derive(QueryableByName)]
struct PlaceRow {
    #[diesel(sql_type = BigInt)]
    revision: i64,
    #[diesel(sql_type = Timestamptz)]
    event_time: Moment,
    #[diesel(sql_type = SqlUuid)]
    history: Uuid,
    #[diesel(sql_type = Int4)]
    lease_milliseconds: i32,
}

#[derive(QueryableByName)]
#[diesel(table_name = revisions)]
struct EventRow {
    revision: i64,
    event_time: Moment,
    kind: String,
    workspace: Option<String>,
    token: Option<Uuid>,
    generation: Option<i32>,
    reason: Option<String>,
    initiator: String,
    awaited: bool,
    principal: Option<String>,
    profile: Option<String>,
    kid: Option<String>,
    overlap_end_time: Option<Moment>,
    tokens: Option<Vec<Uuid>>,
}

impl EventRow {
    fn into_event(self) -> Result<Event, StoreError> {
        Ok(Event {
            revision: Revision(self.revision),
            time: self.event_time.0,
            awaited: self.awaited,
            event: NewEvent {
                initiator: understood("revisions.initiator", Initiator::parse(self.initiator.clone()))?,
                change: self.into_change()?,
            },
        })
    }

    fn into_change(self) -> Result<Change, StoreError> {
        let Self { kind, workspace, token, generation, reason, principal, profile, kid, tokens, .. } = self;
        let overlap_end = self.overlap_end_time.map(|moment| moment.0);
        let workspace = || present("revisions.workspace", workspace, WorkspaceId::parse);
        Ok(match (kind.as_str(), reason) {
            ("principal_changed", None) => Change::PrincipalChanged {
                workspace: workspace()?,
                principal: present("revisions.principal", principal, PrincipalId::parse)?,
            },
            ("workspace_invalidated", Some(reason)) => {
                let reason = understood("revisions.reason", Reason::parse(reason))?;
                Change::WorkspaceInvalidated { workspace: workspace()?, reason }
            }
            ("bulk_revoked", Some(reason)) => {
                let reason = understood("revisions.reason", Reason::parse(reason))?;
                let tokens = tokens.map(|tokens| tokens.into_iter().map(TokenId::from_uuid).collect());
                Change::BulkRevoked { workspace: workspace()?, tokens, reason }
            }
            ("workspace_updated", None) => Change::WorkspaceUpdated { workspace: workspace()? },
            ("profile_updated", None) => {
                Change::ProfileUpdated { profile: present("revisions.profile", profile, ProfileName::parse)? }
            }
            ("key_retired", None) => {
                let parse = |kid: String| Kid::parse(&kid).ok_or(());
                Change::KeyRetired { kid: present("revisions.kid", kid, parse)? }
            }
            (kind, reason) => Change::Token {
                what: token_change(kind, reason, overlap_end)?,
                workspace: workspace()?,
                token: present("revisions.token", token, |id| Ok::<_, ()>(TokenId::from_uuid(id)))?,
                generation: present("revisions.generation", generation, |it| Ok::<_, ()>(Generation(it)))?,
            },
        })
    }
}

/// What a column holds that must hold something in a row of this kind.
fn present<Column, Value, Refusal>(
    what: &'static str,
    column: Option<Column>,
    parse: impl Fn(Column) -> Result<Value, Refusal>,
) -> Result<Value, StoreError> {
    understood(what, column.ok_or(()).and_then(|column| parse(column).map_err(|_| ())))
}

fn token_change(
    kind: &str,
    reason: Option<String>,
    overlap_end: Option<SystemTime>,
) -> Result<TokenChange, StoreError> {
    match (kind, reason) {
        ("revoked", Some(reason)) => {
            let reason = understood("revisions.reason", Reason::parse(reason))?;
            Ok(TokenChange::Revoked { reason })
        }
        ("secret_replaced", None) => Ok(TokenChange::SecretReplaced { overlap_end }),
        ("updated", None) => Ok(TokenChange::Updated),
        ("suspended", Some(reason)) => {
            let reason = understood("revisions.reason", Reason::parse(reason))?;
            Ok(TokenChange::Suspended { reason })
        }
        ("resumed", None) => Ok(TokenChange::Resumed),
        _ => Err(StoreError::Corrupt { what: "revisions.kind" }),
    }
}

/// Appends changes, at least one, in this order; `awaited` if somebody waits until every server has applied them. From
/// here to its end the transaction keeps every other writer of the log waiting, and every server that would join: lock
/// what else is to be locked before, and finish soon after.
///
/// # Errors
/// [`StoreError::Unavailable`], also if the lock was not to be had in time.
pub async fn append_all(
    transaction: &mut Transaction,
    events: Vec<NewEvent>,
    awaited: bool,
) -> Result<Appended, StoreError> {
    let connection = transaction.connection();
    lock(connection).await?;
    // What is committed on another cluster than before is of its history: under the old one's name, servers that follow a
    // deposed primary would say that they have it.
    renewal::renew(connection, true).await?;
    let kinds = events.iter().map(|event| kind(&event.change));
    let (kinds, reasons): (Vec<&str>, Vec<Option<&str>>) = kinds.unzip();
    let append = if seeded(Defect::NaiveCursor) { naive_append().into() } else { Cow::Borrowed(APPEND) };
    let query = statement(append)
        .bind::<Array<Text>, _>(kinds)
        .bind::<Array<Nullable<Text>>, _>(column(&events, |it| {
            it.change.workspace().map(WorkspaceId::as_str)
        }))
        .bind::<Array<Nullable<SqlUuid>>, _>(column(&events, |event| named(&event.change).0))
        .bind::<Array<Nullable<Int4>>, _>(column(&events, |event| named(&event.change).1))
        .bind::<Array<Nullable<Text>>, _>(reasons)
        .bind::<Array<Text>, _>(column(&events, |event| event.initiator.as_str()))
        .bind::<Array<Nullable<Text>>, _>(column(&events, |event| named(&event.change).2))
        .bind::<Array<Nullable<Text>>, _>(column(&events, |event| named(&event.change).3))
        .bind::<Array<Nullable<Text>>, _>(column(&events, |event| named(&event.change).4))
        .bind::<Array<Nullable<Text>>, _>(column(&events, |event| several(&event.change)))
        .bind::<Array<Nullable<Timestamptz>>, _>(column(&events, overlap_end))
        .bind::<Bool, _>(awaited);
    let mut places: Vec<PlaceRow> = connection.rows(query).await?;
    places.sort_unstable_by_key(|place| place.revision);
    let first = places.first().ok_or(StoreError::Corrupt { what: "revisions" })?;
    let (history, longest_lease) = (HistoryId(first.history), milliseconds(first.lease_milliseconds));
    let appended = places.into_iter().zip(events).map(|(place, event)| {
        let PlaceRow { revision, event_time, .. } = place;
        Event { revision: Revision(revision), time: event_time.0, event, awaited }
    });
    Ok(Appended { history, longest_lease, events: appended.collect() })
}

/// Keeps every other writer waiting until the transaction ends. A statement of its own, so that the next one sees what
/// was committed while it was waited for.
pub(super) async fn lock(connection: &mut Connection) -> Result<(), StoreError> {
    if seeded(Defect::NaiveCursor) {
        return Ok(());
    }
    connection.command(&format!("SELECT pg_advisory_xact_lock({LOCK})")).await
}

/// Draws revisions from a sequence that whoever seeds the defect has made.
fn naive_append() -> String {
    APPEND.replace(
        "coalesce(max(revision), 0) AS last FROM revisions",
        "nextval('naive_revisions') - 1 AS last",
    )
}

fn column<'event, Value>(events: &'event [NewEvent], value: fn(&'event NewEvent) -> Value) -> Vec<Value> {
    events.iter().map(value).collect()
}

/// The log, and at most `limit` changes right after a position.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
pub async fn read_after(
    connection: &mut Connection,
    after: Position,
    limit: usize,
) -> Result<Segment, StoreError> {
    let query = statement(READ)
        .bind::<SqlUuid, _>(after.history.0)
        .bind::<BigInt, _>(after.revision.0)
        .bind::<BigInt, _>(i64::try_from(limit).unwrap_or(i64::MAX));
    let rows: Vec<(HeadRow, Option<EventRow>)> = connection.rows(query).await?;
    let (heads, events): (Vec<HeadRow>, Vec<Option<EventRow>>) = rows.into_iter().unzip();
    let head = heads.into_iter().next().ok_or(StoreError::Corrupt { what: "histories" })?.into();
    let events: Result<_, _> = events.into_iter().flatten().map(EventRow::into_event).collect();
    Ok(Segment { head, events: events? })
}
