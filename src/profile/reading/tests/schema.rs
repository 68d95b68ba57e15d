//! That profiles/profile.schema.json knows the fields that the parser knows; `tests/clients/profile_schema.py` asks a
//! validator whether the profiles of ours keep to it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::{PRESENTATION, PROFILE, choices, responses};

const SCHEMA: &str = include_str!("../../../../profiles/profile.schema.json");

/// The sections of a file, by where the schema speaks of them.
const SECTIONS: [(&str, &[&str]); 9] = [
    ("", &PROFILE),
    ("/properties/presentation", &PRESENTATION),
    ("/properties/prefixes/items", &choices::PREFIX),
    ("/properties/lifetimes/items", &choices::LIFETIME),
    ("/properties/types/items", &choices::TYPE),
    ("/properties/scopes/items", &choices::SCOPE),
    ("/properties/audiences/items", &choices::AUDIENCE),
    ("/properties/responses", &responses::RESPONSES),
    ("/definitions/response", &responses::RESPONSE),
];

fn schema() -> Value {
    serde_json::from_str(SCHEMA).unwrap()
}

#[test]
fn the_schema_knows_the_fields_that_the_parser_knows_and_no_others() {
    let schema = schema();
    for (pointer, fields) in SECTIONS {
        let section = schema.pointer(pointer).unwrap();
        let known: BTreeSet<&str> =
            section["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(known, fields.iter().copied().collect(), "{pointer}");
        assert_eq!(section["additionalProperties"], Value::Bool(false), "{pointer}");
    }
}
