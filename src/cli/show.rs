//! What people are shown of an answer: which columns a list has, and which lines a thing.

mod audit;
mod event;
mod introspection;
mod principal;
mod profile;
pub(super) mod text;
mod token;
mod workspace;

use super::table::Cell;

/// A message that is a row of a list.
pub(super) trait Row {
    /// The headings of the columns.
    const HEADINGS: &'static [&'static str];

    /// The row.
    fn cells(&self) -> Vec<Cell>;
}

/// A message that is shown line by line.
pub(super) trait Details {
    /// The lines: a name and a value each; those without a value are left out.
    fn details(&self) -> Vec<(&'static str, Cell)>;
}
