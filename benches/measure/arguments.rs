//! What is said to a benchmark on its command line.

use super::page::Outcome;

/// The number after `--name`, if it is there.
pub(crate) fn number(name: &str, otherwise: usize) -> Outcome<usize> {
    Ok(word(name).map_or(Ok(otherwise), |value| value.parse())?)
}

/// The word after `--name`, if it is there.
pub(crate) fn word(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}
