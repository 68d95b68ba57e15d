//! Wrong requests that create, read and list tokens, each with the refusal it deserves.

use std::collections::BTreeMap;

use prost_types::{Duration, Timestamp};
use tokenkeep::proto::v1;
use tonic::Code;

use crate::calls::Call;
use crate::clients::{Refusal, refused};

/// An id of a token that is not there.
pub const NOWHERE: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// What is wrong, the request, and what it is told.
pub type Row = (&'static str, Call, Refusal);

pub fn field(path: &str) -> Refusal {
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

pub fn creations() -> Vec<Row> {
    let long = |length| "x".repeat(length);
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
        (
            "more wrong fields than are told",
            create(|r| r.scopes = vec!["a b".to_owned(); 64]),
            Refusal {
                fields: (0..16).map(|position| format!("scopes[{position}]")).collect(),
                ..refused(Code::InvalidArgument, "INVALID_FIELD")
            },
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

pub fn labels() -> Vec<Row> {
    let long = |length| "x".repeat(length);
    let many = || (0..65).map(|number| format!("s{number}")).collect::<Vec<_>>();
    vec![
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
    ]
}

pub fn expiries() -> Vec<Row> {
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

/// Filters that say what cannot be found by.
pub fn filters() -> Vec<Row> {
    let long = |length| "x".repeat(length);
    vec![
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
            "created before time began",
            filter(|f| f.created_before = Some(Timestamp { seconds: -1, nanos: 0 })),
            field("filter.created_before"),
        ),
        (
            "created since after the end of time",
            filter(|f| f.created_since = Some(Timestamp { seconds: i64::MAX, nanos: 0 })),
            field("filter.created_since"),
        ),
        (
            "a superseded use at half a moment",
            filter(|f| f.superseded_use_since = Some(Timestamp { seconds: 0, nanos: -1 })),
            field("filter.superseded_use_since"),
        ),
        ("a filter by an unknown type", filter(|f| f.r#type = 99), field("filter.type")),
        ("a filter by an unknown kind", filter(|f| f.principal_kind = 99), field("filter.principal_kind")),
        ("a filter by a creator too long", filter(|f| f.creator = long(257)), field("filter.creator")),
    ]
}

pub fn readings() -> Vec<Row> {
    let get = |id: &str| Call::GetToken(v1::GetTokenRequest { id: id.to_owned() });
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
        ("a count of no workspace", Call::CountTokens(v1::CountTokensRequest::default()), field("workspace")),
        (
            "a count of a workspace that is not there",
            Call::CountTokens(v1::CountTokensRequest { workspace: "nowhere".to_owned(), filter: None }),
            refused(Code::NotFound, "WORKSPACE_NOT_FOUND"),
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
