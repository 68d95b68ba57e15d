//! `tokenkeep profile check`: says of files whether they are right profiles.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use super::RoleError;
use crate::profile::{FileError, ProfilesError, read_file};

/// Prints a line for each right file, and fails with all that is wrong with the others.
pub(super) fn run(files: &[PathBuf]) -> Result<ExitCode, RoleError> {
    let mut wrong: Vec<FileError> = Vec::new();
    for path in files {
        match read_file(path) {
            Ok(profile) => {
                let (path, name, version) = (path.display(), &profile.name, profile.version);
                let printed =
                    writeln!(io::stdout(), "{path}: the profile {name}, version {version}, is right");
                printed.map_err(RoleError::Output)?;
            }
            Err(ProfilesError::Wrong(errors)) => wrong.extend(errors),
            Err(unreadable @ ProfilesError::Unreadable { .. }) => return Err(unreadable.into()),
        }
    }
    if wrong.is_empty() { Ok(ExitCode::SUCCESS) } else { Err(ProfilesError::Wrong(wrong).into()) }
}
