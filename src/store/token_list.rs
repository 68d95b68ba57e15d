//! Pages of a workspace's tokens, and the filters on them.
//!
//! Who filters is shown candidates, from the newest on, by the [way](super::token_ways) that its filter allows; which of
//! them satisfy it is asked of their rows. How many are looked at is bounded, whatever is asked.

use std::time::Duration;

use diesel::prelude::*;
use uuid::Uuid;

use super::connection::Connection;
use super::error::StoreError;
use super::previous_secrets::previous_secret;
use super::schema::tokens;
use super::token_predicates::{in_state, predicates};
use super::token_row::{TokenColumns, TokenRow, into_token, is_invalidated, profile, uses};
use super::token_ways::Way;
use crate::token::{Token, TokenFilter, TokenId, TokenState};
use crate::workspace::WorkspaceId;

/// Which tokens of a workspace.
#[derive(Debug, Clone)]
pub struct TokenQuery {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// What they must satisfy.
    pub filter: TokenFilter,
    /// After which age a secret is due to be replaced, by the profile of the workspace; if `None`, none ever is.
    pub rotation_due_after: Option<Duration>,
    /// Begin after this one; at the newest if `None`.
    pub after: Option<TokenId>,
    /// How many may be looked at, those that are shown included. A list without a filter looks at no others.
    pub patience: usize,
}

/// A list that is gone through, the newest ids first.
#[derive(Debug)]
pub struct Listing {
    query: TokenQuery,
    way: Way,
    /// Whether there may be more.
    more: bool,
}

/// How many candidates are looked at together, at first and at most.
const FIRST: usize = 64;
const MOST: usize = 1_024;

impl Listing {
    /// Begins a list.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn begin(connection: &mut Connection, query: TokenQuery) -> Result<Self, StoreError> {
        let never_due = query.filter.rotation_due && query.rotation_due_after.is_none();
        let way = Way::of(connection, &query).await?;
        Ok(Self { query, way, more: !never_due })
    }

    /// The next tokens, so many at most: fewer if they are the last, or if as many were looked at as may be. All that is
    /// told of one is true of one moment.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
    pub async fn next(
        &mut self,
        connection: &mut Connection,
        limit: usize,
    ) -> Result<Vec<Token>, StoreError> {
        if self.query.filter == TokenFilter::default() {
            return self.next_of_all(connection, limit).await;
        }
        let (mut found, mut size) = (Vec::new(), FIRST);
        while self.more && self.query.patience > 0 && found.len() < limit {
            let count = size.min(self.query.patience);
            let (ids, more) = self.way.next(connection, &self.query.workspace, count).await?;
            self.more = more;
            let wanted = limit - found.len();
            let some = satisfying(connection, &self.query, &ids, wanted).await?;
            let last = some.last().filter(|_| some.len() == wanted).map(|token| token.id.as_uuid());
            let examined = last.and_then(|last| ids.iter().position(|id| *id == last));
            let examined = examined.map_or(ids.len(), |position| position + 1);
            if let Some(last) = last.filter(|_| examined < ids.len()) {
                self.way.go_on_after(last);
                self.more = true;
            }
            found.extend(some);
            self.query.patience = self.query.patience.saturating_sub(examined);
            size = (size * 4).min(MOST);
        }
        Ok(found)
    }

    /// After which token the list goes on, which need not be one that it has shown; `None` at its end.
    #[must_use]
    pub fn rest(&self) -> Option<TokenId> {
        self.more.then(|| TokenId::from_uuid(self.way.reached()))
    }

    /// Whether to go on is of use before the next page.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        !self.more || self.query.patience == 0
    }

    /// The index of the workspace is the list.
    async fn next_of_all(
        &mut self,
        connection: &mut Connection,
        limit: usize,
    ) -> Result<Vec<Token>, StoreError> {
        let page = tokens::table
            .select((TokenRow::as_select(), is_invalidated(), profile(), uses(), previous_secret()))
            .filter(tokens::workspace.eq(self.query.workspace.as_str()))
            .filter(tokens::id.lt(self.way.reached()))
            .order(tokens::id.desc())
            .limit(i64::try_from(limit).unwrap_or(i64::MAX));
        let rows: Vec<TokenColumns> = connection.rows(page).await?;
        self.more = rows.len() == limit;
        let found: Vec<Token> = rows.into_iter().map(into_token).collect::<Result<_, _>>()?;
        if let Some(last) = found.last() {
            self.way.go_on_after(last.id.as_uuid());
        }
        Ok(found)
    }
}

/// Those candidates that satisfy the filter.
async fn satisfying(
    connection: &mut Connection,
    query: &TokenQuery,
    ids: &[Uuid],
    limit: usize,
) -> Result<Vec<Token>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = tokens::table
        .select((TokenRow::as_select(), is_invalidated(), profile(), uses(), previous_secret()))
        .filter(tokens::id.eq_any(ids.to_vec()))
        .filter(tokens::workspace.eq(query.workspace.as_str()))
        .order(tokens::id.desc())
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .into_boxed();
    for predicate in predicates(&query.filter, query.rotation_due_after) {
        found = found.filter(predicate);
    }
    let rows: Vec<TokenColumns> = connection.rows(found).await?;
    rows.into_iter().map(into_token).collect()
}

/// How many tokens satisfy a filter, as far as the query's patience goes, and whether there may be more.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn count(connection: &mut Connection, query: &TokenQuery) -> Result<(usize, bool), StoreError> {
    if query.filter.rotation_due && query.rotation_due_after.is_none() {
        return Ok((0, false));
    }
    let mut way = Way::of(connection, query).await?;
    let (mut count, mut patience) = (0, query.patience);
    loop {
        let (ids, more) = way.next(connection, &query.workspace, patience.min(COUNTED_AT_ONCE)).await?;
        patience = patience.saturating_sub(ids.len());
        count += if query.filter == TokenFilter::default() {
            ids.len()
        } else {
            count_satisfying(connection, query, ids).await?
        };
        if !more || patience == 0 {
            return Ok((count, more));
        }
    }
}

const COUNTED_AT_ONCE: usize = 8_192;

async fn count_satisfying(
    connection: &mut Connection,
    query: &TokenQuery,
    ids: Vec<Uuid>,
) -> Result<usize, StoreError> {
    let mut found = tokens::table
        .count()
        .filter(tokens::id.eq_any(ids))
        .filter(tokens::workspace.eq(query.workspace.as_str()))
        .into_boxed();
    for predicate in predicates(&query.filter, query.rotation_due_after) {
        found = found.filter(predicate);
    }
    let count: i64 = connection.row(found).await?;
    Ok(usize::try_from(count).unwrap_or_default())
}

/// How many tokens of a workspace work at this moment.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn count_active(connection: &mut Connection, workspace: &WorkspaceId) -> Result<i64, StoreError> {
    let of = tokens::table.filter(tokens::workspace.eq(workspace.as_str()));
    connection.row(of.filter(in_state(TokenState::Active)).count()).await
}
