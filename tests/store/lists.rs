//! Lists show what their filters say, and pages show each token once.

use std::collections::HashSet;
use std::time::{Duration, SystemTime};

use tokenkeep::store::tokens::{self, TokenQuery};
use tokenkeep::store::{Store, last_uses, workspaces};
use tokenkeep::text::{Description, NamePrefix, PrincipalId};
use tokenkeep::token::{Expiry, Revision, Scope, Token, TokenFilter, TokenId, TokenState};
use tokenkeep::workspace::WorkspaceId;

use crate::harness::Database;
use crate::samples::{create, enrol, find, name, principal, revoke, scopes, tenant, token, workspace};

const HOUR: Duration = Duration::from_hours(1);
/// The name `ac` is the first one after those that begin with `ab`.
const NAMES: [&str; 7] = ["abc", "abd", "Abc", "a_c", "é", "ab", "ac"];

/// The description of those that were there when all were invalidated.
const BEFORE: &str = "before";

/// Tokens that differ in everything that a filter looks at, in step with different periods.
async fn various(store: &Store) -> Vec<Token> {
    let now = SystemTime::now();
    let mut ids = Vec::new();
    let mia = enrol(store, principal("user:1")).await;
    for number in 0..60 {
        if number == 30 {
            let mut connection = store.connection().await.unwrap();
            let system = workspace(WorkspaceId::SYSTEM);
            workspaces::invalidate(&mut connection, &system, Revision(1)).await.unwrap();
        }
        let mut new = token();
        new.name = name(NAMES[number % NAMES.len()]);
        new.principal = (number % 2 == 0).then(|| mia.clone());
        if number < 30 {
            new.description = Description::parse(BEFORE.to_owned()).unwrap();
        }
        new.scopes = scopes([&["a:*", "b"][..], &["b"], &[]][number % 3]);
        let expiry = [Expiry::Never, Expiry::At(now - HOUR), Expiry::After(HOUR), Expiry::After(100 * HOUR)];
        new.expiry = expiry[(number / 2) % 4];
        let created = create(store, new).await;
        if number % 7 == 0 {
            revoke(store, created.id).await;
        }
        ids.push(created.id);
    }
    let some = ids.iter().zip(0..).filter(|(_, number)| number % 4 != 0);
    let uses: Vec<_> = some.map(|(id, number)| (*id, now - HOUR * (number % 5))).collect();
    last_uses::record(&mut store.connection().await.unwrap(), &uses, None).await.unwrap();
    let mut tokens = Vec::new();
    for id in ids.into_iter().rev() {
        tokens.push(find(store, id).await.unwrap());
    }
    tokens
}

fn every_filter() -> Vec<TokenFilter> {
    let states = [TokenState::Active, TokenState::Expired, TokenState::Revoked, TokenState::Invalidated];
    let mut filters = Vec::new();
    for bits in 0..(16 << 6) {
        let chosen = states.into_iter().enumerate().filter(|(number, _)| bits & (1 << number) != 0);
        let set = |field: u32| bits & (16 << field) != 0;
        filters.push(TokenFilter {
            states: chosen.map(|(_, state)| state).collect(),
            principal: set(0).then(|| PrincipalId::parse("user:1".to_owned()).unwrap()),
            name_prefix: set(1).then(|| NamePrefix::parse("ab".to_owned()).unwrap()),
            scope: set(2).then(|| Scope::parse("a:*".to_owned()).unwrap()),
            expiring_within: set(3).then_some(2 * HOUR),
            unused_since: set(4).then(|| SystemTime::now() - HOUR * 5 / 2),
            never_used: set(5),
        });
    }
    filters
}

