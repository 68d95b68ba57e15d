//! What is said of wrong files, and that the schema for editors knows the same fields.

mod schema;
mod wrong;

use proptest::prelude::*;

use super::*;
use wrong::WRONG;

const TEMPLATE: &str = include_str!("../../../profiles/template.toml");

fn told(document: &str) -> Vec<String> {
    read(document, Some("template")).unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn every_wrong_file_is_refused_with_the_place_the_rule_and_the_remedy() {
    assert!(read(TEMPLATE, Some("template")).is_ok());
    for wrong in WRONG {
        assert!(TEMPLATE.contains(wrong.instead_of), "the template has no {:?}", wrong.instead_of);
        let document = TEMPLATE.replacen(wrong.instead_of, wrong.stands, 1);
        assert_eq!(told(&document), wrong.told, "{:?}", wrong.stands);
    }
}

#[test]
fn all_that_is_wrong_is_told_from_top_to_bottom() {
    let document = TEMPLATE.replace("status = 4", "status = 5").replace("version = 1", "version = 0");
    let lines: Vec<String> =
        told(&document).iter().map(|told| told.split(':').next().unwrap().to_owned()).collect();
    assert_eq!(lines, ["9", "94", "100", "106"]);
}

#[test]
fn scopes_cannot_be_required_where_no_type_takes_them() {
    let custom = "[[types]]\ntype = \"custom\"\nlabel = \"Custom\"\n";
    let document = TEMPLATE.replace(custom, "").replace(", \"types.custom.label\"", "");
    let document = document.replace("required = [\"name\"", "required = [\"scopes\"");
    let expected = "19:12: `required` must not name scopes: only tokens of the type custom are given any, and `types` has none";
    assert_eq!(told(&document), [expected]);
}

#[test]
fn no_header_can_hold_a_credential_that_the_edge_sets_or_that_ends_at_a_proxy() {
    let told_of = |header: &str| {
        told(&TEMPLATE.replacen("header = \"authorization\"", &format!("header = \"{header}\""), 1))
    };
    // To many products `_` is `-`.
    for identity in ["x-tokenkeep-token", "x-tokenkeep-workspace", "x_tokenkeep_token"] {
        let rule = "must not begin with x-tokenkeep-: the edge says so who a client is";
        assert_eq!(told_of(identity), [format!("37:10: `presentation.header` {rule}")], "{identity}");
    }
    for passing in NOT_END_TO_END {
        let rule = "must be a header that proxies pass on, like authorization or x-api-token";
        assert_eq!(told_of(passing), [format!("37:10: `presentation.header` {rule}")], "{passing}");
    }
    for pseudo in [":authority", ":path", ":status"] {
        let rule = "must be the name of a header: 1 to 64 characters of a-z, 0-9 and !#$%&'*+-.^_`|~";
        assert_eq!(told_of(pseudo), [format!("37:10: `presentation.header` {rule}")], "{pseudo}");
    }
}

#[test]
fn what_is_too_large_is_refused() {
    let long = TEMPLATE.replace("\"Template\"", &format!("\"{}\"", "x".repeat(129)));
    assert_eq!(told(&long), ["12:9: `title` must be at most 128 characters long"]);
    let body = TEMPLATE.replace("{\"error\":\"not allowed\"}", &format!("\"{}\"", "x".repeat(16_384)));
    assert_eq!(told(&body), ["108:8: `responses.forbidden.body` must be at most 16384 bytes long"]);
    let scopes = "[[scopes]]\nscope = \"read\"\nlabel = \"Read\"\n".repeat(256);
    let many = told(&TEMPLATE.replacen("[[scopes]]", &format!("{scopes}[[scopes]]"), 1));
    assert!(many[0].ends_with("`scopes` must have at most 256 entries"), "{many:?}");
    let huge = format!("{TEMPLATE}#{}", "x".repeat(LARGEST));
    assert_eq!(told(&huge), ["1:1: a profile must be at most 262144 bytes long"]);
}

#[test]
fn no_value_of_a_file_is_repeated() {
    for wrong in
        ["name = \"hunter2 \"", "name = [\"hunter2\"]", "name = \"hunter2\nname = 1", "name = hunter2"]
    {
        let told = told(&TEMPLATE.replace("name = \"template\"", wrong)).join("\n");
        assert!(!told.contains("hunter2"), "{told}");
    }
}

proptest! {
    /// Lines left out, swapped and filled with something else: whatever stands in a file, there is an answer.
    #[test]
    fn anything_is_read_without_a_panic(
        lines in prop::collection::vec((0..110_usize, prop_oneof![Just(None), "\\PC{0,12}".prop_map(Some)]), 0..6),
    ) {
        let mut document: Vec<String> = TEMPLATE.lines().map(str::to_owned).collect();
        for (position, line) in lines {
            let position = position % document.len();
            match line {
                Some(line) => document[position] = line,
                None => drop(document.remove(position)),
            }
        }
        if let Err(problems) = read(&document.join("\n"), Some("template")) {
            prop_assert!(!problems.is_empty());
            prop_assert!(problems.is_sorted_by_key(|problem| (problem.line, problem.column)));
        }
    }
}
