//! Profiles, each as its file is written.

use diesel::pg::Pg;
use diesel::prelude::*;
use uuid::Uuid;

use super::connection::Connection;
use super::error::{StoreError, understood};
use super::log::{self, history};
use super::schema::profiles;
use super::token_row::statement_timestamp;
use super::transaction::Transaction;
use crate::profile::ProfileName;
use crate::revocation::{Appended, Change, HistoryId, NewEvent};
use crate::text::Initiator;

/// A profile on record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredProfile {
    /// The name.
    pub name: ProfileName,
    /// Which version of it.
    pub version: i32,
    /// The file as it is written.
    pub document: String,
}

/// Profiles as they were on record at one moment.
#[derive(Debug, Clone)]
pub struct OnRecord {
    /// The history of the log in which this was read.
    pub history: HistoryId,
    /// Those that were asked for and are there, by name.
    pub profiles: Vec<StoredProfile>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = profiles, check_for_backend(Pg))]
struct ProfileRow {
    name: String,
    version: i32,
    document: String,
    #[diesel(select_expression = history(), select_expression_type = history)]
    history: Uuid,
}

impl ProfileRow {
    fn into_profile(self) -> Result<StoredProfile, StoreError> {
        let Self { name, version, document, .. } = self;
        Ok(StoredProfile { name: understood("profiles.name", ProfileName::parse(name))?, version, document })
    }
}

/// The profile of that name, if it is there.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
pub async fn find(connection: &mut Connection, name: &ProfileName) -> Result<OnRecord, StoreError> {
    let query = profiles::table.find(name.as_str()).select(ProfileRow::as_select());
    let rows = connection.rows(query).await?;
    on_record(connection, rows).await
}

/// Which version of the profile of that name is on record.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn version(connection: &mut Connection, name: &ProfileName) -> Result<Option<i32>, StoreError> {
    connection.row_if_any(profiles::table.find(name.as_str()).select(profiles::version)).await
}

/// The most profiles that there are.
const MOST: i64 = 1_000;

/// Every profile, by name, but never more than 1,000.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
pub async fn list(connection: &mut Connection) -> Result<OnRecord, StoreError> {
    let query = profiles::table.select(ProfileRow::as_select()).order(profiles::name).limit(MOST);
    let rows = connection.rows(query).await?;
    on_record(connection, rows).await
}

/// Where not even one is there, the history must be asked for by itself, of the same database.
async fn on_record(connection: &mut Connection, rows: Vec<ProfileRow>) -> Result<OnRecord, StoreError> {
    let history = match rows.first() {
        Some(row) => row.history,
        None => connection.row(diesel::select(history())).await?,
    };
    let profiles: Result<_, StoreError> = rows.into_iter().map(ProfileRow::into_profile).collect();
    Ok(OnRecord { history: HistoryId(history), profiles: profiles? })
}

/// Keeps others from entering profiles until the transaction ends; and gives those that are on record, by name.
///
/// # Errors
/// As [`list`], also if somebody else held them for too long.
pub async fn lock(transaction: &mut Transaction) -> Result<Vec<StoredProfile>, StoreError> {
    let connection = transaction.connection();
    connection.command("LOCK TABLE profiles IN SHARE ROW EXCLUSIVE MODE").await?;
    Ok(list(connection).await?.profiles)
}

/// Enters profiles that the transaction has found to be new or of a higher version, at least one, each with its event.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn enter(
    transaction: &mut Transaction,
    entered: &[StoredProfile],
    initiator: &Initiator,
) -> Result<Appended, StoreError> {
    let event = |profile: &StoredProfile| NewEvent {
        change: Change::ProfileUpdated { profile: profile.name.clone() },
        initiator: initiator.clone(),
    };
    let appended = log::append_all(transaction, entered.iter().map(event).collect(), false).await?;
    for (profile, event) in entered.iter().zip(&appended.events) {
        let changes = (
            profiles::version.eq(profile.version),
            profiles::document.eq(profile.document.as_str()),
            profiles::revision.eq(event.revision.0),
            profiles::update_time.eq(statement_timestamp()),
        );
        let insert = diesel::insert_into(profiles::table);
        let insert = insert.values((profiles::name.eq(profile.name.as_str()), changes));
        let query = insert.on_conflict(profiles::name).do_update().set(changes);
        transaction.connection().execute(query).await?;
    }
    Ok(appended)
}
