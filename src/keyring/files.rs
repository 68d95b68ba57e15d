//! Key files: reading a directory of them, and writing the first.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{Keyring, ServerKey, hexadecimal};
use crate::private_file::PrivateFile;
use crate::token::{Kid, Secret};

/// Why the keyring cannot be used. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The directory or a file in it cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// A `.key` file whose name is not two base62 characters.
    #[error("{0}: a key file is named by two characters of 0-9, A-Z, a-z, like 01.key")]
    BadName(PathBuf),
    /// A file that does not hold a key.
    #[error("{0}: a key file holds 64 hexadecimal digits, as `openssl rand -hex 32` writes them")]
    BadContent(PathBuf),
    /// No key at all.
    #[error("{0} holds no key file; make one: openssl rand -hex 32 > {dir}/01.key", dir = .0.display())]
    Empty(PathBuf),
    /// The first key cannot be written.
    #[error("cannot write {path}")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
}

impl Keyring {
    /// Reads every `<kid>.key` in a directory; other files are left alone.
    ///
    /// # Errors
    /// [`KeyringError`], naming the file. One bad key file is an error, for tokens may depend on it.
    pub fn read(directory: &Path) -> Result<Self, KeyringError> {
        let unreadable = |source| KeyringError::Unreadable { path: directory.to_owned(), source };
        let mut keys = BTreeMap::new();
        for entry in fs::read_dir(directory).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|extension| extension == "key") {
                let key = read_key(&path)?;
                keys.insert(key.kid(), key);
            }
        }
        if keys.is_empty() {
            return Err(KeyringError::Empty(directory.to_owned()));
        }
        Ok(Self::of(keys))
    }
}

fn read_key(path: &Path) -> Result<ServerKey, KeyringError> {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    let kid = stem.and_then(Kid::parse).ok_or_else(|| KeyringError::BadName(path.to_owned()))?;
    let text = fs::read_to_string(path).map(Zeroizing::new);
    let text = text.map_err(|source| KeyringError::Unreadable { path: path.to_owned(), source })?;
    let master = parse_key(text.trim()).ok_or_else(|| KeyringError::BadContent(path.to_owned()))?;
    ServerKey::derive(kid, &master).map_err(|_| KeyringError::BadContent(path.to_owned()))
}

fn parse_key(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut key = Zeroizing::new([0; 32]);
    for (position, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * position..2 * position + 2)?, 16).ok()?;
    }
    Some(key)
}

/// Makes a directory with a first key in it, unless it has one; files are readable to their owner only.
///
/// # Errors
/// [`KeyringError::Unwritable`].
pub fn create_first_key(directory: &Path) -> Result<(), KeyringError> {
    let path = directory.join(format!("{}.key", Kid::FIRST));
    let unwritable = |source| KeyringError::Unwritable { path: path.clone(), source };
    fs::create_dir_all(directory).map_err(unwritable)?;
    if path.exists() {
        return Ok(());
    }
    let file = PrivateFile::begin(&path).map_err(unwritable)?;
    let secret = Secret::generate().map_err(|source| unwritable(io::Error::other(source)))?;
    let text = Zeroizing::new(hexadecimal(secret.expose().iter()));
    file.finish(&text).map_err(unwritable)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_first_key_is_made_once_and_for_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        create_first_key(directory.path()).unwrap();
        let path = directory.path().join("01.key");
        let first = fs::read_to_string(&path).unwrap();
        create_first_key(directory.path()).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), first);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(Keyring::read(directory.path()).unwrap().keys().count(), 1);
    }

    #[test]
    fn a_bad_key_file_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(Keyring::read(directory.path()), Err(KeyringError::Empty(_))));
        fs::write(directory.path().join("01.key"), "short").unwrap();
        assert!(matches!(Keyring::read(directory.path()), Err(KeyringError::BadContent(_))));
        fs::rename(directory.path().join("01.key"), directory.path().join("first.key")).unwrap();
        assert!(matches!(Keyring::read(directory.path()), Err(KeyringError::BadName(_))));
    }
}
