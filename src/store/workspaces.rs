//! Workspaces.

use std::time::Duration;

use diesel::data_types::PgInterval;
use diesel::pg::Pg;
use diesel::prelude::*;

use super::connection::Connection;
use super::error::{StoreError, understood};
use super::moment::Moment;
use super::schema::workspaces;
use super::token_row::statement_timestamp;
use crate::profile::ProfileName;
use crate::text::Name;
use crate::token::{ExternalId, Revision};
use crate::workspace::{
    Limits, NewWorkspace, SupersededUse, TokenPrefix, Workspace, WorkspaceEdit, WorkspaceId,
};

#[derive(Queryable, Selectable)]
#[diesel(table_name = workspaces, check_for_backend(Pg))]
struct WorkspaceRow {
    id: String,
    name: String,
    token_prefix: String,
    version: i32,
    create_time: Moment,
    update_time: Moment,
    profile: Option<String>,
    revision: i64,
    superseded_use: String,
    #[diesel(embed)]
    limits: LimitsPart,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = workspaces, check_for_backend(Pg))]
#[expect(clippy::struct_field_names, reason = "they are the names of the columns")]
struct LimitsPart {
    max_tokens: Option<i64>,
    max_tokens_per_principal: Option<i64>,
    max_lifetime: Option<PgInterval>,
    max_issues_per_minute: Option<i32>,
}

impl LimitsPart {
    fn into_limits(self) -> Result<Limits, StoreError> {
        Ok(Limits {
            tokens: self.max_tokens,
            tokens_per_principal: self.max_tokens_per_principal,
            lifetime: understood("workspaces.max_lifetime", self.max_lifetime.map(duration).transpose())?,
            issues_per_minute: self.max_issues_per_minute,
        })
    }
}

/// A hand at psql may have said days; a month is none that a clock could count.
fn duration(interval: PgInterval) -> Result<Duration, ()> {
    let PgInterval { microseconds, days, months: 0 } = interval else { return Err(()) };
    let days = Duration::from_hours(24).checked_mul(u32::try_from(days).map_err(drop)?);
    let time = Duration::from_micros(u64::try_from(microseconds).map_err(drop)?);
    days.and_then(|days| days.checked_add(time)).ok_or(())
}

fn interval(duration: Duration) -> PgInterval {
    PgInterval::from_microseconds(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX))
}

type LimitColumns = (
    diesel::dsl::Eq<workspaces::max_tokens, Option<i64>>,
    diesel::dsl::Eq<workspaces::max_tokens_per_principal, Option<i64>>,
    diesel::dsl::Eq<workspaces::max_lifetime, Option<PgInterval>>,
    diesel::dsl::Eq<workspaces::max_issues_per_minute, Option<i32>>,
);

fn limit_columns(limits: Limits) -> LimitColumns {
    (
        workspaces::max_tokens.eq(limits.tokens),
        workspaces::max_tokens_per_principal.eq(limits.tokens_per_principal),
        workspaces::max_lifetime.eq(limits.lifetime.map(interval)),
        workspaces::max_issues_per_minute.eq(limits.issues_per_minute),
    )
}

impl WorkspaceRow {
    fn into_workspace(self) -> Result<Workspace, StoreError> {
        Ok(Workspace {
            id: understood("workspaces.id", WorkspaceId::parse(self.id))?,
            name: understood("workspaces.name", Name::parse(self.name))?,
            token_prefix: understood("workspaces.token_prefix", TokenPrefix::parse(self.token_prefix))?,
            profile: understood("workspaces.profile", self.profile.map(ProfileName::parse).transpose())?,
            create_time: self.create_time.0,
            update_time: self.update_time.0,
            version: self.version,
            revision: Revision(self.revision),
            superseded_use: superseded_use(&self.superseded_use)?,
            limits: self.limits.into_limits()?,
        })
    }
}

fn superseded_use(text: &str) -> Result<SupersededUse, StoreError> {
    let known = SupersededUse::WORDS.into_iter().find(|(word, _)| *word == text);
    understood("workspaces.superseded_use", known.map(|(_, then)| then).ok_or(()))
}

/// The word for it in its column.
fn superseded_use_column(then: SupersededUse) -> &'static str {
    let known = SupersededUse::WORDS.into_iter().find(|(_, known)| *known == then);
    known.map_or("count", |(word, _)| word)
}

