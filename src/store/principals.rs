//! Principals: who tokens act for, and what becomes of their tokens.

use std::collections::BTreeSet;

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Nullable, Text};

use super::connection::Connection;
use super::error::{StoreError, understood};
use super::moment::Moment;
use super::schema::principals;
use super::statement::statement;
use super::token_predicates::kind_column;
use super::token_row::{external_id, scopes, statement_timestamp};
use super::tokens::scopes_column;
use super::transaction::Transaction;
use crate::principal::{Legacy, NewPrincipal, Principal, PrincipalEdit, PrincipalKey};
use crate::profile::PrincipalKind;
use crate::text::{Handle, Initiator, Name, PrincipalId};
use crate::token::{ExternalId, Revision};
use crate::workspace::WorkspaceId;

/// One after another as they are given. How many they are is hidden from the planner, which would else plan each execution
/// anew.
const SHARE: &str = "\
    SELECT shared.* FROM unnest((SELECT $1::text[]), $2::text[]) AS wanted (workspace, id) CROSS JOIN LATERAL ( \
    SELECT workspace, id, kind, name, handle, external_id, scopes, creator, disabled, version, revision, create_time, \
    update_time FROM principals \
    WHERE principals.workspace = wanted.workspace AND principals.id = wanted.id AND delete_time IS NULL FOR SHARE \
    ) AS shared";

#[derive(Queryable, QueryableByName, Selectable)]
#[diesel(table_name = principals, check_for_backend(Pg))]
struct PrincipalRow {
    workspace: String,
    id: String,
    kind: String,
    name: String,
    handle: Option<String>,
    external_id: Option<i64>,
    scopes: Vec<String>,
    creator: String,
    disabled: bool,
    version: i32,
    revision: i64,
    create_time: Moment,
    update_time: Moment,
}

impl PrincipalRow {
    fn into_principal(self) -> Result<Principal, StoreError> {
        Ok(Principal {
            workspace: understood("principals.workspace", WorkspaceId::parse(self.workspace))?,
            id: understood("principals.id", PrincipalId::parse(self.id))?,
            kind: kind(&self.kind)?,
            name: understood("principals.name", Name::parse(self.name))?,
            handle: understood("principals.handle", self.handle.map(Handle::parse).transpose())?,
            external_id: external_id("principals.external_id", self.external_id)?,
            scopes: scopes("principals.scopes", self.scopes)?,
            creator: understood("principals.creator", Initiator::parse(self.creator))?,
            disabled: self.disabled,
            create_time: self.create_time.0,
            update_time: self.update_time.0,
            version: self.version,
            revision: Revision(self.revision),
        })
    }
}

fn kind(text: &str) -> Result<PrincipalKind, StoreError> {
    let known = PrincipalKind::WORDS.into_iter().find(|(word, _)| *word == text);
    understood("principals.kind", known.map(|(_, kind)| kind).ok_or(()))
}

/// Which page of which principals.
#[derive(Debug, Clone)]
pub struct PrincipalQuery {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Only those of this kind.
    pub kind: Option<PrincipalKind>,
    /// Begin after this one; with the first if `None`.
    pub after: Option<PrincipalId>,
    /// How many at most.
    pub limit: usize,
}

/// Adds a principal; `None` if its id was given before, or its handle or number is another one's, which does not fail the
/// transaction.
///
/// # Errors
/// [`StoreError::Conflict`] if the workspace is not there; [`StoreError::Unavailable`].
pub async fn insert(
    connection: &mut Connection,
    new: &NewPrincipal,
    creator: &Initiator,
) -> Result<Option<Principal>, StoreError> {
    let values = (
        principals::workspace.eq(new.workspace.as_str()),
        principals::id.eq(new.id.as_str()),
        principals::kind.eq(kind_column(new.kind)),
        principals::name.eq(new.name.as_str()),
        principals::handle.eq(new.handle.as_ref().map(Handle::as_str)),
        principals::external_id.eq(new.external_id.map(ExternalId::get)),
        principals::scopes.eq(scopes_column(&new.scopes)),
        principals::creator.eq(creator.as_str()),
        principals::disabled.eq(new.disabled),
    );
    let query = diesel::insert_into(principals::table).values(values).on_conflict_do_nothing();
    let row = connection.row_if_any(query.returning(PrincipalRow::as_returning())).await?;
    row.map(PrincipalRow::into_principal).transpose()
}

