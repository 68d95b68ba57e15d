//! From the text of a file to a profile, or to everything that is wrong with it.

mod choices;
mod responses;
mod section;
mod silence;

use std::collections::BTreeSet;
use std::time::Duration;

use http::HeaderName;
use toml::de::DeTable;

use super::{Presentation, PrincipalKind, Problem, Profile, ProfileName, RequiredField, TokenType};
use crate::text::Name;
use section::{Notes, Section, Taken, Value, all, once};

/// The most bytes of a file, as many as the database takes.
const LARGEST: usize = 262_144;

/// A day, by which a file counts.
const DAY: Duration = Duration::from_hours(24);

/// The longest lifetime: 100 years.
const MOST_DAYS: i64 = 36_525;

/// Headers that belong to one connection or frame the message, so that a proxy changes them, and that of its own
/// credential.
const NOT_END_TO_END: [&str; 11] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// How the headers begin by which the edge says who a client is. To many products `_` and `-` are the same.
const IDENTITY: &str = "x-tokenkeep-";

const PROFILE: [&str; 16] = [
    "name",
    "version",
    "title",
    "tenancy_noun",
    "required",
    "principal_kinds",
    "external_ids",
    "rotation_due_after_days",
    "silent",
    "presentation",
    "prefixes",
    "lifetimes",
    "types",
    "scopes",
    "audiences",
    "responses",
];
const PRESENTATION: [&str; 3] = ["header", "scheme", "scheme_case_sensitive"];

impl Profile {
    /// Reads a profile from what stands in its file.
    ///
    /// # Errors
    /// All that is wrong, from top to bottom.
    pub fn parse(document: &str) -> Result<Self, Vec<Problem>> {
        read(document, None)
    }
}

/// Reads a profile; from a file, whose name without `.toml` it must bear.
pub(super) fn read(document: &str, file_stem: Option<&str>) -> Result<Profile, Vec<Problem>> {
    let notes = Notes::default();
    if document.len() > LARGEST {
        notes.note(0, format!("a profile must be at most {LARGEST} bytes long"));
        return Err(notes.into_problems(document));
    }
    let (table, errors) = DeTable::parse_recoverable(document);
    for error in &errors {
        let offset = error.span().map_or(0, |span| span.start);
        notes.note(offset, format!("this is not TOML: {}", error.message().replace('\n', "; ")));
    }
    if !errors.is_empty() {
        return Err(notes.into_problems(document));
    }
    let profile = profile(&Section::root(&notes, table.get_ref(), &PROFILE), file_stem, document);
    let problems = notes.into_problems(document);
    profile.ok().filter(|_| problems.is_empty()).ok_or(problems)
}

fn profile(root: &Section<'_>, file_stem: Option<&str>, document: &str) -> Taken<Profile> {
    let name = name(root, file_stem);
    let version = root.required("version", "version = 1").and_then(|value| value.number(1..=i32::MAX.into()));
    let title = parsed(root, "title", "title = \"Acme\"", Name::parse);
    let tenancy_noun = parsed(root, "tenancy_noun", "tenancy_noun = \"workspace\"", Name::parse);
    let principal_kinds = principal_kinds(root);
    let external_ids = root.optional("external_ids").map_or(Ok(false), |value| value.boolean());
    let rotation = root.optional("rotation_due_after_days").map(|value| days(&value)).transpose();
    let silent = silence::silent(root);
    let presentation = root.required("presentation", "[presentation]").and_then(|value| presentation(&value));
    let prefixes = choices::prefixes(root);
    let lifetimes = choices::lifetimes(root);
    let scopes = choices::scopes(root);
    let types = choices::types(root, scopes.as_deref().unwrap_or_default());
    let audiences = choices::audiences(root);
    let takes_scopes =
        |types: &Vec<super::TypeChoice>| types.iter().any(|choice| choice.token_type == TokenType::Custom);
    let required = required(root, types.as_ref().map_or(true, takes_scopes));
    let responses = responses::responses(root);
    Ok(Profile {
        name: name?,
        version: version?,
        title: title?,
        tenancy_noun: tenancy_noun?,
        required: required?,
        principal_kinds: principal_kinds?,
        external_ids: external_ids?,
        rotation_due_after: rotation?,
        silent: silent?,
        presentation: presentation?,
        prefixes: prefixes?,
        lifetimes: lifetimes?,
        types: types?,
        scopes: scopes?,
        audiences: audiences?,
        responses: responses?,
        document: document.to_owned(),
    })
}

