//! Pages of a workspace's tokens, and the filters on them.

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable};

use super::connection::Connection;
use super::error::StoreError;
use super::moment::Moment;
use super::schema::tokens;
use super::token_row::{
    TokenColumns, TokenRow, coalesce, expire_time, into_token, is_invalidated, last_use_time, profile,
    statement_timestamp,
};
use crate::token::{Expiry, Token, TokenFilter, TokenId, TokenState};
use crate::workspace::WorkspaceId;

/// Which page of which tokens.
#[derive(Debug, Clone)]
pub struct TokenQuery {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// What they must satisfy.
    pub filter: TokenFilter,
    /// Begin after this one; at the newest if `None`.
    pub after: Option<TokenId>,
    /// How many at most.
    pub limit: usize,
}

pub(super) type Predicate<'query> =
    Box<dyn BoxableExpression<tokens::table, Pg, SqlType = Nullable<Bool>> + 'query>;

/// One page, the newest ids first. All that it tells is true of one moment.
///
/// # Errors
/// [`StoreError::Unavailable`], [`StoreError::Corrupt`].
pub async fn list(connection: &mut Connection, query: &TokenQuery) -> Result<Vec<Token>, StoreError> {
    let mut page = tokens::table
        .select((TokenRow::as_select(), is_invalidated(), profile(), last_use_time()))
        .filter(tokens::workspace.eq(query.workspace.as_str()))
        .order(tokens::id.desc())
        .limit(i64::try_from(query.limit).unwrap_or(i64::MAX))
        .into_boxed();
    if let Some(after) = query.after {
        page = page.filter(tokens::id.lt(after.as_uuid()));
    }
    for predicate in predicates(&query.filter) {
        page = page.filter(predicate);
    }
    let rows: Vec<TokenColumns> = connection.rows(page).await?;
    rows.into_iter().map(into_token).collect()
}

/// How many tokens of a workspace work at this moment.
///
/// # Errors
/// [`StoreError::Unavailable`].
pub async fn count_active(connection: &mut Connection, workspace: &WorkspaceId) -> Result<i64, StoreError> {
    let of = tokens::table.filter(tokens::workspace.eq(workspace.as_str()));
    connection.row(of.filter(in_state(TokenState::Active)).count()).await
}

/// What a filter matches of the tokens that are not revoked.
pub(super) fn unrevoked(filter: &TokenFilter) -> Predicate<'_> {
    let unrevoked: Predicate<'_> = Box::new(tokens::revoke_time.is_null().nullable());
    predicates(filter).into_iter().fold(unrevoked, both)
}

/// One for each field that is set.
fn predicates(filter: &TokenFilter) -> Vec<Predicate<'_>> {
    let mut predicates: Vec<Predicate<'_>> = Vec::new();
    predicates.extend(filter.states.iter().copied().map(in_state).reduce(either));
    if let Some(principal) = &filter.principal {
        predicates.push(Box::new(tokens::principal.eq(principal.as_str())));
    }
    if let Some(prefix) = &filter.name_prefix {
        predicates.push(Box::new(tokens::name.ge(prefix.as_str()).nullable()));
        if let Some(end) = first_after(prefix.as_str()) {
            predicates.push(Box::new(tokens::name.lt(end).nullable()));
        }
    }
    if let Some(scope) = &filter.scope {
        predicates.push(Box::new(tokens::scopes.contains(vec![scope.as_str()]).nullable()));
    }
    if let Some(within) = filter.expiring_within {
        predicates.push(Box::new(tokens::expire_time.gt(statement_timestamp().nullable())));
        predicates.push(Box::new(tokens::expire_time.le(expire_time(Expiry::After(within)))));
    }
    if let Some(moment) = filter.unused_since {
        predicates
            .push(Box::new(coalesce(last_use_time(), tokens::create_time.nullable()).lt(Moment(moment))));
    }
    if filter.never_used {
        predicates.push(Box::new(last_use_time().is_null().nullable()));
    }
    predicates
}

fn in_state<'query>(state: TokenState) -> Predicate<'query> {
    let revoked = tokens::revoke_time.is_not_null();
    let expired = tokens::expire_time.le(statement_timestamp().nullable());
    let unexpired =
        tokens::expire_time.is_null().or(tokens::expire_time.gt(statement_timestamp().nullable()));
    let valid = tokens::revoke_time.is_null().and(unexpired).and(diesel::dsl::not(is_invalidated()));
    match state {
        TokenState::Revoked => Box::new(revoked.nullable()),
        TokenState::Expired => Box::new(tokens::revoke_time.is_null().and(expired)),
        TokenState::Invalidated => {
            Box::new(tokens::revoke_time.is_null().and(unexpired).and(is_invalidated()))
        }
        TokenState::Suspended => Box::new(valid.and(tokens::suspend_time.is_not_null())),
        TokenState::Active => Box::new(valid.and(tokens::suspend_time.is_null())),
    }
}

fn both<'query>(one: Predicate<'query>, other: Predicate<'query>) -> Predicate<'query> {
    Box::new(one.and(other))
}

fn either<'query>(one: Predicate<'query>, other: Predicate<'query>) -> Predicate<'query> {
    Box::new(one.or(other))
}

/// The first text, byte by byte, after all that begin with `prefix`; `None` if there is none. With it a prefix is a
/// range, which an index serves whatever the planner knows of the prefix; a pattern it must know beforehand.
fn first_after(prefix: &str) -> Option<String> {
    let mut text = prefix.to_owned();
    while let Some(last) = text.pop() {
        // A range of characters skips the surrogates, which are none.
        if let Some(next) = (last..=char::MAX).nth(1) {
            text.push(next);
            return Some(text);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_the_next_text_begins() {
        assert_eq!(first_after("ab").as_deref(), Some("ac"));
        assert_eq!(first_after("a\u{D7FF}").as_deref(), Some("a\u{E000}"));
        assert_eq!(first_after("a\u{10FFFF}").as_deref(), Some("b"));
        assert_eq!(first_after("\u{10FFFF}"), None);
    }
}
