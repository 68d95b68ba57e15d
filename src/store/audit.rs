//! The audit: events are written with what they tell of, read newest first, and deleted once they are old.

use std::collections::BTreeMap;
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Binary, Double, Jsonb, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::connection::Connection;
use super::error::{StoreError, understood};
use super::moment::Moment;
use super::statement::statement;
use crate::audit::{Entry, Event, Filter, Subject};
use crate::text::{Initiator, PrincipalId};
use crate::token::{Revision, TokenId};
use crate::workspace::WorkspaceId;

const RECORD: &str = "\
    INSERT INTO audit_events (id, action, workspace, caller, initiator, token, principal, refusal, peer_address, \
    request_digest, trace_id, revision, details) SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], \
    $5::text[], $6::uuid[], $7::text[], $8::text[], $9::text[], $10::bytea[], $11::text[], $12::bigint[], $13::jsonb[])";

/// By what is most particular about the events, so that the rest is looked for among few.
const LIST: &str = "\
    SELECT id, event_time, action, workspace, caller, initiator, token, principal, refusal, peer_address, \
    encode(request_digest, 'hex') AS request_digest, trace_id, revision, details FROM audit_events \
    WHERE ($1 IS NULL OR workspace = $1) AND ($2::uuid IS NULL OR id < $2) ";

const FORGET: &str = "\
    DELETE FROM audit_events WHERE id IN (SELECT id FROM audit_events \
    WHERE event_time < statement_timestamp() - $1 * interval '1 second' ORDER BY event_time LIMIT $2 \
    FOR UPDATE SKIP LOCKED) RETURNING id";

#[derive(QueryableByName)]
struct EventRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    event_time: Moment,
    #[diesel(sql_type = Text)]
    action: String,
    #[diesel(sql_type = Nullable<Text>)]
    workspace: Option<String>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    caller: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    initiator: Option<String>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    token: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    principal: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    refusal: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    peer_address: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    request_digest: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    trace_id: Option<String>,
    #[diesel(sql_type = BigInt)]
    revision: i64,
    #[diesel(sql_type = Jsonb)]
    details: serde_json::Value,
}

impl EventRow {
    fn into_event(self) -> Result<Event, StoreError> {
        let workspace = self.workspace.map(WorkspaceId::parse).transpose();
        let principal = self.principal.map(PrincipalId::parse).transpose();
        let details: Result<BTreeMap<String, String>, _> = serde_json::from_value(self.details);
        Ok(Event {
            id: self.id,
            time: self.event_time.0,
            action: self.action,
            caller: self.caller.map(TokenId::from_uuid),
            initiator: self.initiator,
            subject: Subject {
                workspace: understood("audit_events.workspace", workspace)?,
                token: self.token.map(TokenId::from_uuid),
                principal: understood("audit_events.principal", principal)?,
            },
            refusal: self.refusal,
            address: self.peer_address,
            request_digest: self.request_digest,
            trace: self.trace_id,
            revision: Revision(self.revision),
            details: understood("audit_events.details", details)?,
        })
    }
}

/// Writes events. In a transaction they are there if and only if it commits.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn record(connection: &mut Connection, entries: &[Entry]) -> Result<(), StoreError> {
    if entries.is_empty() {
        return Ok(());
    }
    let query = statement(RECORD)
        .bind::<Array<SqlUuid>, _>(column(entries, |it| it.id))
        .bind::<Array<Text>, _>(column(entries, |it| it.action.as_str()))
        .bind::<Array<Nullable<Text>>, _>(column(entries, |it| {
            it.subject.workspace.as_ref().map(WorkspaceId::as_str)
        }))
        .bind::<Array<Nullable<SqlUuid>>, _>(column(entries, |it| it.caller.map(|id| id.as_uuid())))
        .bind::<Array<Nullable<Text>>, _>(column(entries, |it| it.initiator.as_ref().map(Initiator::as_str)))
        .bind::<Array<Nullable<SqlUuid>>, _>(column(entries, |it| it.subject.token.map(|id| id.as_uuid())))
        .bind::<Array<Nullable<Text>>, _>(column(entries, |it| {
            it.subject.principal.as_ref().map(PrincipalId::as_str)
        }))
        .bind::<Array<Nullable<Text>>, _>(column(entries, |it| it.refusal))
        .bind::<Array<Nullable<Text>>, _>(column(entries, |it| it.origin.address.map(|it| it.to_string())))
        .bind::<Array<Nullable<Binary>>, _>(column(entries, |it| it.request.map(|digest| digest.0.to_vec())))
        .bind::<Array<Nullable<Text>>, _>(column(entries, |it| {
            it.origin.trace.map(|trace| trace.to_string())
        }))
        .bind::<Array<BigInt>, _>(column(entries, |it| it.revision.0))
        .bind::<Array<Jsonb>, _>(column(entries, details));
    connection.execute(query).await
}

fn column<'entry, Value>(entries: &'entry [Entry], value: fn(&'entry Entry) -> Value) -> Vec<Value> {
    entries.iter().map(value).collect()
}

fn details(entry: &Entry) -> serde_json::Value {
    entry.details.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// At most `limit` events of one workspace, or of all, that come before one, the newest first. Of the filter only what an
/// index serves is looked at; the caller looks at the rest.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
pub async fn list(
    connection: &mut Connection,
    workspace: Option<&WorkspaceId>,
    filter: &Filter,
    after: Option<Uuid>,
    limit: usize,
) -> Result<Vec<Event>, StoreError> {
    let narrowed = match (filter.token, &filter.principal, filter.caller) {
        (Some(_), _, _) => "AND token = $4 AND ($5 IS NULL OR true) ",
        (None, Some(_), _) => "AND ($4::uuid IS NULL OR true) AND principal = $5 ",
        (None, None, Some(_)) => "AND caller = $4 AND ($5 IS NULL OR true) ",
        (None, None, None) => "AND ($4::uuid IS NULL OR true) AND ($5 IS NULL OR true) ",
    };
    let id = filter.token.or(filter.caller.filter(|_| filter.principal.is_none()));
    let query = diesel::sql_query(format!("{LIST}{narrowed}ORDER BY id DESC LIMIT $3"))
        .bind::<Nullable<Text>, _>(workspace.map(WorkspaceId::as_str))
        .bind::<Nullable<SqlUuid>, _>(after)
        .bind::<BigInt, _>(i64::try_from(limit).unwrap_or(i64::MAX))
        .bind::<Nullable<SqlUuid>, _>(id.map(|id| id.as_uuid()))
        .bind::<Nullable<Text>, _>(filter.principal.as_ref().map(PrincipalId::as_str));
    let rows: Vec<EventRow> = connection.rows(query).await?;
    rows.into_iter().map(EventRow::into_event).collect()
}

#[derive(QueryableByName)]
struct IdRow {
    #[diesel(sql_type = SqlUuid)]
    #[expect(dead_code, reason = "only how many there are matters")]
    id: Uuid,
}

/// Deletes at most `limit` events that are older than `retention`; tells how many.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn forget(
    connection: &mut Connection,
    retention: Duration,
    limit: usize,
) -> Result<usize, StoreError> {
    let query = diesel::sql_query(FORGET).bind::<Double, _>(retention.as_secs_f64());
    let rows: Vec<IdRow> =
        connection.rows(query.bind::<BigInt, _>(i64::try_from(limit).unwrap_or(i64::MAX))).await?;
    Ok(rows.len())
}