/// Takes a text field that must be there, by its type's own rule.
fn parsed<Word, Broken: ToString>(
    section: &Section<'_>,
    field: &str,
    example: &str,
    parse: fn(String) -> Result<Word, Broken>,
) -> Taken<Word> {
    section.required(field, example)?.parsed(parse)
}

fn name(root: &Section<'_>, file_stem: Option<&str>) -> Taken<ProfileName> {
    let value = root.required("name", "name = \"acme\"")?;
    let name = value.parsed(ProfileName::parse)?;
    match file_stem {
        Some(stem) if stem != name.as_str() => Err(value
            .note(format!("must be the file's name, {stem}: change it, or rename the file to {name}.toml"))),
        Some(_) | None => Ok(name),
    }
}

fn days(value: &Value<'_>) -> Taken<Duration> {
    value.number::<u32>(1..=MOST_DAYS).map(|days| DAY * days)
}

/// Takes a list of words, each at most once.
fn words<Word: Copy + Ord>(value: &Value<'_>, words: &[(&str, Word)]) -> Taken<Vec<Word>> {
    let mut met = BTreeSet::new();
    let taken = value.entries(words.len())?.into_iter().map(|value| {
        let word = value.word(words)?;
        once(&mut met, &value, word).map(|()| word)
    });
    all(taken)
}

fn required(root: &Section<'_>, some_type_takes_scopes: bool) -> Taken<Vec<RequiredField>> {
    let Some(value) = root.optional("required") else { return Ok(Vec::new()) };
    let required = words(&value, &RequiredField::WORDS)?;
    if required.contains(&RequiredField::Scopes) && !some_type_takes_scopes {
        return Err(value.note(
            "must not name scopes: only tokens of the type custom are given any, and `types` has none",
        ));
    }
    Ok(required)
}

fn principal_kinds(root: &Section<'_>) -> Taken<Vec<PrincipalKind>> {
    let all_kinds = || PrincipalKind::WORDS.map(|(_, kind)| kind).to_vec();
    let Some(value) = root.optional("principal_kinds") else { return Ok(all_kinds()) };
    match words(&value, &PrincipalKind::WORDS)? {
        none if none.is_empty() => Err(value.note("must name one kind at least, or be left out for both")),
        kinds => Ok(kinds),
    }
}

fn presentation(value: &Value<'_>) -> Taken<Presentation> {
    let section = value.section(&PRESENTATION)?;
    let header =
        section.required("header", "header = \"authorization\"").and_then(|value| credential_header(&value));
    let scheme = section.required("scheme", "scheme = \"Bearer\"").and_then(|value| scheme(&value));
    let case = section.optional("scheme_case_sensitive");
    let sensitive = case.as_ref().map_or(Ok(false), Value::boolean);
    if let (Ok(""), Ok(true), Some(case)) = (scheme.as_deref(), sensitive, &case) {
        return Err(case.note("must be left out where there is no scheme"));
    }
    Ok(Presentation { header: header?, scheme: scheme?, scheme_case_sensitive: sensitive? })
}

fn credential_header(value: &Value<'_>) -> Taken<HeaderName> {
    let text = value.text()?;
    if text.to_ascii_lowercase().replace('_', "-").starts_with(IDENTITY) {
        return Err(value.note(format!("must not begin with {IDENTITY}: the edge says so who a client is")));
    }
    header_name(value, text)
}

/// Takes the name of a header that reaches the other end.
fn header_name(value: &Value<'_>, name: &str) -> Taken<HeaderName> {
    let lower = name.to_ascii_lowercase();
    if lower != name {
        return Err(value.note(format!("must be in lower case: {lower}")));
    }
    if NOT_END_TO_END.contains(&name) {
        return Err(value.note("must be a header that proxies pass on, like authorization or x-api-token"));
    }
    let wanted = "must be the name of a header: 1 to 64 characters of a-z, 0-9 and !#$%&'*+-.^_`|~";
    let parsed = Some(name).filter(|name| name.len() <= 64).and_then(|name| name.parse().ok());
    parsed.ok_or_else(|| value.note(wanted))
}

fn scheme(value: &Value<'_>) -> Taken<String> {
    let text = value.text()?;
    // RFC 9110, section 5.6.2: a token.
    let welcome = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if text.len() <= 64 && text.bytes().all(welcome) {
        return Ok(text.to_owned());
    }
    Err(value.note("must be one word like Bearer, of at most 64 letters, digits and !#$%&'*+-.^_`|~"))
}

#[cfg(test)]
mod tests;
