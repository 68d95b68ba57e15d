//! The settings file: flat TOML, whose keys are the names of the flags.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};
use toml::Value;

use super::layers::Layers;
use super::{Origin, SettingsError};
use crate::nearest::nearest;

/// Reads a file whose every key must be one of these settings; `config` is none of a file's.
///
/// # Errors
/// [`SettingsError`] names the file, and the line or the key.
pub(super) fn read(names: &BTreeSet<String>, path: &Path) -> Result<Layers, SettingsError> {
    let text = fs::read_to_string(path).map(SecretString::from);
    let text = text.map_err(|source| SettingsError::Unreadable { path: path.to_owned(), source })?;
    let text = text.expose_secret();
    let table: toml::Table = toml::from_str(text).map_err(|error| not_toml(path, text, &error))?;
    let mut values = Layers::default();
    for (key, value) in table {
        let origin = Origin::Key { key: key.clone(), path: path.to_owned() };
        if key == "config" || !names.contains(&key) {
            return Err(SettingsError::Unknown { origin, nearest: nearest(&key, names).cloned() });
        }
        let value = scalar(value).ok_or_else(|| not_scalar(origin.clone()))?;
        values.insert(key, origin, value);
    }
    Ok(values)
}

/// The value as a flag would have it.
fn scalar(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(truth) => Some(truth.to_string()),
        Value::Float(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
    }
}

fn not_scalar(origin: Origin) -> SettingsError {
    SettingsError::Value { origin, reason: "must be a text, a whole number, true or false".to_owned() }
}

/// The parser's own error repeats the line, which may hold a password: only its reason is kept.
fn not_toml(path: &Path, text: &str, error: &toml::de::Error) -> SettingsError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    SettingsError::NotToml { path: path.to_owned(), line, reason: error.message().to_owned() }
}
