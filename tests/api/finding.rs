//! Finding tokens: every filter of a list, its pages, and counts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tokenkeep::proto::v1;

use crate::clients::Client;
use crate::harness::Server;

async fn server() -> (Server, Client) {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    (server, operator)
}

fn filter(change: impl FnOnce(&mut v1::TokenFilter)) -> v1::TokenFilter {
    let mut filter = v1::TokenFilter::default();
    change(&mut filter);
    filter
}

fn request(filter: &v1::TokenFilter, page_size: i32) -> v1::ListTokensRequest {
    let filter = Some(filter.clone());
    v1::ListTokensRequest { workspace: "acme".to_owned(), filter, page_size, ..Default::default() }
}

/// The ids on each page.
async fn pages(operator: &mut Client, filter: &v1::TokenFilter, page_size: i32) -> Vec<Vec<String>> {
    let mut request = request(filter, page_size);
    let mut pages = Vec::new();
    loop {
        let page = operator.tokens.list_tokens(request.clone()).await.unwrap().into_inner();
        pages.push(page.tokens.into_iter().map(|token| token.id).collect());
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return pages;
        }
    }
}

async fn count(operator: &mut Client, filter: &v1::TokenFilter) -> (i64, bool) {
    let filter = Some(filter.clone());
    let request = v1::CountTokensRequest { workspace: "acme".to_owned(), filter };
    let answer = operator.tokens.count_tokens(request).await.unwrap().into_inner();
    (answer.count, answer.more)
}

/// Asserts that a filter finds exactly the tokens of these names.
async fn finds(operator: &mut Client, tokens: &[(String, &str)], filter: v1::TokenFilter, names: &[&str]) {
    let ids: Vec<String> = pages(operator, &filter, 2).await.concat();
    let found: BTreeSet<&str> =
        tokens.iter().filter(|(id, _)| ids.contains(id)).map(|(_, name)| *name).collect();
    assert_eq!(found, names.iter().copied().collect(), "{filter:?}");
    assert_eq!(ids.len(), names.len(), "{filter:?}");
    assert!(ids.windows(2).all(|pair| pair[0] > pair[1]), "the newest first: {filter:?}");
    assert_eq!(count(operator, &filter).await, (i64::try_from(names.len()).unwrap(), false), "{filter:?}");
}

fn day(offset: i64) -> prost_types::Timestamp {
    let now = prost_types::Timestamp::from(SystemTime::now());
    prost_types::Timestamp { seconds: now.seconds + offset * 86_400, nanos: 0 }
}

/// One token a name, and what is special about it.
async fn special(server: &Server, operator: &mut Client) -> Vec<(String, &'static str)> {
    operator.create_principal("acme", "robot", &["*"]).await;
    let mut named = Vec::new();
    for name in ["plain", "owned", "scoped", "made by mia", "revoked", "suspended", "expired", "expiring"] {
        named.push((create(operator, name).await, name));
    }
    for name in ["used", "long unused", "old", "dead secret", "read only"] {
        named.push((create(operator, name).await, name));
    }
    let id = |wanted: &str| named.iter().find(|(_, name)| *name == wanted).unwrap().0.clone();
    operator.revoke(&id("revoked")).await.unwrap();
    let suspend = v1::SuspendTokenRequest { id: id("suspended"), ..Default::default() };
    operator.tokens.suspend_token(suspend).await.unwrap();
    let meddle = format!(
        "UPDATE tokens SET expire_time = now() - interval '1 hour' WHERE id = '{}';
        UPDATE tokens SET type = 'read_only' WHERE id = '{}';
        UPDATE tokens SET create_time = now() - interval '200 days', secret_time = now() - interval '200 days' WHERE id = '{}';
        UPDATE token_last_uses SET last_use_time = now() WHERE token = '{}';
        UPDATE token_last_uses SET last_use_time = now() - interval '100 days' WHERE token = '{}';
        UPDATE token_last_uses SET superseded_use_count = 1, superseded_use_time = now() WHERE token = '{}';",
        id("expired"), id("read only"), id("old"), id("used"), id("long unused"), id("dead secret"),
    );
    server.database.connect().await.batch_execute(&meddle).await.unwrap();
    named
}

async fn create(operator: &mut Client, name: &str) -> String {
    use v1::create_token_request::Expiration;
    let lifetime = prost_types::Duration { seconds: 3 * 3_600, nanos: 0 };
    let request = v1::CreateTokenRequest {
        workspace: "acme".to_owned(),
        name: name.to_owned(),
        principal: if name == "owned" { "robot".to_owned() } else { String::new() },
        initiator: if name == "made by mia" { "mia".to_owned() } else { "operations".to_owned() },
        scopes: vec![if name == "scoped" { "rare:read" } else { "articles:read" }.to_owned()],
        expiration: (name == "expiring").then_some(Expiration::Lifetime(lifetime)),
        ..Default::default()
    };
    operator.tokens.create_token(request).await.unwrap().into_inner().token.unwrap().id
}

