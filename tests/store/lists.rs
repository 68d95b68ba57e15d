//! Lists show what their filters say, and pages show each token once.

use std::collections::HashSet;
use std::time::SystemTime;

use tokenkeep::store::tokens::{self, Listing, TokenQuery};
use tokenkeep::store::{Connection, Store, workspaces};
use tokenkeep::text::NamePrefix;
use tokenkeep::token::{Scope, Token, TokenFilter, TokenId};
use tokenkeep::workspace::WorkspaceId;

use crate::harness::Database;
use crate::samples::{create, name, new_workspace, token, workspace};
use crate::various::{self, Sample};

fn query(filter: TokenFilter, after: Option<TokenId>, patience: usize) -> TokenQuery {
    let rotation_due_after = Some(various::DUE_AFTER);
    TokenQuery { workspace: workspace(WorkspaceId::SYSTEM), filter, rotation_due_after, after, patience }
}

/// Goes through a list page by page; gives the tokens of each page.
async fn pages(
    connection: &mut Connection,
    filter: &TokenFilter,
    (limit, patience): (usize, usize),
) -> Vec<Vec<Token>> {
    let (mut pages, mut after) = (Vec::new(), None);
    loop {
        let query = query(filter.clone(), after, patience);
        let mut listing = Listing::begin(connection, query).await.unwrap();
        pages.push(listing.next(connection, limit).await.unwrap());
        assert!(pages.last().unwrap().len() <= limit);
        after = listing.rest();
        if after.is_none() {
            return pages;
        }
    }
}

async fn first_page(connection: &mut Connection, filter: &TokenFilter, limit: usize) -> Vec<Token> {
    let query = query(filter.clone(), None, usize::MAX);
    Listing::begin(connection, query).await.unwrap().next(connection, limit).await.unwrap()
}

/// Each filter alone, each pair of them, and some of more, against what their documentation says.
async fn check(store: &Store, all: &[Sample]) {
    let mut connection = store.connection().await.unwrap();
    let mut found = 0;
    for (number, filter) in various::filters().into_iter().enumerate() {
        let expected: Vec<Token> = various::expected(all, &filter);
        let page = [(100, usize::MAX), (7, usize::MAX), (7, 10), (1, 3)][number % 4];
        let listed = pages(&mut connection, &filter, page).await;
        assert_eq!(listed.concat(), expected, "{filter:?} in pages of {page:?}");
        let counted = tokens::count(&mut connection, &query(filter.clone(), None, usize::MAX)).await.unwrap();
        assert_eq!(counted, (expected.len(), false), "{filter:?}");
        found += expected.len();
    }
    assert!(found > 2_000, "the filters let nearly nothing through: {found}");
}

#[tokio::test]
async fn every_filter_and_every_pair_of_them_lists_what_it_says_newest_first() {
    let database = Database::new().await;
    let store = database.store();
    let all = various::samples(&database, &store).await;
    check(&store, &all).await;
}

/// As when a server's clock was wrong for a while.
#[tokio::test]
async fn ids_that_tell_another_time_than_that_of_creation_leave_no_token_out() {
    let database = Database::new().await;
    let store = database.store();
    various::samples(&database, &store).await;
    let stray = "UPDATE tokens SET create_time = create_time - (get_byte(uuid_send(id), 15) % 5) * interval '25 days'";
    database.admin().await.batch_execute(stray).await.unwrap();
    let all = various::read(&database, &store).await;
    check(&store, &all).await;
}

#[tokio::test]
async fn a_page_may_hold_nothing_and_not_be_the_last() {
    let database = Database::new().await;
    let store = database.store();
    let oldest = create(&store, token()).await;
    for _ in 0..300 {
        let mut new = token();
        new.name = name("later");
        create(&store, new).await;
    }
    let mut connection = store.connection().await.unwrap();
    let filter = TokenFilter {
        name_prefix: NamePrefix::parse("a token".to_owned()).ok(),
        scope: Scope::parse("orders:read".to_owned()).ok(),
        ..TokenFilter::default()
    };
    let shown = pages(&mut connection, &filter, (10, 100)).await;
    let shown: Vec<Vec<TokenId>> =
        shown.iter().map(|page| page.iter().map(|token| token.id).collect()).collect();
    assert_eq!(shown[..2], [vec![], vec![]], "after a hundred or so there is nothing to show");
    assert_eq!(shown.concat(), [oldest.id]);
}

#[tokio::test]
async fn a_name_prefix_is_no_pattern_and_knows_no_locale() {
    let database = Database::new().await;
    let store = database.store();
    let all = various::samples(&database, &store).await;
    let mut connection = store.connection().await.unwrap();
    for start in ["a", "a_", "A", "é", "%", "ab", "\u{10FFFF}"] {
        let start = NamePrefix::parse(start.to_owned()).unwrap();
        let filter = TokenFilter { name_prefix: Some(start), ..TokenFilter::default() };
        assert_eq!(first_page(&mut connection, &filter, 100).await, various::expected(&all, &filter));
    }
}

#[tokio::test]
async fn a_list_never_shows_another_workspace() {
    let database = Database::new().await;
    let store = database.store();
    let mut connection = store.connection().await.unwrap();
    let other = workspace("other");
    workspaces::insert(&mut connection, &new_workspace("other")).await.unwrap();
    let mut new = token();
    new.workspace = other.clone();
    let theirs = create(&store, new).await;
    let ours = create(&store, token()).await;
    for filter in various::filters() {
        let mut query = query(filter, None, usize::MAX);
        let ids = |tokens: Vec<Token>| tokens.iter().map(|token| token.id).collect::<Vec<_>>();
        let mut listing = Listing::begin(&mut connection, query.clone()).await.unwrap();
        let listed = ids(listing.next(&mut connection, 9).await.unwrap());
        assert!(listed.is_empty() || listed == [ours.id], "{query:?}");
        query.workspace = other.clone();
        let mut listing = Listing::begin(&mut connection, query.clone()).await.unwrap();
        let listed = ids(listing.next(&mut connection, 9).await.unwrap());
        assert!(listed.is_empty() || listed == [theirs.id], "{query:?}");
    }
}

#[tokio::test]
async fn to_count_stops_where_patience_ends_and_says_so() {
    let database = Database::new().await;
    let store = database.store();
    let all = various::samples(&database, &store).await;
    let mut connection = store.connection().await.unwrap();
    let count = |patience| query(TokenFilter::default(), None, patience);
    let whole = tokens::count(&mut connection, &count(all.len() + 1)).await.unwrap();
    assert_eq!(whole, (all.len(), false));
    assert_eq!(tokens::count(&mut connection, &count(10)).await.unwrap(), (10, true));
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
    let never_used = TokenFilter { never_used: true, ..TokenFilter::default() };
    let unused = TokenFilter { unused_since: Some(SystemTime::now()), ..TokenFilter::default() };
    for filter in [TokenFilter::default(), never_used, unused] {
        let seen = pages(&mut connection, &filter, (7, 20)).await.concat();
        let once: HashSet<_> = seen.iter().map(|token| token.id).collect();
        assert_eq!(once.len(), seen.len(), "a token was shown twice");
        assert!(older.is_subset(&once), "a token was left out");
    }
    creator.abort();
}
