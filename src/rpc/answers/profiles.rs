//! What is told of a profile, for settings pages.

use prost_types::Duration;

use super::{scopes, token_type};
use crate::profile::{
    AudienceChoice, LifetimeChoice, PrefixChoice, Presentation, Profile, RequiredField, ScopeChoice,
    TypeChoice,
};
use crate::proto::v1;

pub(in crate::rpc) fn profile(profile: &Profile) -> v1::Profile {
    v1::Profile {
        name: profile.name.to_string(),
        version: profile.version,
        title: profile.title.as_str().to_owned(),
        tenancy_noun: profile.tenancy_noun.as_str().to_owned(),
        presentation: Some(presentation(&profile.presentation)),
        prefixes: profile.prefixes.iter().map(prefix).collect(),
        required_fields: profile.required.iter().filter_map(|field| word(*field)).collect(),
        lifetimes: profile.lifetimes.iter().map(lifetime).collect(),
        types: profile.types.iter().map(of_type).collect(),
        scopes: profile.scopes.iter().map(scope).collect(),
        audiences: profile.audiences.iter().map(audience).collect(),
        rotation_due_after: profile.rotation_due_after.map(duration),
    }
}

fn presentation(presentation: &Presentation) -> v1::Presentation {
    v1::Presentation {
        header: presentation.header.as_str().to_owned(),
        scheme: presentation.scheme.clone(),
        scheme_case_sensitive: presentation.scheme_case_sensitive,
    }
}

fn prefix(choice: &PrefixChoice) -> v1::PrefixChoice {
    v1::PrefixChoice { label: choice.label.as_str().to_owned(), prefix: choice.prefix.as_str().to_owned() }
}

fn word(field: RequiredField) -> Option<String> {
    RequiredField::WORDS.into_iter().find(|(_, named)| *named == field).map(|(word, _)| word.to_owned())
}

fn lifetime(choice: &LifetimeChoice) -> v1::LifetimeChoice {
    v1::LifetimeChoice { label: choice.label.as_str().to_owned(), lifetime: choice.lifetime.map(duration) }
}

fn of_type(choice: &TypeChoice) -> v1::TypeChoice {
    v1::TypeChoice {
        r#type: token_type(choice.token_type).into(),
        label: choice.label.as_str().to_owned(),
        grants: scopes(choice.grants.iter()),
    }
}

fn scope(choice: &ScopeChoice) -> v1::ScopeChoice {
    v1::ScopeChoice {
        scope: choice.scope.to_string(),
        label: choice.label.as_str().to_owned(),
        description: choice.description.as_str().to_owned(),
    }
}

fn audience(choice: &AudienceChoice) -> v1::AudienceChoice {
    v1::AudienceChoice { audience: choice.audience.to_string(), label: choice.label.as_str().to_owned() }
}

/// Profiles count in days, none of which is beyond a century.
fn duration(duration: std::time::Duration) -> Duration {
    Duration { seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), nanos: 0 }
}