/// Adds a workspace; `None` if the id is taken, which does not fail the transaction.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn insert(
    connection: &mut Connection,
    new: &NewWorkspace,
) -> Result<Option<Workspace>, StoreError> {
    let values = (
        workspaces::id.eq(new.id.as_str()),
        workspaces::name.eq(new.name.as_str()),
        workspaces::token_prefix.eq(new.token_prefix.as_str()),
        workspaces::profile.eq(new.profile.as_ref().map(ProfileName::as_str)),
        workspaces::superseded_use.eq(superseded_use_column(new.superseded_use)),
        limit_columns(new.limits),
    );
    let query = diesel::insert_into(workspaces::table).values(values).on_conflict_do_nothing();
    let row = connection.row_if_any(query.returning(WorkspaceRow::as_returning())).await?;
    row.map(WorkspaceRow::into_workspace).transpose()
}

/// The workspace of that id.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
pub async fn find(connection: &mut Connection, id: &WorkspaceId) -> Result<Option<Workspace>, StoreError> {
    let query = workspaces::table.find(id.as_str()).select(WorkspaceRow::as_select());
    connection.row_if_any(query).await?.map(WorkspaceRow::into_workspace).transpose()
}

/// The workspace of that id, which nobody else can change until the transaction ends. Tokens can still be added to it.
///
/// # Errors
/// [`StoreError::Unavailable`], also if somebody else held it for too long; [`StoreError::Corrupt`].
pub async fn lock(connection: &mut Connection, id: &WorkspaceId) -> Result<Option<Workspace>, StoreError> {
    let query = workspaces::table.find(id.as_str()).select(WorkspaceRow::as_select()).for_no_key_update();
    connection.row_if_any(query).await?.map(WorkspaceRow::into_workspace).transpose()
}

/// Changes what `edit` names of a workspace that the transaction has locked, and counts its version up. The revision stays
/// unless there is a new one.
///
/// # Errors
/// [`StoreError::Conflict`] if there is no such profile; [`StoreError::Unavailable`]; [`StoreError::Mismatch`] if the
/// workspace is not there.
pub async fn update(
    connection: &mut Connection,
    edit: WorkspaceEdit,
    revision: Option<Revision>,
) -> Result<Workspace, StoreError> {
    let changes = (
        edit.name.map(|name| workspaces::name.eq(name.into_string())),
        edit.token_prefix.map(|prefix| workspaces::token_prefix.eq(prefix.as_str().to_owned())),
        edit.profile.map(|profile| workspaces::profile.eq(profile.map(|name| name.as_str().to_owned()))),
        edit.superseded_use.map(|then| workspaces::superseded_use.eq(superseded_use_column(then))),
        edit.limits.map(limit_columns),
        revision.map(|revision| workspaces::revision.eq(revision.0)),
        workspaces::version.eq(workspaces::version + 1),
        workspaces::update_time.eq(statement_timestamp()),
    );
    let query = diesel::update(workspaces::table.find(edit.id.as_str())).set(changes);
    connection.row(query.returning(WorkspaceRow::as_returning())).await?.into_workspace()
}

/// Begins another epoch of a workspace that the transaction has locked: every secret of it that was issued before is dead.
///
/// # Errors
/// [`StoreError::Unavailable`]; [`StoreError::Mismatch`] if the workspace is not there.
pub async fn invalidate(
    connection: &mut Connection,
    id: &WorkspaceId,
    revision: Revision,
) -> Result<Workspace, StoreError> {
    let changes = (
        workspaces::epoch.eq(workspaces::epoch + 1),
        workspaces::revision.eq(revision.0),
        workspaces::version.eq(workspaces::version + 1),
        workspaces::update_time.eq(statement_timestamp()),
    );
    let query = diesel::update(workspaces::table.find(id.as_str())).set(changes);
    connection.row(query.returning(WorkspaceRow::as_returning())).await?.into_workspace()
}

/// Counts the next number that a token of a workspace is named by. Who asks next waits until the transaction has ended.
///
/// # Errors
/// [`StoreError::Unavailable`]; [`StoreError::Mismatch`] if the workspace is not there.
pub async fn count_external_id(
    connection: &mut Connection,
    id: &WorkspaceId,
) -> Result<ExternalId, StoreError> {
    let next = workspaces::last_external_id.eq(workspaces::last_external_id + 1);
    let query = diesel::update(workspaces::table.find(id.as_str())).set(next);
    let number: i64 = connection.row(query.returning(workspaces::last_external_id)).await?;
    understood("workspaces.last_external_id", ExternalId::parse(number))
}

/// At most `limit` workspaces by id, those after `after`.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
pub async fn list(
    connection: &mut Connection,
    after: Option<&WorkspaceId>,
    limit: usize,
) -> Result<Vec<Workspace>, StoreError> {
    let mut page = workspaces::table
        .select(WorkspaceRow::as_select())
        .order(workspaces::id)
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .into_boxed();
    if let Some(after) = after {
        page = page.filter(workspaces::id.gt(after.as_str()));
    }
    let rows: Vec<WorkspaceRow> = connection.rows(page).await?;
    rows.into_iter().map(WorkspaceRow::into_workspace).collect()
}
