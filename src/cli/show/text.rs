//! Words and numbers of messages as people read them.

use std::collections::BTreeMap;

/// A text on one line that a terminal can do nothing with but show it: line breaks become blanks, other control characters
/// and those that turn the direction of writing are replaced.
pub(in crate::cli) fn clean(text: &str) -> String {
    let shown = |character: char| match character {
        '\n' | '\t' => ' ',
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => char::REPLACEMENT_CHARACTER,
        control if control.is_control() => char::REPLACEMENT_CHARACTER,
        other => other,
    };
    text.chars().map(shown).collect()
}

/// The name of an enum's value as people write it: `TOKEN_STATE_ACTIVE` after `TOKEN_STATE_` is `ACTIVE`; empty if it is
/// not set.
pub(super) fn word(name: &str, prefix: &str) -> String {
    let word = name.strip_prefix(prefix).unwrap_or(name);
    if word == "UNSPECIFIED" { String::new() } else { word.to_owned() }
}

/// Several on one line.
pub(super) fn list(entries: &[String]) -> String {
    entries.join(", ")
}

/// Labels on one line.
pub(super) fn labels(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
}

/// A number; empty for 0.
pub(super) fn number(number: impl Into<i64>) -> String {
    let number = number.into();
    if number == 0 { String::new() } else { number.to_string() }
}

/// A yes; empty for no.
pub(super) fn yes(truth: bool) -> &'static str {
    if truth { "yes" } else { "" }
}

/// How long, in the largest unit that it is a whole number of; empty for not set.
pub(super) fn duration(duration: Option<&prost_types::Duration>) -> String {
    let Some(seconds) = duration.map(|duration| duration.seconds) else { return String::new() };
    let units = [(86_400, 'd'), (3_600, 'h'), (60, 'm')];
    let unit = units.iter().find(|(unit, _)| seconds != 0 && seconds % unit == 0);
    unit.map_or_else(|| format!("{seconds}s"), |(unit, name)| format!("{}{name}", seconds / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_told_as_it_can_be_said() {
        let told = |seconds| duration(Some(&prost_types::Duration { seconds, nanos: 0 }));
        assert_eq!([0, 1, 90, 120, 7_200, 2_592_000].map(told), ["0s", "1s", "90s", "2m", "2h", "30d"]);
    }
}
