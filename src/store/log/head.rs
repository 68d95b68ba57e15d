//! Where the log ends.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Uuid as SqlUuid};
use uuid::Uuid;

use super::super::connection::Connection;
use super::super::error::StoreError;
use crate::revocation::{Head, HistoryId, Position};
use crate::token::Revision;

const HEAD: &str = "\
    SELECT id AS history, compacted, (SELECT coalesce(max(revision), 0) FROM revisions) AS last \
    FROM histories WHERE singleton";

#[derive(QueryableByName)]
pub(super) struct HeadRow {
    #[diesel(sql_type = SqlUuid)]
    history: Uuid,
    #[diesel(sql_type = BigInt)]
    compacted: i64,
    #[diesel(sql_type = BigInt)]
    last: i64,
}

impl From<HeadRow> for Head {
    fn from(row: HeadRow) -> Self {
        let position = Position { history: HistoryId(row.history), revision: Revision(row.last) };
        Self { position, compacted: Revision(row.compacted) }
    }
}

/// The log as it stands.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn head(connection: &mut Connection) -> Result<Head, StoreError> {
    let row: HeadRow = connection.row(diesel::sql_query(HEAD)).await?;
    Ok(row.into())
}
