//! What a proxy is told, by the profiles of the five products.

use std::sync::Arc;
use std::time::SystemTime;

use proptest::prelude::*;
use secrecy::ExposeSecret as _;

use super::*;
use crate::profile::{SHIPPED, TokenType};
use crate::text::{Handle, Name, PrincipalId};
use crate::token::{Generation, Revision, ScopeSet, TokenId};

fn profile(name: &str) -> Profile {
    let file = format!("{name}.toml");
    let (_, document) = SHIPPED.into_iter().find(|(shipped, _)| *shipped == file).unwrap();
    Profile::parse(document).unwrap()
}

fn asked(profile: &Profile, headers: &[(&str, &str)]) -> ClientRequest {
    let route =
        Route { profile: profile.name.clone(), workspace: None, required_scopes: Vec::new(), audience: None };
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    ClientRequest { route, headers: headers.collect(), address: None }
}

fn record(profile: &Profile) -> Record {
    Record {
        id: TokenId::generate(),
        workspace: WorkspaceId::parse("acme".to_owned()).unwrap().into(),
        name: Name::parse("deploy".to_owned()).unwrap(),
        principal: None,
        username: None,
        token_type: TokenType::Custom,
        profile: Some(profile.name.clone().into()),
        external_id: None,
        scopes: ScopeSet::new(vec![Scope::known("read")]).unwrap().into(),
        extras: Arc::default(),
        expire_time: None,
        create_time: SystemTime::UNIX_EPOCH.into(),
        generation: Generation(1),
        revision: Revision::ZERO,
    }
}

fn live(record: Record) -> Verdict {
    Verdict::Active { record: Arc::new(record), missing: Vec::new() }
}

fn denied(answer: Answer) -> (u16, String) {
    match answer {
        Answer::Deny(response) => (response.status.as_u16(), response.body),
        Answer::Allow { .. } => panic!("{answer:?}"),
    }
}

fn allowed(answer: Answer) -> (Vec<(&'static str, String)>, Vec<String>) {
    match answer {
        Answer::Allow { set, remove } => (set, remove),
        Answer::Deny(_) => panic!("{answer:?}"),
    }
}

#[test]
fn each_product_finds_the_token_where_its_document_puts_it() {
    for (name, header, value) in [
        ("select-star", "Authorization", "Token tk_1"),
        ("undb", "X-Undb-Api-Token", "tk_1"),
        ("coolset", "authorization", "Bearer tk_1"),
        ("strapi", "authorization", "bearer tk_1"),
        ("qualytics", "authorization", "Bearer tk_1"),
    ] {
        let profile = profile(name);
        let question = asked(&profile, &[("accept", "*/*"), (header, value)]).question(&profile).unwrap();
        assert_eq!(question.presented.expose_secret(), "tk_1", "{name}");
    }
}

#[test]
fn what_is_presented_as_another_product_does_is_missing() {
    for (name, headers) in [
        ("select-star", [("authorization", "Bearer tk_1")].as_slice()),
        ("select-star", &[]),
        ("undb", &[("authorization", "Bearer tk_1")]),
        ("undb", &[("x-undb-api-token", "")]),
        ("coolset", &[("authorization", "Token tk_1")]),
        ("strapi", &[("x-undb-api-token", "tk_1")]),
        ("qualytics", &[("authorization", "Basic dTpw")]),
    ] {
        let profile = profile(name);
        let answer = asked(&profile, headers).question(&profile).unwrap_err();
        assert_eq!(answer, Answer::Deny(profile.responses.missing.clone()), "{name} {headers:?}");
    }
}

#[test]
fn two_credentials_at_once_are_no_credential() {
    let profile = profile("coolset");
    let asked = asked(&profile, &[("authorization", "Bearer tk_1"), ("Authorization", "Bearer tk_2")]);
    let answer = asked.question(&profile).unwrap_err();
    assert_eq!(answer, Answer::Deny(profile.responses.invalid.clone()));
}

#[test]
fn a_verdict_becomes_the_answer_of_the_product() {
    for name in ["select-star", "undb", "coolset", "strapi", "qualytics"] {
        let profile = profile(name);
        let asked = asked(&profile, &[]);
        let dead = asked.answer(&profile, &Verdict::Inactive(None));
        assert_eq!(dead, Answer::Deny(profile.responses.invalid.clone()), "{name}");
        let missing = vec![Scope::known("write")];
        let short = Verdict::Active { record: Arc::new(record(&profile)), missing };
        let answer = asked.answer(&profile, &short);
        assert_eq!(answer, Answer::Deny(profile.responses.forbidden.clone()), "{name}");
        let (set, remove) = allowed(asked.answer(&profile, &live(record(&profile))));
        assert!(set.contains(&("x-tokenkeep-workspace", "acme".to_owned())), "{name} {set:?}");
        assert!(remove.iter().any(|name| *name == profile.presentation.header.as_str()), "{name} {remove:?}");
    }
}

#[test]
fn the_bodies_are_those_of_the_documents() {
    let (star, coolset) = (profile("select-star"), profile("coolset"));
    let (status, body) = denied(asked(&star, &[]).question(&star).unwrap_err());
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["detail"]), (401, &"Authentication credentials were not provided.".into()));
    let (status, body) = denied(asked(&star, &[]).answer(&star, &Verdict::Inactive(None)));
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["messages"][0]["message"]), (401, &"Token is invalid or expired".into()));
    let short = Verdict::Active { record: Arc::new(record(&coolset)), missing: vec![Scope::known("write")] };
    let (status, body) = denied(asked(&coolset, &[]).answer(&coolset, &short));
    assert_eq!(status, 403);
    assert!(body.contains("You do not have permission to perform this action."), "{body}");
}

