//! The headers by which a product behind the edge learns who calls.

use std::fmt::Write as _;

use crate::introspection::Record;
use crate::profile::TokenType;

/// How the names of all identity headers begin.
pub const PREFIX: &str = "x-tokenkeep-";

/// The identity headers of a live token, by name; those it has no value for have none.
fn identity(record: &Record) -> [(&'static str, Option<String>); 7] {
    let principal = record.principal.as_ref().map(|principal| visible(principal.as_str()));
    let username = record.username.as_ref().map(|username| visible(username.as_str()));
    [
        ("x-tokenkeep-token-id", Some(record.id.to_string())),
        ("x-tokenkeep-token-name", Some(visible(record.name.as_str()))),
        ("x-tokenkeep-type", Some(type_name(record.token_type).to_owned())),
        ("x-tokenkeep-workspace", Some(record.workspace.to_string())),
        ("x-tokenkeep-principal", principal),
        ("x-tokenkeep-username", username),
        ("x-tokenkeep-scopes", Some(record.scopes.to_string())),
    ]
}

/// The headers to set for a live token, and the names of those that it has no value for.
pub(super) fn headers(record: &Record) -> (Vec<(&'static str, String)>, Vec<&'static str>) {
    let (mut set, mut unset) = (Vec::new(), Vec::new());
    for (name, value) in identity(record) {
        match value {
            Some(value) => set.push((name, value)),
            None => unset.push(name),
        }
    }
    (set, unset)
}

/// Whether a product could take a header of this name for one of ours: to many, `_` and `-` are the same.
pub(super) fn reads_like(name: &str) -> bool {
    name.to_ascii_lowercase().replace('_', "-").starts_with(PREFIX)
}

const fn type_name(token_type: TokenType) -> &'static str {
    match token_type {
        TokenType::ReadOnly => "read_only",
        TokenType::FullAccess => "full_access",
        TokenType::Custom => "custom",
    }
}

/// A text of people's, percent-encoded but for visible ASCII: HTTP trims blanks, so that ` alice` would arrive as `alice`,
/// and leaves it open what other characters are.
fn visible(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            encoded.push(byte.into());
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
