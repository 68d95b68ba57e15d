//! Wrong requests: each is answered with its code, its reason and its field, and changes nothing.

use std::collections::BTreeMap;

use prost_types::{Duration, FieldMask, Timestamp};
use tokenkeep::proto::v1;
use tonic::Code;

use crate::calls::Call;
use crate::clients::{Client, Refusal, refusal, refused};
use crate::harness::{Database, Server};

const NOWHERE: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

type Row = (&'static str, Call, Refusal);

fn field(path: &str) -> Refusal {
    Refusal { fields: vec![path.to_owned()], ..refused(Code::InvalidArgument, "INVALID_FIELD") }
}

fn create(change: impl FnOnce(&mut v1::CreateTokenRequest)) -> Call {
    let mut request = v1::CreateTokenRequest {
        workspace: "acme".to_owned(),
        name: "right".to_owned(),
        ..Default::default()
    };
    change(&mut request);
    Call::CreateToken(request)
}

fn expiring(expiration: v1::create_token_request::Expiration) -> Call {
    create(|request| request.expiration = Some(expiration))
}

fn at(seconds: i64, nanos: i32) -> v1::create_token_request::Expiration {
    v1::create_token_request::Expiration::ExpireTime(Timestamp { seconds, nanos })
}

fn after(seconds: i64, nanos: i32) -> v1::create_token_request::Expiration {
    v1::create_token_request::Expiration::Lifetime(Duration { seconds, nanos })
}

fn metadata(key: &str, value: &str) -> Call {
    create(|request| request.metadata = BTreeMap::from([(key.to_owned(), value.to_owned())]))
}

fn creations() -> Vec<Row> {
    let long = |length| "x".repeat(length);
    let many = || (0..65).map(|number| format!("s{number}")).collect::<Vec<_>>();
    vec![
        ("no workspace", create(|r| r.workspace.clear()), field("workspace")),
        ("a workspace in capitals", create(|r| r.workspace = "Acme".to_owned()), field("workspace")),
        ("a workspace too long", create(|r| r.workspace = long(64)), field("workspace")),
        ("a workspace ending in a dash", create(|r| r.workspace = "acme-".to_owned()), field("workspace")),
        (
            "a workspace that is not there",
            create(|r| r.workspace = "nowhere".to_owned()),
            refused(Code::NotFound, "WORKSPACE_NOT_FOUND"),
        ),
        ("no name", create(|r| r.name.clear()), field("name")),
        ("a blank name", create(|r| r.name = "  ".to_owned()), field("name")),
        ("a name too long", create(|r| r.name = long(129)), field("name")),
        ("a name of two lines", create(|r| r.name = "a\nb".to_owned()), field("name")),
        ("a description too long", create(|r| r.description = long(1025)), field("description")),
        ("a NUL in the description", create(|r| r.description = "a\0b".to_owned()), field("description")),
        ("a principal too long", create(|r| r.principal = long(257)), field("principal")),
        ("a blank principal", create(|r| r.principal = " ".to_owned()), field("principal")),
        ("an initiator too long", create(|r| r.initiator = long(257)), field("initiator")),
        ("a tab in the initiator", create(|r| r.initiator = "a\tb".to_owned()), field("initiator")),
        ("an empty scope", create(|r| r.scopes = vec!["a".to_owned(), String::new()]), field("scopes[1]")),
        ("a scope with a space", create(|r| r.scopes = vec!["a b".to_owned()]), field("scopes[0]")),
        ("a wildcard in the middle", create(|r| r.scopes = vec!["a:*:b".to_owned()]), field("scopes[0]")),
        ("a wildcard within a segment", create(|r| r.scopes = vec!["a*".to_owned()]), field("scopes[0]")),
        ("a scope too long", create(|r| r.scopes = vec![long(129)]), field("scopes[0]")),
        ("too many scopes", create(|r| r.scopes = many()), field("scopes")),
        ("a metadata key in capitals", metadata("Team", "red"), field("metadata")),
        ("an empty metadata key", metadata("", "red"), field("metadata")),
        ("a metadata value too long", metadata("team", &long(257)), field("metadata[\"team\"]")),
        (
            "too much metadata",
            create(|r| r.metadata = (0..33).map(|number| (format!("k{number}"), String::new())).collect()),
            field("metadata"),
        ),
        (
            "three wrong fields at once",
            create(|r| (r.name, r.workspace, r.principal) = (String::new(), String::new(), " ".to_owned())),
            Refusal {
                fields: ["workspace", "name", "principal"].map(str::to_owned).to_vec(),
                ..refused(Code::InvalidArgument, "INVALID_FIELD")
            },
        ),
    ]
}

fn expiries() -> Vec<Row> {
    vec![
        ("an expiry in the past", expiring(at(1_000_000_000, 0)), field("expire_time")),
        ("an expiry before 1970", expiring(at(-1, 0)), field("expire_time")),
        ("an expiry after the year 9999", expiring(at(253_402_300_800, 0)), field("expire_time")),
        (
            "an expiry with too many nanoseconds",
            expiring(at(4_000_000_000, 1_000_000_000)),
            field("expire_time"),
        ),
        ("an expiry with negative nanoseconds", expiring(at(4_000_000_000, -1)), field("expire_time")),
        ("no lifetime at all", expiring(after(0, 0)), field("lifetime")),
        ("a negative lifetime", expiring(after(-1, 0)), field("lifetime")),
        ("a lifetime below a second", expiring(after(0, 999_999_999)), field("lifetime")),
        ("a lifetime beyond 100 years", expiring(after(3_155_760_001, 0)), field("lifetime")),
        ("the longest lifetime there is", expiring(after(i64::MAX, 999_999_999)), field("lifetime")),
    ]
}

fn list(change: impl FnOnce(&mut v1::ListTokensRequest)) -> Call {
    let mut request = v1::ListTokensRequest { workspace: "acme".to_owned(), ..Default::default() };
    change(&mut request);
    Call::ListTokens(request)
}

fn filter(change: impl FnOnce(&mut v1::TokenFilter)) -> Call {
    let mut filter = v1::TokenFilter::default();
    change(&mut filter);
    list(|request| request.filter = Some(filter))
}

fn readings() -> Vec<Row> {
    let get = |id: &str| Call::GetToken(v1::GetTokenRequest { id: id.to_owned() });
    let long = |length| "x".repeat(length);
    let page = |text: &str| list(|request| request.page_token = text.to_owned());
    let invalid_page = || refused(Code::InvalidArgument, "INVALID_PAGE_TOKEN");
    vec![
        ("no id", get(""), field("id")),
        ("an id that is no UUID", get("nonsense"), field("id")),
        ("an id without hyphens", get(&NOWHERE.replace('-', "")), field("id")),
        ("an id cut short", get(&NOWHERE[..35]), field("id")),
        ("an id that is not there", get(NOWHERE), refused(Code::NotFound, "TOKEN_NOT_FOUND")),
        ("a list of no workspace", list(|r| r.workspace.clear()), field("workspace")),
        (
            "a list of a workspace that is not there",
            list(|r| r.workspace = "nowhere".to_owned()),
            refused(Code::NotFound, "WORKSPACE_NOT_FOUND"),
        ),
        ("a negative page", list(|r| r.page_size = -1), field("page_size")),
        ("a page token that is none", page("nonsense"), invalid_page()),
        ("a page token of one character", page("0"), invalid_page()),
        ("a page token that is not ASCII", page("0é"), invalid_page()),
        ("an unspecified state", filter(|f| f.states = vec![0]), field("filter.states[0]")),
        ("more states than there are", filter(|f| f.states = vec![1; 5_000]), field("filter.states")),
        ("an unknown state", filter(|f| f.states = vec![1, 99]), field("filter.states[1]")),
        ("a filter by a principal too long", filter(|f| f.principal = long(257)), field("filter.principal")),
        ("a filter by a name too long", filter(|f| f.name_prefix = long(129)), field("filter.name_prefix")),
        ("a filter by no scope", filter(|f| f.scope = "a b".to_owned()), field("filter.scope")),
        (
            "expiring within no time",
            filter(|f| f.expiring_within = Some(Duration::default())),
            field("filter.expiring_within"),
        ),
        (
            "unused since before time began",
            filter(|f| f.unused_since = Some(Timestamp { seconds: -1, nanos: 0 })),
            field("filter.unused_since"),
        ),
        (
            "a negative page of workspaces",
            Call::ListWorkspaces(v1::ListWorkspacesRequest { page_size: -5, ..Default::default() }),
            field("page_size"),
        ),
        (
            "a page token of workspaces that is none",
            Call::ListWorkspaces(v1::ListWorkspacesRequest {
                page_token: "01AAAA".to_owned(),
                ..Default::default()
            }),
            invalid_page(),
        ),
    ]
}

fn update(id: &str, change: impl FnOnce(&mut v1::Token), paths: &[&str]) -> Call {
    let mut token = v1::Token { id: id.to_owned(), ..Default::default() };
    change(&mut token);
    let mask = FieldMask { paths: paths.iter().map(ToString::to_string).collect() };
    Call::UpdateToken(v1::UpdateTokenRequest {
        token: Some(token),
        update_mask: Some(mask),
        ..Default::default()
    })
}

fn regenerate(id: &str, etag: &str) -> Call {
    let (id, etag) = (id.to_owned(), etag.to_owned());
    Call::RegenerateToken(v1::RegenerateTokenRequest { id, etag, ..Default::default() })
}

fn revoke(id: &str, change: impl FnOnce(&mut v1::RevokeTokenRequest)) -> Call {
    let mut request = v1::RevokeTokenRequest { id: id.to_owned(), ..Default::default() };
    change(&mut request);
    Call::RevokeToken(request)
}

fn edits(live: &str, dead: &str) -> Vec<Row> {
    let stale = || refused(Code::Aborted, "ETAG_MISMATCH");
    let missing = || refused(Code::NotFound, "TOKEN_NOT_FOUND");
    let past = Some(Timestamp { seconds: 1_000_000_000, nanos: 0 });
    let nothing = Call::UpdateToken(v1::UpdateTokenRequest::default());
    vec![
        ("an edit of no token", nothing, field("token")),
        ("an edit without an id", update("", |_| {}, &["description"]), field("token.id")),
        ("an edit of a token that is not there", update(NOWHERE, |_| {}, &["description"]), missing()),
        ("an edit of an unknown field", update(live, |_| {}, &["secret"]), field("update_mask.paths[0]")),
        ("an edit of what cannot be edited", update(live, |_| {}, &["state"]), field("update_mask.paths[0]")),
        (
            "an edit of more fields than there are",
            update(live, |_| {}, &["name"; 5_000]),
            field("update_mask.paths"),
        ),
        ("an edit of all and one more", update(live, |_| {}, &["*", "name"]), field("update_mask.paths[0]")),
        ("an edit that empties the name", update(live, |_| {}, &["name"]), field("token.name")),
        (
            "an edit to a wrong scope",
            update(live, |t| t.scopes = vec!["*:a".into()], &["scopes"]),
            field("token.scopes[0]"),
        ),
        (
            "an edit to an expiry in the past",
            update(live, |t| t.expire_time = past, &["expire_time"]),
            field("token.expire_time"),
        ),
        ("an edit with a stale etag", update(live, |t| t.etag = "r77".into(), &["description"]), stale()),
        (
            "an edit of a revoked token",
            update(dead, |t| t.name = "new".into(), &["name"]),
            refused(Code::FailedPrecondition, "TOKEN_REVOKED"),
        ),
    ]
}

fn changes(live: &str, dead: &str) -> Vec<Row> {
    let stale = || refused(Code::Aborted, "ETAG_MISMATCH");
    let missing = || refused(Code::NotFound, "TOKEN_NOT_FOUND");
    vec![
        ("a regenerate without an etag", regenerate(live, ""), field("etag")),
        ("a regenerate with a stale etag", regenerate(live, "r77"), stale()),
        ("a regenerate without an id", regenerate("", "*"), field("id")),
        ("a regenerate of a token that is not there", regenerate(NOWHERE, "*"), missing()),
        (
            "a regenerate of a revoked token",
            regenerate(dead, "*"),
            refused(Code::FailedPrecondition, "TOKEN_REVOKED"),
        ),
        ("a revoke without an id", revoke("", |_| {}), field("id")),
        ("a revoke of a token that is not there", revoke(NOWHERE, |_| {}), missing()),
        ("a revoke with a stale etag", revoke(live, |r| r.etag = "r77".into()), stale()),
        ("a revoke with too long a reason", revoke(live, |r| r.reason = "x".repeat(257)), field("reason")),
        ("a revoke for a reason of two lines", revoke(live, |r| r.reason = "a\nb".into()), field("reason")),
        (
            "a revoke by an initiator too long",
            revoke(live, |r| r.initiator = "x".repeat(257)),
            field("initiator"),
        ),
    ]
}

fn introspect(change: impl FnOnce(&mut v1::IntrospectTokenRequest)) -> Call {
    let mut request = v1::IntrospectTokenRequest { token: "presented".to_owned(), ..Default::default() };
    change(&mut request);
    Call::IntrospectToken(request)
}

fn watch(workspace: &str, cursor: &str) -> Call {
    let (workspace, cursor) = (workspace.to_owned(), cursor.to_owned());
    Call::WatchRevocations(v1::WatchRevocationsRequest { workspace, cursor })
}

fn judgements() -> Vec<Row> {
    let many = || vec!["a".to_owned(); 65];
    vec![
        ("an introspection of nothing", introspect(|r| r.token.clear()), field("token")),
        ("an introspection in no workspace", introspect(|r| r.workspace = "A".into()), field("workspace")),
        (
            "an empty required scope",
            introspect(|r| r.required_scopes = vec![String::new()]),
            field("required_scopes[0]"),
        ),
        (
            "a wrong required scope",
            introspect(|r| r.required_scopes = vec!["a*".into()]),
            field("required_scopes[0]"),
        ),
        ("too many required scopes", introspect(|r| r.required_scopes = many()), field("required_scopes")),
        ("a watch of a wrong workspace", watch("A", ""), field("workspace")),
        (
            "a watch of a workspace that is not there",
            watch("nowhere", ""),
            refused(Code::NotFound, "WORKSPACE_NOT_FOUND"),
        ),
        ("a watch from nonsense", watch("", "nonsense"), refused(Code::InvalidArgument, "INVALID_CURSOR")),
        ("a watch from one character", watch("", "0"), refused(Code::InvalidArgument, "INVALID_CURSOR")),
    ]
}

fn workspace(id: &str, name: &str, prefix: &str) -> v1::Workspace {
    v1::Workspace { id: id.into(), name: name.into(), token_prefix: prefix.into(), ..Default::default() }
}

fn workspaces() -> Vec<Row> {
    let new = |id, name, prefix| {
        Call::CreateWorkspace(v1::CreateWorkspaceRequest { workspace: Some(workspace(id, name, prefix)) })
    };
    let edit = |workspace: v1::Workspace, paths: &[&str]| {
        let update_mask = Some(FieldMask { paths: paths.iter().map(ToString::to_string).collect() });
        Call::UpdateWorkspace(v1::UpdateWorkspaceRequest { workspace: Some(workspace), update_mask })
    };
    let get = |id: &str| Call::GetWorkspace(v1::GetWorkspaceRequest { id: id.to_owned() });
    let stale = v1::Workspace { etag: "v9".into(), ..workspace("acme", "new", "") };
    let missing = || refused(Code::NotFound, "WORKSPACE_NOT_FOUND");
    vec![
        (
            "no workspace to create",
            Call::CreateWorkspace(v1::CreateWorkspaceRequest::default()),
            field("workspace"),
        ),
        ("a workspace without an id", new("", "n", ""), field("workspace.id")),
        ("a workspace beginning with a digit", new("1st", "n", ""), field("workspace.id")),
        ("a workspace without a name", new("fresh", "", ""), field("workspace.name")),
        ("a prefix too long", new("fresh", "n", "ninechars"), field("workspace.token_prefix")),
        ("a prefix ending in an underscore", new("fresh", "n", "sk_"), field("workspace.token_prefix")),
        ("a prefix with two underscores", new("fresh", "n", "s__k"), field("workspace.token_prefix")),
        ("a prefix in capitals", new("fresh", "n", "SK"), field("workspace.token_prefix")),
        (
            "a workspace that is there already",
            new("acme", "n", ""),
            refused(Code::AlreadyExists, "WORKSPACE_EXISTS"),
        ),
        ("no workspace to read", get(""), field("id")),
        ("a workspace to read that is not there", get("nowhere"), missing()),
        (
            "no workspace to edit",
            Call::UpdateWorkspace(v1::UpdateWorkspaceRequest::default()),
            field("workspace"),
        ),
        ("a workspace to edit that is not there", edit(workspace("nowhere", "n", ""), &["name"]), missing()),
        (
            "an edit of a workspace's id",
            edit(workspace("acme", "n", ""), &["id"]),
            field("update_mask.paths[0]"),
        ),
        (
            "an edit that empties its name",
            edit(workspace("acme", "", ""), &["name"]),
            field("workspace.name"),
        ),
        ("an edit of a workspace as it was", edit(stale, &["name"]), refused(Code::Aborted, "ETAG_MISMATCH")),
    ]
}

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
        expiries(),
        readings(),
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
