//! `version`: what this program was built from, and for what.

use std::io::{self, Write as _};
use std::process::ExitCode;

use super::RoleError;

/// Set `BUILD_COMMIT` when building to have it told.
const COMMIT: Option<&str> = option_env!("BUILD_COMMIT");

/// Prints one line.
pub(super) fn run() -> Result<ExitCode, RoleError> {
    let commit = COMMIT.unwrap_or("unknown");
    let (version, target) = (env!("CARGO_PKG_VERSION"), env!("BUILD_TARGET"));
    let printed = writeln!(io::stdout(), "tokenkeep {version} (commit {commit}, {target})");
    printed.map_err(RoleError::Output)?;
    Ok(ExitCode::SUCCESS)
}
