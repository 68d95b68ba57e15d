//! That profiles/profile.schema.json says of profiles what the parser does.

use std::collections::BTreeSet;

use boon::{Compiler, Schemas};
use serde_json::Value;

use super::super::{PRESENTATION, PROFILE, choices, responses};
use crate::profile::SHIPPED;

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

#[test]
fn every_profile_of_ours_keeps_to_the_schema() {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("profile.schema.json", schema()).unwrap();
    let schema = compiler.compile("profile.schema.json", &mut schemas).unwrap();
    for (name, document) in SHIPPED.into_iter().chain([("template.toml", super::TEMPLATE)]) {
        let profile: Value = toml::from_str(document).unwrap();
        let judged = schemas.validate(&profile, schema);
        assert!(judged.is_ok(), "{name}: {}", judged.unwrap_err());
    }
    for wrong in ["version = 1", "type = \"custom\"", "www-authenticate = \"Bearer\"", "days = 30"] {
        let profile: Value = toml::from_str(&super::TEMPLATE.replacen(wrong, "wrong = 0.5", 1)).unwrap();
        assert!(schemas.validate(&profile, schema).is_err(), "{wrong}");
    }
}
