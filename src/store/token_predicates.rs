//! What a filter asks of the rows of tokens.

use std::time::Duration;

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable};

use super::expiry::{expire_time, secret_time_and};
use super::moment::Moment;
use super::schema::{token_last_uses, tokens};
use super::token_row::{coalesce, is_invalidated, last_use_time, statement_timestamp, token_type_column};
use crate::profile::PrincipalKind;
use crate::token::{Expiry, TokenFilter, TokenState};

pub(super) type Predicate<'query> =
    Box<dyn BoxableExpression<tokens::table, Pg, SqlType = Nullable<Bool>> + 'query>;

/// What a filter matches of the tokens that are not revoked: nothing if it asks for a due rotation where none ever is.
pub(super) fn unrevoked(filter: &TokenFilter, rotation_due_after: Option<Duration>) -> Predicate<'_> {
    let never_due = filter.rotation_due && rotation_due_after.is_none();
    let unrevoked: Predicate<'_> = Box::new(tokens::revoke_time.is_null().nullable());
    let none: Option<Predicate<'_>> = never_due.then(|| Box::new(tokens::id.is_null().nullable()) as _);
    let all = predicates(filter, rotation_due_after).into_iter().chain(none);
    all.fold(unrevoked, |one, other| Box::new(one.and(other)))
}

/// One for each field that is set.
pub(super) fn predicates(filter: &TokenFilter, rotation_due_after: Option<Duration>) -> Vec<Predicate<'_>> {
    let mut predicates = of_columns(filter);
    if let Some(since) = filter.created_since {
        predicates.push(Box::new(tokens::create_time.ge(Moment(since)).nullable()));
    }
    if let Some(before) = filter.created_before {
        predicates.push(Box::new(tokens::create_time.lt(Moment(before)).nullable()));
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
    if let Some(after) = rotation_due_after.filter(|_| filter.rotation_due) {
        predicates.push(Box::new(secret_time_and(after).le(statement_timestamp().nullable())));
    }
    if let Some(since) = filter.superseded_use_since {
        let superseded_use = token_last_uses::table
            .filter(token_last_uses::token.eq(tokens::id))
            .select(token_last_uses::superseded_use_time)
            .single_value();
        predicates.push(Box::new(superseded_use.ge(Moment(since))));
    }
    predicates
}

/// What a token's own columns say without a time.
fn of_columns(filter: &TokenFilter) -> Vec<Predicate<'_>> {
    let mut predicates: Vec<Predicate<'_>> = Vec::new();
    predicates.extend(filter.states.iter().copied().map(in_state).reduce(either));
    if let Some(principal) = &filter.principal {
        predicates.push(Box::new(tokens::principal.eq(principal.as_str())));
    }
    if let Some(kind) = filter.principal_kind {
        predicates.push(Box::new(tokens::principal_kind.eq(kind_column(kind))));
    }
    if let Some(creator) = &filter.creator {
        predicates.push(Box::new(tokens::creator.eq(creator.as_str()).nullable()));
    }
    if let Some(token_type) = filter.token_type {
        predicates.push(Box::new(tokens::token_type.eq(token_type_column(token_type)).nullable()));
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
    predicates
}

/// The word for a kind of principal in its column.
pub(super) const fn kind_column(kind: PrincipalKind) -> &'static str {
    match kind {
        PrincipalKind::User => "user",
        PrincipalKind::ServiceAccount => "service_account",
    }
}

pub(super) fn in_state<'query>(state: TokenState) -> Predicate<'query> {
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

fn either<'query>(one: Predicate<'query>, other: Predicate<'query>) -> Predicate<'query> {
    Box::new(one.or(other))
}

/// The first text, byte by byte, after all that begin with `prefix`; `None` if there is none. With it a prefix is a
/// range, which an index serves whatever the planner knows of the prefix; a pattern it must know beforehand.
pub(super) fn first_after(prefix: &str) -> Option<String> {
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
