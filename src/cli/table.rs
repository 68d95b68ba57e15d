//! Tables and moments as commands print them.

use std::borrow::Cow;
use std::io::{self, Write};
use std::time::SystemTime;

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr as _;

use super::show::text::clean;

/// A cell: a text on one line, with a style for terminals.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A plain one.
    #[must_use]
    pub fn new(text: impl AsRef<str>) -> Self {
        Self { text: clean(text.as_ref()), style: Style::new() }
    }

    /// One in a colour.
    #[must_use]
    pub fn coloured(text: impl AsRef<str>, colour: AnsiColor) -> Self {
        Self { style: colour.on_default(), ..Self::new(text) }
    }

    /// The name of something.
    #[must_use]
    pub fn name(text: impl AsRef<str>) -> Self {
        Self { style: Style::new().bold(), ..Self::new(text) }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    fn width(&self) -> usize {
        self.text.width()
    }

    /// The cell as it stands in a column; the last one of a row is not filled up.
    fn write(&self, out: &mut impl Write, width: usize) -> io::Result<()> {
        let fill = width.saturating_sub(self.width());
        write!(out, "{}{}{}{:fill$}", self.style, self.text, self.style.render_reset(), "")
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

/// Rows of cells in columns, printed as far as they are there; more may follow.
#[derive(Debug)]
pub struct Table {
    rows: Vec<Vec<Cell>>,
    widths: Vec<usize>,
}

impl Table {
    /// With a row of headings.
    #[must_use]
    pub fn new(headings: &[&str]) -> Self {
        let mut table = Self::without_headings();
        table.add(headings.iter().map(Cell::name));
        table
    }

    /// With rows only.
    #[must_use]
    pub const fn without_headings() -> Self {
        Self { rows: Vec::new(), widths: Vec::new() }
    }

    /// Adds a row.
    pub fn add(&mut self, row: impl IntoIterator<Item = impl Into<Cell>>) {
        let row: Vec<Cell> = row.into_iter().map(Into::into).collect();
        self.widths.resize(self.widths.len().max(row.len()), 0);
        for (width, cell) in self.widths.iter_mut().zip(&row) {
            *width = cell.width().max(*width);
        }
        self.rows.push(row);
    }

    /// Prints what was added since it was printed last.
    ///
    /// # Errors
    /// Those of the output.
    pub fn print(&mut self, out: &mut impl Write) -> io::Result<()> {
        for row in self.rows.drain(..) {
            let filled = row.iter().rposition(|cell| !cell.is_empty()).map_or(0, |last| last + 1);
            for (position, (cell, width)) in row.iter().zip(&self.widths).take(filled).enumerate() {
                let last = position + 1 == filled;
                cell.write(out, if last { 0 } else { *width })?;
                out.write_all(if last { b"" } else { b"  " })?;
            }
            out.write_all(b"\n")?;
        }
        out.flush()
    }
}

/// A moment to the second, as RFC 3339 writes it.
#[must_use]
pub fn moment(time: SystemTime) -> String {
    seconds(prost_types::Timestamp::from(time))
}

/// The same of a moment that a message tells; empty for none.
pub(super) fn told(time: Option<&prost_types::Timestamp>) -> String {
    time.map_or_else(String::new, |time| seconds(*time))
}

fn seconds(time: prost_types::Timestamp) -> String {
    prost_types::Timestamp { nanos: 0, ..time }.to_string()
}

/// What there is, or a sign that there is nothing.
#[must_use]
pub fn or_dash(text: &str) -> Cow<'_, str> {
    if text.is_empty() { Cow::Borrowed("-") } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(table: &mut Table) -> String {
        let mut out = Vec::new();
        table.print(&mut anstream::StripStream::new(&mut out)).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_as_wide_as_what_a_terminal_shows() {
        let mut table = Table::new(&["NAME", "STATE"]);
        table.add([Cell::new("日本語"), Cell::coloured("ACTIVE", AnsiColor::Green)]);
        assert_eq!(printed(&mut table), "NAME    STATE\n日本語  ACTIVE\n");
        table.add([Cell::new("x"), Cell::new("")]);
        assert_eq!(printed(&mut table), "x\n", "what was printed is not printed again");
    }

    #[test]
    fn a_cell_cannot_move_the_cursor_of_a_terminal() {
        let mut table = Table::without_headings();
        table.add([Cell::new("a\u{1b}[2Jb\nc\u{202e}d")]);
        assert_eq!(printed(&mut table), "a\u{fffd}[2Jb c\u{fffd}d\n");
    }
}
