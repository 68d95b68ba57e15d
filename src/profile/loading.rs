//! Which profiles a server has: those that ship with it, and those of a directory, which go before.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{FileError, Profile, ProfileName, reading};

/// The profiles that ship with the program, by the name of their file.
pub const SHIPPED: [(&str, &str); 5] = [
    ("coolset.toml", include_str!("../../profiles/coolset.toml")),
    ("qualytics.toml", include_str!("../../profiles/qualytics.toml")),
    ("select-star.toml", include_str!("../../profiles/select-star.toml")),
    ("strapi.toml", include_str!("../../profiles/strapi.toml")),
    ("undb.toml", include_str!("../../profiles/undb.toml")),
];

/// Why there are no profiles.
#[derive(Debug, thiserror::Error)]
pub enum ProfilesError {
    /// A file or directory cannot be read.
    #[error("cannot read {}", .path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// Files that are no right profiles, each with all that is wrong with it.
    #[error("{}", lines(.0))]
    Wrong(Vec<FileError>),
}

fn lines(errors: &[FileError]) -> String {
    let files = if errors.len() == 1 { "a profile is" } else { "profiles are" };
    errors.iter().fold(format!("{files} wrong"), |told, error| format!("{told}\n{error}"))
}

/// The shipped profiles and those of every `*.toml` of a directory, by name; one of the directory goes before a shipped one
/// of its name.
///
/// # Errors
/// [`ProfilesError`]; all that is wrong with all files is told at once.
pub fn load(directory: Option<&Path>) -> Result<Vec<Profile>, ProfilesError> {
    let mut profiles: BTreeMap<ProfileName, Profile> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut take = |read: Result<Profile, FileError>| match read {
        Ok(profile) => {
            profiles.insert(profile.name.clone(), profile);
        }
        Err(error) => wrong.push(error),
    };
    for (name, document) in SHIPPED {
        take(read(Path::new(name), document));
    }
    for path in directory.map(files_of).transpose()?.unwrap_or_default() {
        take(read(&path, &text_of(&path)?));
    }
    if wrong.is_empty() { Ok(profiles.into_values().collect()) } else { Err(ProfilesError::Wrong(wrong)) }
}

/// Reads one file.
///
/// # Errors
/// [`ProfilesError`].
pub fn read_file(path: &Path) -> Result<Profile, ProfilesError> {
    read(path, &text_of(path)?).map_err(|error| ProfilesError::Wrong(vec![error]))
}

/// The profiles of a directory, in the order of their names.
fn files_of(directory: &Path) -> Result<Vec<PathBuf>, ProfilesError> {
    let unreadable = |source| ProfilesError::Unreadable { path: directory.to_owned(), source };
    let entries = fs::read_dir(directory).map_err(unreadable)?;
    let paths: Result<Vec<PathBuf>, io::Error> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect();
    let mut paths = paths.map_err(unreadable)?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort_unstable();
    Ok(paths)
}

fn text_of(path: &Path) -> Result<String, ProfilesError> {
    fs::read_to_string(path).map_err(|source| ProfilesError::Unreadable { path: path.to_owned(), source })
}

fn read(path: &Path, document: &str) -> Result<Profile, FileError> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let read = reading::read(document, Some(&stem));
    read.map_err(|problems| FileError { path: path.to_owned(), problems })
}

#[cfg(test)]
mod tests;
