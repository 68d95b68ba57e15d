//! What there is to choose from: prefixes, lifetimes, types, scopes, audiences.

use std::collections::BTreeSet;

use super::section::{Section, Taken, Value, all, once};
use super::{days, parsed};
use crate::profile::{
    Audience, AudienceChoice, LifetimeChoice, PrefixChoice, ScopeChoice, TokenType, TypeChoice,
};
use crate::text::{Description, Name};
use crate::token::{Scope, ScopeSet};
use crate::workspace::TokenPrefix;

const MOST_PREFIXES: usize = 16;
const MOST_LIFETIMES: usize = 32;
const MOST_SCOPES: usize = 256;
const MOST_AUDIENCES: usize = 32;

pub(super) const PREFIX: [&str; 2] = ["label", "prefix"];
pub(super) const LIFETIME: [&str; 3] = ["label", "days", "never"];
pub(super) const TYPE: [&str; 3] = ["type", "label", "grants"];
pub(super) const SCOPE: [&str; 3] = ["scope", "label", "description"];
pub(super) const AUDIENCE: [&str; 2] = ["audience", "label"];

/// Takes the tables of a list; one that is not there is empty.
fn tables<Choice>(
    root: &Section<'_>,
    list: &str,
    limit: usize,
    fields: &[&str],
    mut take: impl FnMut(&Section<'_>) -> Taken<Choice>,
) -> Taken<Vec<Choice>> {
    let Some(value) = root.optional(list) else { return Ok(Vec::new()) };
    all(value.entries(limit)?.into_iter().map(|entry| take(&entry.section(fields)?)))
}

/// Takes a field by which the entries of a list differ.
fn distinct<Word: Ord + Clone>(
    value: Taken<Value<'_>>,
    met: &mut BTreeSet<Word>,
    take: impl FnOnce(&Value<'_>) -> Taken<Word>,
) -> Taken<Word> {
    let value = value?;
    let word = take(&value)?;
    once(met, &value, word.clone()).map(|()| word)
}

fn label(section: &Section<'_>, met: &mut BTreeSet<Name>) -> Taken<Name> {
    distinct(section.required("label", "label = \"Production\""), met, |value| value.parsed(Name::parse))
}

pub(super) fn prefixes(root: &Section<'_>) -> Taken<Vec<PrefixChoice>> {
    let (mut labels, mut prefixes) = (BTreeSet::new(), BTreeSet::new());
    tables(root, "prefixes", MOST_PREFIXES, &PREFIX, |section| {
        let label = label(section, &mut labels);
        let field = section.required("prefix", "prefix = \"sk_live\"");
        let prefix = distinct(field, &mut prefixes, |value| value.text().map(str::to_owned));
        let prefix = prefix.and_then(|_| parsed(section, "prefix", "", TokenPrefix::parse));
        Ok(PrefixChoice { label: label?, prefix: prefix? })
    })
}

pub(super) fn lifetimes(root: &Section<'_>) -> Taken<Vec<LifetimeChoice>> {
    let (mut labels, mut lifetimes) = (BTreeSet::new(), BTreeSet::new());
    tables(root, "lifetimes", MOST_LIFETIMES, &LIFETIME, |section| {
        let label = label(section, &mut labels);
        let (days_field, never) = (section.optional("days"), section.optional("never"));
        let lifetime = match (days_field, never) {
            (Some(days_field), None) => {
                distinct(Ok(days_field), &mut lifetimes, |value| days(value).map(Some))
            }
            (None, Some(never)) => distinct(Ok(never), &mut lifetimes, |value| {
                if value.boolean()? { Ok(None) } else { Err(value.note("must be true, or be left out")) }
            }),
            (None, None) => Err(section.note("needs `days = 30`, or `never = true`")),
            (Some(_), Some(_)) => Err(section.note("has both `days` and `never`: leave one of them out")),
        };
        Ok(LifetimeChoice { label: label?, lifetime: lifetime? })
    })
}

/// Takes the types, whose grants must have to do with the catalogue, if there is one.
pub(super) fn types(root: &Section<'_>, catalogue: &[ScopeChoice]) -> Taken<Vec<TypeChoice>> {
    let list = root.required("types", "[[types]]")?;
    let (mut types, mut labels) = (BTreeSet::new(), BTreeSet::new());
    let taken = tables(root, "types", TokenType::WORDS.len(), &TYPE, |section| {
        let field = section.required("type", "type = \"custom\"");
        let token_type = distinct(field, &mut types, |value| value.word(&TokenType::WORDS));
        let label = label(section, &mut labels);
        let grants = grants(section, token_type?, catalogue);
        Ok(TypeChoice { token_type: token_type?, label: label?, grants: grants? })
    })?;
    if taken.is_empty() {
        return Err(list.note("must have at least one type"));
    }
    Ok(taken)
}

fn grants(section: &Section<'_>, token_type: TokenType, catalogue: &[ScopeChoice]) -> Taken<ScopeSet> {
    match (token_type, section.optional("grants")) {
        (TokenType::Custom, None) => Ok(ScopeSet::default()),
        (TokenType::Custom, Some(value)) => {
            Err(value.note("must be left out: a custom token has the scopes that it is given"))
        }
        (TokenType::ReadOnly | TokenType::FullAccess, _) => {
            granted(&section.required("grants", "grants = [\"orders:read\"]")?, catalogue)
        }
    }
}

fn granted(value: &Value<'_>, catalogue: &[ScopeChoice]) -> Taken<ScopeSet> {
    let mut met = BTreeSet::new();
    let entries = value.entries(ScopeSet::LIMIT)?;
    if entries.is_empty() {
        return Err(value.note("must have at least one scope, like \"orders:read\", or \"*\" for all"));
    }
    let scopes = entries.into_iter().map(|value| {
        let scope = distinct(Ok(value.clone()), &mut met, scope)?;
        let known = |choice: &ScopeChoice| choice.allows(&scope) || scope.grants(&choice.scope);
        if catalogue.is_empty() || catalogue.iter().any(known) {
            return Ok(scope);
        }
        let scopes: Vec<&str> = catalogue.iter().map(|choice| choice.scope.as_str()).collect();
        Err(value.note(format!(
            "must be one of the scopes under [[scopes]]{}",
            super::section::meant(scope.as_str(), &scopes)
        )))
    });
    ScopeSet::new(all(scopes)?).map_err(|invalid| value.note(invalid.to_string()))
}

/// Takes a scope of the product.
fn scope(value: &Value<'_>) -> Taken<Scope> {
    let scope = value.parsed(Scope::parse)?;
    if scope.is_reserved() {
        return Err(value.note(
            "must be a scope of the product: those under tokenkeep: give power over tokenkeep itself",
        ));
    }
    Ok(scope)
}

pub(super) fn scopes(root: &Section<'_>) -> Taken<Vec<ScopeChoice>> {
    let (mut scopes, mut labels) = (BTreeSet::new(), BTreeSet::new());
    tables(root, "scopes", MOST_SCOPES, &SCOPE, |section| {
        let field = section.required("scope", "scope = \"orders:read\"");
        let scope = distinct(field, &mut scopes, scope);
        let label = label(section, &mut labels);
        let description = section.optional("description");
        let description = description.map_or_else(
            || Description::parse(String::new()).map_err(|invalid| section.note(&invalid.to_string())),
            |value| value.parsed(Description::parse),
        );
        Ok(ScopeChoice { scope: scope?, label: label?, description: description? })
    })
}

pub(super) fn audiences(root: &Section<'_>) -> Taken<Vec<AudienceChoice>> {
    let (mut audiences, mut labels) = (BTreeSet::new(), BTreeSet::new());
    tables(root, "audiences", MOST_AUDIENCES, &AUDIENCE, |section| {
        let field = section.required("audience", "audience = \"scim\"");
        let audience = distinct(field, &mut audiences, |value| value.parsed(Audience::parse));
        Ok(AudienceChoice { audience: audience?, label: label(section, &mut labels)? })
    })
}
