//! Wrong requests: each is answered with its code, its reason and its field, and changes nothing.

use tokenkeep::proto::v1;
use tonic::Code;

use crate::calls::Call;
use crate::clients::{Client, refusal, refused};
use crate::harness::{Database, Server};
use crate::wrong_changes::{changes, edits, judgements, watch, workspaces};
use crate::wrong_tokens::{creations, expiries, filters, labels, readings};

/// All that a wrong request could have changed.
async fn contents(database: &Database) -> String {
    let client = database.connect().await;
    let query = "SELECT concat((SELECT string_agg(t::text, '|' ORDER BY id) FROM tokens t), \
                 (SELECT string_agg(w::text, '|' ORDER BY id) FROM workspaces w), \
                 (SELECT string_agg(r::text, '|' ORDER BY revision) FROM revisions r))";
    client.query_one(query, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_request_is_told_what_is_wrong_and_changes_nothing() {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    let (live, _) = operator.create_token("acme", "live", &["a"]).await;
    let (dead, _) = operator.create_token("acme", "dead", &[]).await;
    operator.revoke(&dead.id).await.unwrap();
    let before = contents(&server.database).await;

    let rows = [
        creations(),
        labels(),
        expiries(),
        readings(),
        filters(),
        edits(&live.id, &dead.id),
        changes(&live.id, &dead.id),
        judgements(),
        workspaces(),
    ]
    .concat();
    assert!(rows.len() >= 60, "only {} rows", rows.len());
    for (name, call, expected) in rows {
        let status = call.by(&operator).await.expect_err(name);
        assert_eq!(refusal(&status), expected, "{name}");
        for violation in status_violations(&status) {
            assert!(violation.len() > 10, "{name}: {violation:?} says nothing");
        }
    }
    assert_eq!(contents(&server.database).await, before);
}

fn status_violations(status: &tonic::Status) -> Vec<String> {
    use tonic_types::StatusExt as _;
    let bad = status.get_details_bad_request();
    bad.map(|bad| bad.field_violations.into_iter().map(|v| v.description).collect()).unwrap_or_default()
}

async fn page_token(client: &mut Client, request: &v1::ListTokensRequest) -> String {
    client.tokens.list_tokens(request.clone()).await.unwrap().into_inner().next_page_token
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_token_serves_only_the_request_and_the_caller_it_was_made_for() {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    operator.create_workspace("other").await;
    for number in 0..3 {
        operator.create_token("acme", &format!("t{number}"), &[]).await;
    }
    let request = v1::ListTokensRequest { workspace: "acme".to_owned(), page_size: 1, ..Default::default() };
    let token = page_token(&mut operator, &request).await;
    let refused_page = refused(Code::InvalidArgument, "INVALID_PAGE_TOKEN");
    let with = |change: &dyn Fn(&mut v1::ListTokensRequest)| {
        let mut request = v1::ListTokensRequest { page_token: token.clone(), ..request.clone() };
        change(&mut request);
        Call::ListTokens(request)
    };
    with(&|request| request.page_size = 2).by(&operator).await.unwrap();
    let other_filter = v1::TokenFilter { never_used: true, ..Default::default() };
    let others = [
        with(&|request| request.workspace = "other".to_owned()),
        with(&|request| request.filter = Some(other_filter.clone())),
        Call::ListWorkspaces(v1::ListWorkspacesRequest { page_token: token.clone(), ..Default::default() }),
    ];
    for call in others {
        assert_eq!(refusal(&call.by(&operator).await.unwrap_err()), refused_page);
    }
    let (_, secret) = operator.create_token("tokenkeep", "second operator", &["tokenkeep:*"]).await;
    let second = server.client(&secret).await;
    assert_eq!(refusal(&with(&|_| {}).by(&second).await.unwrap_err()), refused_page);
    for position in 0..token.len() {
        let mut altered = token.clone();
        let other = if &token[position..=position] == "A" { "B" } else { "A" };
        altered.replace_range(position..=position, other);
        let call = with(&|request| request.page_token.clone_from(&altered));
        assert_eq!(refusal(&call.by(&operator).await.unwrap_err()), refused_page, "altered at {position}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_cursor_is_refused_at_every_position() {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    let frame = operator.watch("", "").await.unwrap().message().await.unwrap().unwrap();
    for position in 0..frame.cursor.len() {
        let mut altered = frame.cursor.clone();
        let other = if &altered[position..=position] == "A" { "B" } else { "A" };
        altered.replace_range(position..=position, other);
        let status = watch("", &altered).by(&operator).await.unwrap_err();
        assert_eq!(
            refusal(&status),
            refused(Code::InvalidArgument, "INVALID_CURSOR"),
            "altered at {position}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_cut_or_altered_anywhere_is_inactive_and_never_an_error() {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    let (_, secret) = operator.create_token("acme", "whole", &[]).await;
    for position in 0..secret.len() {
        let mut altered = secret.clone();
        let other = if &altered[position..=position] == "0" { "1" } else { "0" };
        altered.replace_range(position..=position, other);
        for wrong in [altered.as_str(), &secret[position + 1..], &secret[..position]] {
            if wrong.is_empty() {
                continue;
            }
            let told = operator.introspect(wrong).await.unwrap();
            assert!(!told.active, "{position}");
            assert_eq!(told.inactive_reason(), v1::InactiveReason::Malformed, "{position}");
        }
    }
    for longer in [format!("{secret}0"), format!(" {secret}"), format!("{secret}\n"), "x".repeat(60_000)] {
        assert!(!operator.introspect(&longer).await.unwrap().active);
    }
    assert!(operator.introspect(&secret).await.unwrap().active);
}
