//! Tables and moments as commands print them.

use std::io::{self, Write as _};
use std::time::SystemTime;

use super::RoleError;

/// A table of texts.
pub(super) struct Table(Vec<Vec<String>>);

impl Table {
    /// With a row of headings.
    pub(super) fn new(headings: &[&str]) -> Self {
        Self(vec![headings.iter().map(ToString::to_string).collect()])
    }

    pub(super) fn add(&mut self, row: impl IntoIterator<Item = String>) {
        self.0.push(row.into_iter().collect());
    }

    /// Prints it in columns.
    pub(super) fn print(&self) -> Result<(), RoleError> {
        let widths = self.widths();
        self.0.iter().try_for_each(|row| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            say(cells.collect::<Vec<_>>().join("  ").trim_end())
        })
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths = Vec::new();
        for row in &self.0 {
            widths.resize(row.len().max(widths.len()), 0);
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        widths
    }
}

/// Prints a line.
pub(super) fn say(line: &str) -> Result<(), RoleError> {
    writeln!(io::stdout(), "{line}").map_err(RoleError::Output)
}

/// A moment to the second, as RFC 3339 writes it.
pub(super) fn moment(time: SystemTime) -> String {
    let told = prost_types::Timestamp::from(time);
    prost_types::Timestamp { nanos: 0, ..told }.to_string()
}
