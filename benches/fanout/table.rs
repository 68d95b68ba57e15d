//! The rows that both tables of the page are made of.

use crate::spread::latencies::Latencies;

/// A row: what, how many times and what they were, the goal and whether it is reached.
pub(crate) fn row(name: &str, count: usize, times: &Latencies, goal: &str, met: &str) -> String {
    format!("| {name} | {count} | {} | {goal} | {met} |\n", times.cells())
}

/// Whether a goal is reached.
pub(crate) const fn yes(met: bool) -> &'static str {
    if met { "yes" } else { "**no**" }
}
