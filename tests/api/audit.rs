//! The audit: who did what, with the change or not at all; and who was refused, as far as there is room.

use std::collections::BTreeSet;
use std::str::FromStr as _;

use tokenkeep::proto::v1;
use tonic::Code;
use tonic::metadata::MetadataValue;
use uuid::Uuid;

use crate::calls::Call;
use crate::clients::{Client, refusal, refused};
use crate::harness::{Server, eventually};
use crate::mutations::{changes_of, changes_of_others, ends_of_many};
use crate::rotation::{LONG, regenerate};

async fn server() -> (Server, Client) {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    (server, operator)
}

async fn events(client: &Client, workspace: &str, filter: v1::AuditFilter) -> Vec<v1::AuditEvent> {
    let (workspace, mut audit) = (workspace.to_owned(), client.audit.clone());
    let request = v1::ListAuditEventsRequest { workspace, filter: Some(filter), ..Default::default() };
    audit.list_audit_events(request).await.unwrap().into_inner().events
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mutation_is_told_with_who_what_from_where_and_in_which_trace() {
    let (_server, mut operator) = server().await;
    let (workspace, name) = ("acme".to_owned(), "deploy".to_owned());
    let words = v1::CreateTokenRequest {
        workspace,
        name,
        initiator: "mia".to_owned(),
        scopes: vec!["b:read".to_owned(), "a:read".to_owned()],
        request_id: Uuid::new_v4().to_string(),
        ..Default::default()
    };
    let mut request = tonic::Request::new(words.clone());
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = MetadataValue::from_str(&format!("00-{trace}-00f067aa0ba902b7-01")).unwrap();
    request.metadata_mut().insert("traceparent", parent);
    let created = operator.tokens.create_token(request).await.unwrap().into_inner();
    let token = created.token.unwrap();

    let told =
        events(&operator, "acme", v1::AuditFilter { token_id: token.id.clone(), ..Default::default() }).await;
    let [event] = &told[..] else { panic!("{told:?}") };
    assert_eq!((event.action.as_str(), event.initiator.as_str()), ("create_token", "mia"));
    assert_eq!((event.workspace.as_str(), &event.token_id), ("acme", &token.id));
    assert_eq!((event.peer_address.as_str(), event.trace_id.as_str()), ("127.0.0.1", trace));
    assert_eq!((event.request_digest.len(), event.refusal.as_str()), (64, ""));
    assert!(!event.caller.is_empty() && event.event_time.is_some());
    let details: Vec<(&str, &str)> =
        event.details.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(details, [("expire_time", "never"), ("scopes", "a:read b:read"), ("type", "CUSTOM")]);
    let everything = format!("{told:?}");
    assert!(!everything.contains(&created.secret) && !everything.contains(&words.request_id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tokens_whole_life_can_be_read_back_newest_first_page_by_page() {
    let (_server, mut operator) = server().await;
    let (token, _) = operator.create_token("acme", "target", &[]).await;
    let edited = v1::Token { id: token.id.clone(), name: "renamed".to_owned(), ..Default::default() };
    let edit = v1::UpdateTokenRequest { token: Some(edited), ..Default::default() };
    operator.tokens.update_token(edit).await.unwrap();
    operator.regenerate(&token.id, "*").await.unwrap();
    let suspend =
        v1::SuspendTokenRequest { id: token.id.clone(), reason: "odd".to_owned(), ..Default::default() };
    operator.tokens.suspend_token(suspend).await.unwrap();
    let resume = v1::ResumeTokenRequest { id: token.id.clone(), ..Default::default() };
    operator.tokens.resume_token(resume).await.unwrap();
    let revoked = operator.revoke(&token.id).await.unwrap();
    // What changes nothing is no event.
    operator.revoke(&token.id).await.unwrap();
    let filter = v1::AuditFilter { token_id: token.id.clone(), ..Default::default() };
    let mut request = v1::ListAuditEventsRequest { filter: Some(filter), page_size: 4, ..Default::default() };
    let mut told = Vec::new();
    loop {
        let page = operator.audit.list_audit_events(request.clone()).await.unwrap().into_inner();
        told.extend(page.events);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let actions: Vec<&str> = told.iter().map(|event| event.action.as_str()).collect();
    let life =
        ["revoke_token", "resume_token", "suspend_token", "regenerate_token", "update_token", "create_token"];
    assert_eq!(actions, life);
    assert_eq!(told[0].revision, revoked.revision);
    assert_eq!(told[4].details.get("fields").map(String::as_str), Some("name"));
    assert!(told.windows(2).all(|pair| pair[0].revision >= pair[1].revision));
    let strange = v1::ListAuditEventsRequest { page_token: request.page_token, ..Default::default() };
    if !strange.page_token.is_empty() {
        let altered = operator.audit.list_audit_events(strange).await.unwrap_err();
        assert_eq!(refusal(&altered), refused(Code::InvalidArgument, "INVALID_PAGE_TOKEN"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_change_is_told_by_its_name() {
    let (_server, mut operator) = server().await;
    let (token, _) = operator.create_token("acme", "target", &[]).await;
    operator.create_token("acme", "other", &[]).await;
    let (_, leaked) = operator.create_token("acme", "leaked", &[]).await;
    regenerate(&mut operator, &token.id, LONG).await;
    let leak = Call::RevokeSecret(v1::RevokeSecretRequest { secrets: vec![leaked], ..Default::default() });
    let changes = changes_of(&token, String::new).into_iter().chain(changes_of_others(String::new));
    for call in changes.chain([leak]).chain(ends_of_many(String::new)) {
        call.by(&operator).await.unwrap();
    }
    let told: BTreeSet<String> =
        events(&operator, "", v1::AuditFilter::default()).await.into_iter().map(|it| it.action).collect();
    let expected = [
        "bulk_revoke_tokens",
        "create_principal",
        "create_token",
        "create_workspace",
        "delete_principal",
        "end_overlap",
        "invalidate_workspace_tokens",
        "regenerate_token",
        "resume_token",
        "revoke_secret",
        "revoke_token",
        "suspend_token",
        "update_principal",
        "update_token",
        "update_workspace",
    ];
    assert_eq!(told.iter().collect::<Vec<_>>(), expected);
}

/// People write secrets where they should not.
#[tokio::test(flavor = "multi_thread")]
async fn what_callers_word_freely_is_not_told() {
    let (server, mut operator) = server().await;
    let hidden = |text: &str| format!("hidden {text}");
    let labelled = |text: &str| [(text.to_owned(), hidden(text))].into();
    let request = v1::CreateTokenRequest {
        workspace: "acme".to_owned(),
        name: hidden("name"),
        description: hidden("description"),
        metadata: labelled("label"),
        ..Default::default()
    };
    let token = operator.tokens.create_token(request).await.unwrap().into_inner().token.unwrap();
    let edited = v1::Token {
        id: token.id,
        name: hidden("new name"),
        description: hidden("new description"),
        metadata: labelled("new_label"),
        ..Default::default()
    };
    let edit = v1::UpdateTokenRequest { token: Some(edited), ..Default::default() };
    operator.tokens.update_token(edit).await.unwrap();
    let workspace = v1::Workspace { id: "other".to_owned(), name: hidden("workspace"), ..Default::default() };
    let request = v1::CreateWorkspaceRequest { workspace: Some(workspace), ..Default::default() };
    operator.workspaces.create_workspace(request).await.unwrap();
    let filter = v1::BulkRevokeTokensRequest {
        workspace: "acme".to_owned(),
        filter: Some(v1::TokenFilter { name_prefix: hidden(""), ..Default::default() }),
        ..Default::default()
    };
    assert_eq!(operator.tokens.bulk_revoke_tokens(filter).await.unwrap().into_inner().token_count, 1);
    let everything = "SELECT count(*), string_agg(audit_events::text, ' ') FROM audit_events";
    let row = server.database.connect().await.query_one(everything, &[]).await.unwrap();
    let (count, told): (i64, String) = (row.get(0), row.get(1));
    assert!(count >= 5 && told.contains("name,description,metadata"), "{told}");
    assert!(!told.contains("hidden") && !told.contains("label"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_made_is_not_told() {
    let (server, mut operator) = server().await;
    let (token, _) = operator.create_token("acme", "target", &[]).await;
    let admin = server.database.connect().await;
    // The audit cannot be written, and so nothing can be changed.
    admin
        .batch_execute(
            "ALTER TABLE audit_events ADD CONSTRAINT no_revocations CHECK (action <> 'revoke_token')",
        )
        .await
        .unwrap();
    operator.revoke(&token.id).await.unwrap_err();
    assert_eq!(operator.get_token(&token.id).await.unwrap().state(), v1::TokenState::Active);
    admin.batch_execute("ALTER TABLE audit_events DROP CONSTRAINT no_revocations").await.unwrap();
    operator.revoke(&token.id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_are_refused_are_told_too() {
    let (server, mut operator) = server().await;
    operator.create_workspace("other").await;
    let (reader, secret) = operator.create_token("acme", "reader", &["tokenkeep:tokens:read"]).await;
    let mut reads = server.client(&secret).await;
    let mut stranger = server.client("tk_nonsense").await;
    stranger.get_token(&reader.id).await.unwrap_err();
    server.anonymous().await.revoke(&reader.id).await.unwrap_err();
    reads.revoke(&reader.id).await.unwrap_err();
    let list = v1::ListTokensRequest { workspace: "other".to_owned(), ..Default::default() };
    reads.tokens.list_tokens(list).await.unwrap_err();
    let refusals = || async {
        let told = events(&operator, "", v1::AuditFilter { refused: true, ..Default::default() }).await;
        let mut told: Vec<[String; 4]> =
            told.into_iter().map(|it| [it.refusal, it.action, it.caller, it.workspace]).collect();
        told.sort();
        told
    };
    eventually("all four are told", || async { refusals().await.len() == 4 }).await;
    let named = |texts: [&str; 4]| texts.map(str::to_owned);
    assert_eq!(
        refusals().await,
        [
            named(["CREDENTIAL_INVALID", "tokens.read", "", ""]),
            named(["CREDENTIAL_MISSING", "revoke_token", "", ""]),
            named(["SCOPE_REQUIRED", "revoke_token", &reader.id, ""]),
            named(["WORKSPACE_DENIED", "tokens.read", &reader.id, "other"]),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_refusals_costs_little_and_says_what_it_dropped() {
    let (server, operator) = server().await;
    let mut flood = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let mut stranger = server.client("tk_nonsense").await;
        flood.spawn(async move {
            for _ in 0..100 {
                stranger.get_token(&Uuid::now_v7().to_string()).await.unwrap_err();
            }
        });
    }
    flood.join_all().await;
    let dropped = || async {
        let filter = v1::AuditFilter { action: "audit.dropped".to_owned(), ..Default::default() };
        let told = events(&operator, "", filter).await;
        told.iter().map(|event| event.details["refusals"].parse::<usize>().unwrap()).sum::<usize>()
    };
    eventually("what was dropped is told", || async { dropped().await > 0 }).await;
    let client = server.database.connect().await;
    let written = client.query_one("SELECT count(*) FROM audit_events WHERE refusal IS NOT NULL", &[]);
    let written: i64 = written.await.unwrap().get(0);
    assert!(written < 1_000, "{written} of 2000 were written in a few seconds");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_of_one_workspace_reads_the_audit_of_that_one_only() {
    let (server, mut operator) = server().await;
    operator.create_workspace("other").await;
    let (_, secret) = operator.create_token("acme", "auditor", &["tokenkeep:audit:read"]).await;
    operator.create_token("other", "hidden", &[]).await;
    let auditor = server.client(&secret).await;
    let told = events(&auditor, "", v1::AuditFilter::default()).await;
    assert!(!told.is_empty() && told.iter().all(|event| event.workspace == "acme"), "{told:?}");
    let request = v1::ListAuditEventsRequest { workspace: "other".to_owned(), ..Default::default() };
    let denied = auditor.audit.clone().list_audit_events(request).await.unwrap_err();
    assert_eq!(refusal(&denied), refused(Code::PermissionDenied, "WORKSPACE_DENIED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_old_is_forgotten() {
    let (server, operator) = server().await;
    let request_id = Uuid::new_v4().to_string();
    let request = v1::CreateTokenRequest {
        workspace: "acme".to_owned(),
        name: "old".to_owned(),
        request_id,
        ..Default::default()
    };
    operator.clone().tokens.create_token(request).await.unwrap();
    let admin = server.database.connect().await;
    let age = "UPDATE audit_events SET event_time = event_time - interval '91 days' WHERE action = 'create_token'; \
        UPDATE requests SET create_time = create_time - interval '11 minutes'";
    admin.batch_execute(age).await.unwrap();
    // Whoever starts looks at once for what is old.
    let _other = Server::start_with(server.database.clone(), |command| command).await;
    let count = |table: &'static str| {
        let admin = &admin;
        async move { admin.query_one(table, &[]).await.unwrap().get::<_, i64>(0) }
    };
    eventually("the old is gone", || async {
        count("SELECT count(*) FROM audit_events WHERE action = 'create_token'").await == 0
            && count("SELECT count(*) FROM requests").await == 0
    })
    .await;
    assert!(count("SELECT count(*) FROM audit_events").await > 0, "the rest stays");
}
