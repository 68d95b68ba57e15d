//! Lines and tables as roles print them.

use std::io::{self, Write as _};

use super::RoleError;
pub(super) use crate::cli::table::{Table, moment};

/// Prints a line.
pub(super) fn say(line: &str) -> Result<(), RoleError> {
    writeln!(io::stdout(), "{line}").map_err(RoleError::Output)
}

/// Prints a table.
pub(super) fn print(mut table: Table) -> Result<(), RoleError> {
    table.print(&mut anstream::stdout().lock()).map_err(RoleError::Output)
}
