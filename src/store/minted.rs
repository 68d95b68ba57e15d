//! What each server key has minted: the tokens are counted page by page, so that no statement takes long, however many
//! there are.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text, Uuid as SqlUuid};
use uuid::Uuid;

use super::connection::Connection;
use super::error::{StoreError, understood};
use crate::token::{Kid, TokenId};
use crate::workspace::WorkspaceId;

/// The tokens of one page that one key minted in one workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Minted {
    /// The key.
    pub kid: Kid,
    /// The workspace.
    pub workspace: WorkspaceId,
    /// How many of the tokens work, or would if the key were not retired.
    pub live: i64,
    /// The newest of these, at most ten, the newest first.
    pub newest: Vec<TokenId>,
}

/// What a page holds, and the last token on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MintedPage {
    /// By key and workspace.
    pub minted: Vec<Minted>,
    /// Where the next page begins; `None` if there were no more tokens.
    pub last: Option<TokenId>,
}

/// Whether a token is live is judged after the page is cut, or one with few such tokens would have no end.
const PAGE: &str = "\
    WITH page AS (SELECT id, kid, workspace, revoke_time IS NULL \
    AND (expire_time IS NULL OR expire_time > statement_timestamp()) \
    AND epoch >= (SELECT workspaces.epoch FROM workspaces WHERE workspaces.id = tokens.workspace) AS live \
    FROM tokens WHERE id > $1 ORDER BY id LIMIT $2) \
    SELECT kid, workspace, count(*) FILTER (WHERE live) AS live, \
    coalesce((array_agg(id ORDER BY id DESC) FILTER (WHERE live))[1:10], '{}') AS newest, \
    (SELECT id FROM page ORDER BY id DESC LIMIT 1) AS last \
    FROM page GROUP BY kid, workspace ORDER BY kid, workspace";

#[derive(QueryableByName)]
struct PageRow {
    #[diesel(sql_type = Text)]
    kid: String,
    #[diesel(sql_type = Text)]
    workspace: String,
    #[diesel(sql_type = BigInt)]
    live: i64,
    #[diesel(sql_type = Array<SqlUuid>)]
    newest: Vec<Uuid>,
    #[diesel(sql_type = SqlUuid)]
    last: Uuid,
}

/// Counts the tokens after one, at most `limit` of them, or from the first.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
pub async fn page(
    connection: &mut Connection,
    after: Option<TokenId>,
    limit: usize,
) -> Result<MintedPage, StoreError> {
    let query = diesel::sql_query(PAGE)
        .bind::<SqlUuid, _>(after.map_or(Uuid::nil(), |id| id.as_uuid()))
        .bind::<BigInt, _>(i64::try_from(limit).unwrap_or(i64::MAX));
    let rows: Vec<PageRow> = connection.rows(query).await?;
    let last = rows.first().map(|row| TokenId::from_uuid(row.last));
    let minted: Result<_, _> = rows.into_iter().map(into_minted).collect();
    Ok(MintedPage { minted: minted?, last })
}

fn into_minted(row: PageRow) -> Result<Minted, StoreError> {
    Ok(Minted {
        kid: understood("tokens.kid", Kid::parse(&row.kid).ok_or(()))?,
        workspace: understood("tokens.workspace", WorkspaceId::parse(row.workspace))?,
        live: row.live,
        newest: row.newest.into_iter().map(TokenId::from_uuid).collect(),
    })
}