#[test]
fn who_calls_is_told_in_headers_and_the_credential_stays_behind() {
    let profile = profile("qualytics");
    let mut record = record(&profile);
    record.principal = Some(PrincipalId::parse("123".to_owned()).unwrap().into());
    record.username = Some(Handle::parse("api_access@service".to_owned()).unwrap().into());
    record.name = Name::parse(" Jörg's 100%".to_owned()).unwrap();
    record.token_type = TokenType::FullAccess;
    let id = record.id.to_string();
    let asked = asked(&profile, &[("authorization", "Bearer tk_1")]);
    let (set, remove) = allowed(asked.answer(&profile, &live(record)));
    let expected = [
        ("x-tokenkeep-token-id", id.as_str()),
        ("x-tokenkeep-token-name", "%20J%C3%B6rg's%20100%25"),
        ("x-tokenkeep-type", "full_access"),
        ("x-tokenkeep-workspace", "acme"),
        ("x-tokenkeep-principal", "123"),
        ("x-tokenkeep-username", "api_access@service"),
        ("x-tokenkeep-scopes", "read"),
    ];
    assert_eq!(set, expected.map(|(name, value)| (name, value.to_owned())));
    assert_eq!(remove, ["authorization"]);
}

#[test]
fn a_client_cannot_say_who_it_is() {
    let profile = profile("undb");
    let spoofed = [
        ("X-Tokenkeep-Principal", "root"),
        ("x_tokenkeep_username", "root"),
        ("X-Tokenkeep_Workspace", "other"),
        ("x-tokenkeep-workspace", "other"),
        ("x-tokenkeep-anything", "at all"),
        ("x-other", "stays"),
    ];
    let (set, remove) = allowed(asked(&profile, &spoofed).answer(&profile, &live(record(&profile))));
    assert!(set.contains(&("x-tokenkeep-workspace", "acme".to_owned())));
    let expected = [
        "x-tokenkeep-anything",
        "x-tokenkeep-principal",
        "x-tokenkeep-username",
        "x-tokenkeep_workspace",
        "x-undb-api-token",
        "x_tokenkeep_username",
    ];
    assert_eq!(remove, expected);
}

#[test]
fn a_route_without_a_workspace_leads_to_those_of_its_profile_only() {
    let (strapi, undb) = (profile("strapi"), profile("undb"));
    let mut asked = asked(&strapi, &[]);
    allowed(asked.answer(&strapi, &live(record(&strapi))));
    let elsewhere = || live(record(&undb));
    assert_eq!(asked.answer(&strapi, &elsewhere()), Answer::Deny(strapi.responses.invalid.clone()));
    let nowhere = live(Record { profile: None, ..record(&strapi) });
    assert_eq!(asked.answer(&strapi, &nowhere), Answer::Deny(strapi.responses.invalid.clone()));
    // Whether it is the right one was judged before.
    asked.route.workspace = WorkspaceId::parse("acme".to_owned()).ok();
    allowed(asked.answer(&strapi, &elsewhere()));
}

#[test]
fn a_credential_is_not_printed() {
    let profile = profile("strapi");
    let printed = format!("{:?}", asked(&profile, &[("authorization", "bearer tk_secret")]));
    assert!(printed.contains("authorization") && !printed.contains("tk_secret"), "{printed}");
}

proptest! {
    /// Whatever reaches the product and reads like an identity header was set by us.
    #[test]
    fn no_header_of_a_client_passes_for_ours(names in prop::collection::vec("(?i)x[-_]tokenkeep[-_](principal|username|scopes|type|q)|[a-z]{1,9}", 0..9)) {
        let profile = profile("strapi");
        let sent: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "spoofed")).collect();
        let asked = asked(&profile, &sent);
        let (set, remove) = allowed(asked.answer(&profile, &live(record(&profile))));
        for name in asked.headers.names().filter(|name| identity::reads_like(name)) {
            let replaced = set.iter().any(|(set, _)| *set == name);
            prop_assert!(replaced || remove.iter().any(|removed| removed == name), "{name}");
        }
        prop_assert!(set.iter().all(|(set, _)| !remove.iter().any(|removed| removed == set)));
    }
}
