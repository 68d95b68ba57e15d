//! When tokens were last used, written in bulk and never on the way of a request.

use std::collections::BTreeMap;
use std::time::SystemTime;

use diesel::sql_types::{Array, Nullable, Text, Timestamptz, Uuid as SqlUuid};
use uuid::Uuid;

use super::connection::Connection;
use super::error::StoreError;
use super::moment::Moment;
use crate::token::TokenId;
use crate::workspace::WorkspaceId;

/// A use that is not later than the one on record writes nothing.
const RECORD: &str = "\
    INSERT INTO token_last_uses (token, last_use_time) \
    SELECT token, last_use_time FROM unnest($1::uuid[], $2::timestamptz[]) AS uses (token, last_use_time) \
    WHERE EXISTS (SELECT FROM tokens WHERE tokens.id = uses.token AND tokens.workspace = coalesce($3, tokens.workspace)) \
    ORDER BY token \
    ON CONFLICT (token) DO UPDATE SET last_use_time = EXCLUDED.last_use_time \
    WHERE coalesce(token_last_uses.last_use_time, '-infinity') < EXCLUDED.last_use_time";

/// Records uses, in any order, in one statement. A last use never moves back; tokens that are not there are skipped, and
/// so are those of other workspaces than the one given, if one is.
///
/// Servers that record the same tokens at once wait for each other and never deadlock, since each goes by id.
///
/// # Errors
/// [`StoreError::Unavailable`]: nothing was recorded, or, outside a transaction, perhaps all.
pub async fn record(
    connection: &mut Connection,
    uses: &[(TokenId, SystemTime)],
    workspace: Option<&WorkspaceId>,
) -> Result<(), StoreError> {
    let mut latest: BTreeMap<Uuid, SystemTime> = BTreeMap::new();
    for (token, time) in uses {
        let known = latest.entry(token.as_uuid()).or_insert(*time);
        *known = (*known).max(*time);
    }
    let (tokens, times): (Vec<Uuid>, Vec<Moment>) =
        latest.into_iter().map(|(token, time)| (token, Moment(time))).unzip();
    let query = diesel::sql_query(RECORD)
        .bind::<Array<SqlUuid>, _>(tokens)
        .bind::<Array<Timestamptz>, _>(times)
        .bind::<Nullable<Text>, _>(workspace.map(WorkspaceId::as_str));
    connection.execute(query).await
}