/// The principal of that id, handle or number, unless it is deleted.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
pub async fn find(
    connection: &mut Connection,
    workspace: &WorkspaceId,
    key: &PrincipalKey,
) -> Result<Option<Principal>, StoreError> {
    let mut query = principals::table
        .filter(principals::workspace.eq(workspace.as_str()))
        .filter(principals::delete_time.is_null())
        .select(PrincipalRow::as_select())
        .into_boxed();
    query = match key {
        PrincipalKey::Id(id) => query.filter(principals::id.eq(id.as_str())),
        PrincipalKey::Handle(handle) => query.filter(principals::handle.eq(handle.as_str())),
        PrincipalKey::ExternalId(number) => query.filter(principals::external_id.eq(number.get())),
    };
    connection.row_if_any(query).await?.map(PrincipalRow::into_principal).transpose()
}

/// Those principals of these workspaces and ids that are not deleted, which nobody can change until the transaction ends:
/// locked one after another in this order, as by all who lock several.
///
/// # Errors
/// [`StoreError::Unavailable`], also if somebody held one for too long; [`StoreError::Corrupt`].
pub async fn share(
    transaction: &mut Transaction,
    wanted: &BTreeSet<(&WorkspaceId, &PrincipalId)>,
) -> Result<Vec<Principal>, StoreError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let query = statement(SHARE)
        .bind::<Array<Text>, _>(wanted.iter().map(|(workspace, _)| workspace.as_str()).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(wanted.iter().map(|(_, id)| id.as_str()).collect::<Vec<_>>());
    let rows: Vec<PrincipalRow> = transaction.connection().rows(query).await?;
    rows.into_iter().map(PrincipalRow::into_principal).collect()
}

/// Those principals of these ids that are not deleted, by id, which nobody else can change nor give tokens to until the
/// transaction ends.
///
/// # Errors
/// As [`share`].
pub async fn lock(
    transaction: &mut Transaction,
    workspace: &WorkspaceId,
    ids: &[&PrincipalId],
) -> Result<Vec<Principal>, StoreError> {
    let ids: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
    let query = principals::table
        .filter(principals::workspace.eq(workspace.as_str()))
        .filter(principals::id.eq_any(ids))
        .filter(principals::delete_time.is_null())
        .order(principals::id)
        .select(PrincipalRow::as_select())
        .for_no_key_update();
    let rows: Vec<PrincipalRow> = transaction.connection().rows(query).await?;
    rows.into_iter().map(PrincipalRow::into_principal).collect()
}

/// Changes what `edit` names of a principal that the transaction has locked, and counts its version up. The revision stays
/// unless there is a new one.
///
/// # Errors
/// [`StoreError::Conflict`] if another principal has the handle; [`StoreError::Unavailable`].
pub async fn update(
    transaction: &mut Transaction,
    principal: &Principal,
    edit: PrincipalEdit,
    revision: Option<Revision>,
) -> Result<Principal, StoreError> {
    let changes = (
        edit.name.map(|name| principals::name.eq(name.into_string())),
        edit.handle.map(|handle| principals::handle.eq(handle.map(Handle::into_string))),
        edit.scopes.as_ref().map(|scopes| principals::scopes.eq(scopes_column(scopes))),
        edit.disabled.map(|disabled| principals::disabled.eq(disabled)),
        revision.map(|revision| principals::revision.eq(revision.0)),
        principals::version.eq(principals::version + 1),
        principals::update_time.eq(statement_timestamp()),
    );
    let found = principals::table.find((principal.workspace.as_str(), principal.id.as_str()));
    let query = diesel::update(found).set(changes).returning(PrincipalRow::as_returning());
    transaction.connection().row(query).await?.into_principal()
}

