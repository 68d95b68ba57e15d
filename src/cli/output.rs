//! Where answers go: tables for people, JSON lines for programs.

use std::io::{self, IsTerminal as _, Write as _};

use prost::{Message, Name};

use super::error::CliError;
use super::json;
use super::show::{Details, Row};
use super::table::{Cell, Table};
use crate::settings::client;

/// How answers are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    json: bool,
}

impl Output {
    /// As was asked for, or as the standard output is.
    pub(super) fn new(asked: client::Output) -> Self {
        let json = match asked {
            client::Output::Auto => !io::stdout().is_terminal(),
            client::Output::Table => false,
            client::Output::Json => true,
        };
        Self { json }
    }

    /// Whether somebody reads it, and not a program.
    pub(super) const fn is_for_people(self) -> bool {
        !self.json
    }

    /// Writes one answer.
    pub(super) fn answer<M: Message + Name + Details>(self, answer: &M) -> Result<(), CliError> {
        if self.json {
            return say(&json::line(answer)?);
        }
        details(answer).print(&mut anstream::stdout().lock()).map_err(CliError::Output)
    }

    /// Begins a list.
    pub(super) fn list<M: Message + Name + Row>(self) -> List {
        List { output: self, table: Table::new(M::HEADINGS), count: 0 }
    }
}

fn say(line: &str) -> Result<(), CliError> {
    writeln!(io::stdout(), "{line}").map_err(CliError::Output)
}

/// A list that is written as it comes; its columns grow if they must.
pub(super) struct List {
    output: Output,
    table: Table,
    count: usize,
}

impl List {
    /// Writes more of it.
    pub(super) fn add<M: Message + Name + Row>(&mut self, rows: &[M]) -> Result<(), CliError> {
        self.count += rows.len();
        if self.output.json {
            return rows.iter().try_for_each(|row| say(&json::line(row)?));
        }
        if rows.is_empty() {
            return Ok(());
        }
        for row in rows {
            self.table.add(row.cells());
        }
        self.table.print(&mut anstream::stdout().lock()).map_err(CliError::Output)
    }

    /// Ends it; tells somebody who looks on that there was nothing.
    pub(super) fn end(self) {
        if self.count == 0 && !self.output.json {
            note("none");
        }
    }
}

/// A table of the details of something.
pub(super) fn details<M: Details>(answer: &M) -> Table {
    let mut table = Table::without_headings();
    for (name, value) in answer.details() {
        if !value.is_empty() {
            table.add([Cell::name(name), value]);
        }
    }
    table
}

/// Tells a person something beside the answer.
pub(super) fn note(text: &str) {
    // Whoever closed our error stream does not want to read this.
    let _ = writeln!(anstream::stderr(), "{text}");
}
