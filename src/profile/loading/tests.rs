//! What ships, and what a directory adds to it.

use super::*;
use crate::profile::{Presented, TokenType};
use crate::token::ScopeSet;

fn names(profiles: &[Profile]) -> Vec<&str> {
    profiles.iter().map(|profile| profile.name.as_str()).collect()
}

#[test]
fn five_profiles_ship() {
    let profiles = load(None).unwrap();
    assert_eq!(names(&profiles), ["coolset", "qualytics", "select-star", "strapi", "undb"]);
}

#[test]
fn a_file_of_a_directory_is_added_or_goes_before_a_shipped_one() {
    let directory = tempfile::tempdir().unwrap();
    let template = include_str!("../../../profiles/template.toml");
    let put = |name: &str, document: &str| fs::write(directory.path().join(name), document).unwrap();
    put("acme.toml", &template.replace("name = \"template\"", "name = \"acme\""));
    put("undb.toml", &template.replace("name = \"template\"", "name = \"undb\""));
    put("notes.txt", "no profile");
    let profiles = load(Some(directory.path())).unwrap();
    assert_eq!(names(&profiles), ["acme", "coolset", "qualytics", "select-star", "strapi", "undb"]);
    assert_eq!(profiles.last().unwrap().title.as_str(), "Template");
}

#[test]
fn all_wrong_files_of_a_directory_are_told_at_once() {
    let directory = tempfile::tempdir().unwrap();
    for name in ["a.toml", "b.toml"] {
        fs::write(directory.path().join(name), "version = 0").unwrap();
    }
    let told = load(Some(directory.path())).unwrap_err().to_string();
    assert!(told.starts_with("profiles are wrong\n"), "{told}");
    for line in
        ["a.toml:1:11: `version` must be", "b.toml:1:1: `name` is missing: add it, like `name = \"acme\"`"]
    {
        assert!(told.contains(line), "{told}");
    }
}

#[test]
fn a_directory_that_is_not_there_is_told() {
    let told = load(Some(Path::new("/not/there"))).unwrap_err();
    assert_eq!(told.to_string(), "cannot read /not/there");
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

fn shipped(name: &str) -> Profile {
    load(None).unwrap().into_iter().find(|profile| profile.name.as_str() == name).unwrap()
}

#[test]
fn select_star_answers_with_the_two_bodies_of_its_page() {
    let responses = shipped("select-star").responses;
    let missing = json(r#"{ "detail": "Authentication credentials were not provided." }"#);
    let invalid = json(
        r#"{ "detail": "Given token not valid for any token type", "code": "token_not_valid", "messages": [
            { "token_class": "AccessToken", "token_type": "access", "message": "Token is invalid or expired" } ] }"#,
    );
    assert_eq!((responses.missing.status.as_u16(), json(&responses.missing.body)), (401, missing));
    assert_eq!((responses.invalid.status.as_u16(), json(&responses.invalid.body)), (401, invalid));
}

#[test]
fn coolset_answers_missing_and_invalid_alike_and_403_with_its_own_body() {
    let responses = shipped("coolset").responses;
    assert_eq!(responses.missing, responses.invalid);
    let missing = json(r#"{ "detail": "Authentication credentials were not provided." }"#);
    let forbidden = json(r#"{ "detail": "You do not have permission to perform this action." }"#);
    assert_eq!((responses.missing.status.as_u16(), json(&responses.missing.body)), (401, missing));
    assert_eq!((responses.forbidden.status.as_u16(), json(&responses.forbidden.body)), (403, forbidden));
}

#[test]
fn a_credential_is_presented_as_each_page_writes_it() {
    for (name, header, value) in [
        ("select-star", "authorization", "Token abc"),
        ("undb", "x-undb-api-token", "abc"),
        ("coolset", "authorization", "Bearer abc"),
        ("strapi", "authorization", "bearer abc"),
        ("qualytics", "authorization", "Bearer abc"),
    ] {
        let presentation = shipped(name).presentation;
        assert_eq!(presentation.header, header, "{name}");
        let presented = presentation.presented([value.as_bytes()]);
        assert!(matches!(presented, Presented::Token(_)), "{name}");
    }
    let select_star = shipped("select-star").presentation;
    assert!(matches!(select_star.presented([&b"Bearer abc"[..]]), Presented::Missing));
}

#[test]
fn a_type_that_a_profile_does_not_have_grants_nothing() {
    let strapi = shipped("strapi");
    assert_eq!(strapi.grants(TokenType::ReadOnly).unwrap().to_string(), "find:* findOne:*");
    assert_eq!(strapi.grants(TokenType::Custom), None);
    assert_eq!(shipped("undb").grants(TokenType::ReadOnly), Some(&ScopeSet::default()));
    assert_eq!(shipped("undb").default_type(), TokenType::FullAccess);
    assert_eq!(strapi.default_type(), TokenType::Custom);
}

/// The page tells of each shipped profile what is unsaid; a row that does not agree is a bug.
#[test]
fn the_documents_tell_what_each_page_leaves_unsaid() {
    let page = include_str!("../../../docs/profiles.md");
    for profile in load(None).unwrap() {
        let paths: Vec<String> = profile.silent.iter().map(|path| format!("`{path}`")).collect();
        let row = format!("| `{}` | {} |\n", profile.name, paths.join(", "));
        assert!(page.contains(&row), "docs/profiles.md has no row {row}");
    }
}