/// The filter as its documentation tells it.
fn satisfies(token: &Token, filter: &TokenFilter) -> bool {
    let now = SystemTime::now();
    let state = match (&token.ended, token.expire_time) {
        (Some(_), _) => TokenState::Revoked,
        (None, Some(time)) if time <= now => TokenState::Expired,
        (None, _) if token.description.as_str() == BEFORE => TokenState::Invalidated,
        (None, _) => TokenState::Active,
    };
    let soon = |within| token.expire_time.is_some_and(|time| time > now && time <= now + within);
    state == token.state
        && (filter.states.is_empty() || filter.states.contains(&state))
        && filter.principal.as_ref().is_none_or(|wanted| token.principal.as_ref() == Some(wanted))
        && filter.name_prefix.as_ref().is_none_or(|start| token.name.as_str().starts_with(start.as_str()))
        && filter.scope.as_ref().is_none_or(|wanted| token.scopes.iter().any(|held| held == wanted))
        && filter.expiring_within.is_none_or(soon)
        && filter.unused_since.is_none_or(|since| token.last_use_time.unwrap_or(token.create_time) < since)
        && (!filter.never_used || token.last_use_time.is_none())
}

fn page(filter: TokenFilter, after: Option<TokenId>, limit: usize) -> TokenQuery {
    TokenQuery { workspace: workspace(WorkspaceId::SYSTEM), filter, after, limit }
}

#[tokio::test]
async fn every_combination_of_filters_lists_what_it_says_newest_first() {
    let database = Database::new().await;
    let store = database.store();
    let all = various(&store).await;
    let mut connection = store.connection().await.unwrap();
    let mut found = 0;
    for filter in every_filter() {
        let expected: Vec<_> = all.iter().filter(|token| satisfies(token, &filter)).cloned().collect();
        let listed = tokens::list(&mut connection, &page(filter.clone(), None, 100)).await.unwrap();
        assert_eq!(listed, expected, "{filter:?}");
        found += listed.len();
    }
    assert!(found > 500, "the filters let nearly nothing through: {found}");
}

#[tokio::test]
async fn a_name_prefix_is_no_pattern_and_knows_no_locale() {
    let database = Database::new().await;
    let store = database.store();
    let all = various(&store).await;
    let mut connection = store.connection().await.unwrap();
    for start in ["a", "a_", "A", "é", "%", "ab", "\u{10FFFF}"] {
        let start = NamePrefix::parse(start.to_owned()).unwrap();
        let filter = TokenFilter { name_prefix: Some(start), ..TokenFilter::default() };
        let expected: Vec<_> = all.iter().filter(|token| satisfies(token, &filter)).cloned().collect();
        assert_eq!(tokens::list(&mut connection, &page(filter, None, 100)).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_list_never_shows_another_workspace() {
    let database = Database::new().await;
    let store = database.store();
    let mut connection = store.connection().await.unwrap();
    let other = workspace("other");
    tokenkeep::store::workspaces::insert(&mut connection, &tenant(other.as_str())).await.unwrap();
    let mut new = token();
    new.workspace = other.clone();
    let theirs = create(&store, new).await;
    let ours = create(&store, token()).await;
    let all = TokenFilter::default();
    assert_eq!(tokens::list(&mut connection, &page(all.clone(), None, 9)).await.unwrap(), [ours]);
    let query = TokenQuery { workspace: other, ..page(all, None, 9) };
    assert_eq!(tokens::list(&mut connection, &query).await.unwrap(), [theirs]);
}

#[tokio::test(flavor = "multi_thread")]
async fn paging_while_tokens_are_created_shows_each_older_one_exactly_once() {
    let database = Database::new().await;
    let store = database.store();
    let mut older = HashSet::new();
    for _ in 0..50 {
        older.insert(create(&store, token()).await.id);
    }
    let creating = store.clone();
    let creator = tokio::spawn(async move {
        loop {
            create(&creating, token()).await;
        }
    });
    let mut connection = store.connection().await.unwrap();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let query = page(TokenFilter::default(), after, 7);
        let shown = tokens::list(&mut connection, &query).await.unwrap();
        seen.extend(shown.iter().map(|token| token.id));
        let Some(last) = shown.last() else { break };
        after = Some(last.id);
    }
    creator.abort();
    let once: HashSet<_> = seen.iter().copied().collect();
    assert_eq!(once.len(), seen.len(), "a token was shown twice");
    assert!(older.is_subset(&once), "a token was left out");
}
