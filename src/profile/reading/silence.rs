//! Which fields of a profile the product's document leaves unsaid: a default stands there, and is marked as one.

use super::section::{Section, Taken, Value, all};
use crate::nearest::nearest;

/// The most fields that can be marked.
const MOST: usize = 64;

/// By which of its fields an entry of a list is named.
const NAMING: [&str; 4] = ["type", "scope", "audience", "label"];

/// The marked fields, each of which must be there.
pub(super) fn silent(root: &Section<'_>) -> Taken<Vec<String>> {
    let Some(value) = root.optional("silent") else { return Ok(Vec::new()) };
    let mut known = Vec::new();
    collect(root, "", &mut known);
    let taken = value.entries(MOST)?.into_iter().map(|value| {
        let path = value.text()?;
        if known.iter().any(|known| known == path) {
            return Ok(path.to_owned());
        }
        let meant = nearest(path, &known);
        let meant = meant.map_or_else(
            || {
                "; an entry of a list is named by its type, scope, audience or label, like types.custom"
                    .to_owned()
            },
            |meant| format!("; did you mean `{meant}`?"),
        );
        Err(value.note(format!("must be the path of a field that is there{meant}")))
    });
    all(taken)
}

/// The paths of all fields, and of the entries of lists.
fn collect(section: &Section<'_>, before: &str, found: &mut Vec<String>) {
    for (name, value) in section.fields() {
        let path = format!("{before}{name}");
        for entry in value.as_list().unwrap_or_default() {
            collect_entry(&entry, &path, found);
        }
        if let Some(section) = value.as_table() {
            collect(&section, &format!("{path}."), found);
        }
        found.push(path);
    }
}

fn collect_entry(entry: &Value<'_>, list: &str, found: &mut Vec<String>) {
    let Some(section) = entry.as_table() else { return };
    let named = NAMING.iter().find_map(|field| section.optional(field)?.as_text());
    let Some(name) = named else { return };
    let path = format!("{list}.{name}");
    collect(&section, &format!("{path}."), found);
    found.push(path);
}
