//! Profiles: what there is to choose from.

use super::Details;
use super::text::{duration, list, word};
use crate::cli::table::Cell;
use crate::proto::v1;

impl Details for v1::GetWorkspaceProfileResponse {
    fn details(&self) -> Vec<(&'static str, Cell)> {
        self.profile.as_ref().map(of).unwrap_or_default()
    }
}

fn of(profile: &v1::Profile) -> Vec<(&'static str, Cell)> {
    let mut details = vec![
        ("name", Cell::new(&profile.name)),
        ("version", Cell::new(profile.version.to_string())),
        ("title", Cell::new(&profile.title)),
        ("a workspace is a", Cell::new(&profile.tenancy_noun)),
        ("presented as", Cell::new(presented(profile))),
        ("required fields", Cell::new(list(&profile.required_fields))),
        ("rotation due after", Cell::new(duration(profile.rotation_due_after.as_ref()))),
    ];
    let prefixes = profile.prefixes.iter().map(|it| ("prefix", format!("{} ({})", it.prefix, it.label)));
    let lifetimes = profile.lifetimes.iter().map(|it| ("lifetime", lifetime(it)));
    let types = profile.types.iter().map(|it| ("type", kind(it)));
    let scopes = profile.scopes.iter().map(|it| ("scope", format!("{} ({})", it.scope, it.label)));
    let audiences =
        profile.audiences.iter().map(|it| ("audience", format!("{} ({})", it.audience, it.label)));
    let choices = prefixes.chain(lifetimes).chain(types).chain(scopes).chain(audiences);
    details.extend(choices.map(|(name, choice)| (name, Cell::new(choice))));
    details
}

fn presented(profile: &v1::Profile) -> String {
    let presentation = profile.presentation.clone().unwrap_or_default();
    let scheme =
        if presentation.scheme.is_empty() { String::new() } else { format!("{} ", presentation.scheme) };
    format!("{}: {scheme}<token>", presentation.header)
}

fn lifetime(choice: &v1::LifetimeChoice) -> String {
    let long = choice.lifetime.as_ref();
    let long = long.map_or_else(|| "never expires".to_owned(), |long| duration(Some(long)));
    format!("{long} ({})", choice.label)
}

fn kind(choice: &v1::TypeChoice) -> String {
    let grants = if choice.grants.is_empty() { String::new() } else { format!(": {}", list(&choice.grants)) };
    format!("{} ({}){grants}", word(choice.r#type().as_str_name(), "TOKEN_TYPE_"), choice.label)
}