/// One page, by id.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
pub async fn list(connection: &mut Connection, query: &PrincipalQuery) -> Result<Vec<Principal>, StoreError> {
    let mut page = principals::table
        .filter(principals::workspace.eq(query.workspace.as_str()))
        .filter(principals::delete_time.is_null())
        .order(principals::id)
        .limit(i64::try_from(query.limit).unwrap_or(i64::MAX))
        .select(PrincipalRow::as_select())
        .into_boxed();
    if let Some(kind) = query.kind {
        page = page.filter(principals::kind.eq(kind_column(kind)));
    }
    if let Some(after) = &query.after {
        page = page.filter(principals::id.gt(after.as_str()));
    }
    let rows: Vec<PrincipalRow> = connection.rows(page).await?;
    rows.into_iter().map(PrincipalRow::into_principal).collect()
}

/// By id, as all do who lock several tokens.
const LOCK_TOKENS: &str = "\
    SELECT count(*) AS count FROM ( \
    SELECT id FROM tokens WHERE workspace = $1 AND principal = $2 AND revoke_time IS NULL \
    ORDER BY id FOR NO KEY UPDATE) AS locked";

const REVOKE_TOKENS: &str = "\
    UPDATE tokens SET revoke_time = statement_timestamp(), revoke_reason = $4, revision = $3, \
    update_time = statement_timestamp() \
    WHERE workspace = $1 AND principal = $2 AND revoke_time IS NULL";

const HAND_TOKENS_OVER: &str = "\
    UPDATE tokens SET principal = $4, \
    principal_kind = (SELECT kind FROM principals WHERE workspace = $1 AND id = $4), \
    revision = $3, update_time = statement_timestamp() \
    WHERE workspace = $1 AND principal = $2 AND revoke_time IS NULL";

const DELETE: &str = "\
    UPDATE principals SET delete_time = statement_timestamp(), revision = $3, version = version + 1, \
    update_time = statement_timestamp() WHERE workspace = $1 AND id = $2";

#[derive(QueryableByName)]
struct CountRow {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Locks the tokens of a principal that the transaction has locked, but those that are revoked; gives their number.
///
/// # Errors
/// [`StoreError::Unavailable`], also if somebody held one for too long.
pub async fn lock_tokens(transaction: &mut Transaction, principal: &Principal) -> Result<i64, StoreError> {
    let query = diesel::sql_query(LOCK_TOKENS)
        .bind::<Text, _>(principal.workspace.as_str())
        .bind::<Text, _>(principal.id.as_str());
    let CountRow { count } = transaction.connection().row(query).await?;
    Ok(count)
}

/// Ends a principal whose tokens are locked too, and does to them what is to become of them. All of it is one change.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn delete(
    transaction: &mut Transaction,
    principal: &Principal,
    legacy: &Legacy,
    revision: Revision,
) -> Result<(), StoreError> {
    let (statement, word) = match legacy {
        Legacy::Revoked(reason) => (REVOKE_TOKENS, reason.as_str()),
        Legacy::HandedOver(heir) => (HAND_TOKENS_OVER, heir.as_str()),
    };
    for (statement, word) in [(statement, Some(word)), (DELETE, None)] {
        let query = diesel::sql_query(statement)
            .into_boxed::<Pg>()
            .bind::<Text, _>(principal.workspace.as_str())
            .bind::<Text, _>(principal.id.as_str())
            .bind::<BigInt, _>(revision.0);
        let query = if word.is_some() { query.bind::<Nullable<Text>, _>(word) } else { query };
        transaction.connection().execute(query).await?;
    }
    Ok(())
}