#[tokio::test(flavor = "multi_thread")]
async fn each_filter_finds_what_it_names_and_counts_it() {
    let (server, mut operator) = server().await;
    let named = special(&server, &mut operator).await;
    let all: Vec<&str> = named.iter().map(|(_, name)| *name).collect();
    let all_but =
        |but: &[&str]| -> Vec<&str> { all.iter().copied().filter(|name| !but.contains(name)).collect() };
    let state = |state: v1::TokenState| filter(|f| f.states = vec![state.into()]);
    let within = |days: i64| {
        filter(|f| f.expiring_within = Some(prost_types::Duration { seconds: days * 86_400, nanos: 0 }))
    };
    let ended = ["revoked", "suspended", "expired"];
    let rows = [
        (filter(|_| {}), all.clone()),
        (state(v1::TokenState::Active), all_but(&ended)),
        (state(v1::TokenState::Revoked), vec!["revoked"]),
        (state(v1::TokenState::Suspended), vec!["suspended"]),
        (state(v1::TokenState::Expired), vec!["expired"]),
        (state(v1::TokenState::Invalidated), vec![]),
        (filter(|f| f.principal = "robot".to_owned()), vec!["owned"]),
        (filter(|f| f.set_principal_kind(v1::PrincipalKind::ServiceAccount)), vec!["owned"]),
        (filter(|f| f.set_principal_kind(v1::PrincipalKind::User)), vec![]),
        (filter(|f| f.creator = "mia".to_owned()), vec!["made by mia"]),
        (filter(|f| f.set_type(v1::TokenType::ReadOnly)), vec!["read only"]),
        (filter(|f| f.scope = "rare:read".to_owned()), vec!["scoped"]),
        (filter(|f| f.name_prefix = "re".to_owned()), vec!["revoked", "read only"]),
        (filter(|f| f.created_since = Some(day(-1))), all_but(&["old"])),
        (filter(|f| f.created_before = Some(day(-1))), vec!["old"]),
        (within(1), vec!["expiring"]),
        (within(36_000), vec!["expiring"]),
        (filter(|f| f.never_used = true), all_but(&["used", "long unused"])),
        (filter(|f| f.unused_since = Some(day(-30))), vec!["long unused", "old"]),
        (filter(|f| f.superseded_use_since = Some(day(-1))), vec!["dead secret"]),
        (filter(|f| f.superseded_use_since = Some(day(1))), vec![]),
        (filter(|f| f.rotation_due = true), vec![]),
    ];
    for (filter, names) in rows {
        finds(&mut operator, &named, filter, &names).await;
    }
    // A profile that says after how many days.
    let workspace = v1::Workspace {
        id: "acme".to_owned(),
        profile: "coolset".to_owned(),
        token_prefix: "sk_live".to_owned(),
        ..Default::default()
    };
    let update = v1::UpdateWorkspaceRequest { workspace: Some(workspace), ..Default::default() };
    operator.workspaces.update_workspace(update).await.unwrap();
    finds(&mut operator, &named, filter(|f| f.rotation_due = true), &["old"]).await;
}

/// Tokens by hand, each second a day before the last, so that there are many at once.
const MANY: &str = "
    INSERT INTO tokens (id, workspace, name, description, creator, scopes, metadata, create_time, generation,
        obfuscated_secret, kid, tag, secret_hash, type)
    SELECT CAST(lpad(to_hex(CAST(extract(epoch FROM at) * 1000 AS bigint)), 12, '0') || '7' || substr(md5(n::text), 1, 3)
            || '8' || substr(md5(n::text), 4, 15) AS uuid),
        'acme', 'token ' || n, '', 'machine', ARRAY['a'], '{}', at, 1, 'tk_...0000', '00', '\\x0011223344556677',
        '$argon2id$v=19$m=64,t=1,p=1$c2FsdA$c2FsdA', CASE WHEN n = 7000 THEN 'read_only' ELSE 'custom' END
    FROM (SELECT n, now() - n * interval '1 second' AS at FROM generate_series(1, 7000) AS n) AS many";

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_search_that_finds_little_may_be_empty_and_not_the_last() {
    let (server, mut operator) = server().await;
    server.database.connect().await.batch_execute(MANY).await.unwrap();
    let needle = filter(|f| {
        f.creator = "machine".to_owned();
        f.set_type(v1::TokenType::ReadOnly);
    });
    let pages = pages(&mut operator, &needle, 50).await;
    assert!(pages.len() >= 2 && pages[0].is_empty(), "one page looks at all: {pages:?}");
    assert_eq!(pages.concat().len(), 1, "the oldest of all is found in the end");
    assert_eq!(count(&mut operator, &needle).await, (1, false));
    assert_eq!(count(&mut operator, &v1::TokenFilter::default()).await, (7_000, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_leave_nothing_out_and_show_nothing_twice_while_tokens_come_and_go() {
    let (_server, mut operator) = server().await;
    let mut kept = BTreeSet::new();
    let mut doomed = Vec::new();
    for number in 0..120 {
        let (token, _) = operator.create_token("acme", "early", &["a"]).await;
        if number % 3 == 0 {
            doomed.push(token.id);
        } else {
            kept.insert(token.id);
        }
    }
    let over = Arc::new(AtomicBool::new(false));
    let (mut other, until) = (operator.clone(), Arc::clone(&over));
    let meanwhile = tokio::spawn(async move {
        while !until.load(Ordering::Relaxed) {
            other.create_token("acme", "late", &["a"]).await;
            if let Some(id) = doomed.pop() {
                other.revoke(&id).await.unwrap();
            }
        }
    });
    let active = filter(|f| f.states = vec![v1::TokenState::Active.into()]);
    let never_used = filter(|f| f.never_used = true);
    let scope = filter(|f| f.scope = "a".to_owned());
    let early = filter(|f| f.name_prefix = "early".to_owned());
    for filter in [active, never_used, scope, early, v1::TokenFilter::default()] {
        let shown: Vec<String> = pages(&mut operator, &filter, 7).await.concat();
        let once: BTreeSet<String> = shown.iter().cloned().collect();
        assert_eq!(once.len(), shown.len(), "shown twice by {filter:?}");
        assert!(once.is_superset(&kept), "left out by {filter:?}");
    }
    over.store(true, Ordering::Relaxed);
    tokio::time::timeout(Duration::from_secs(20), meanwhile).await.unwrap().unwrap();
}
