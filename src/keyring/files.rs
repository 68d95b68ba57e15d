//! Key files: reading a directory of them, and writing the first and later ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{Keyring, ServerKey, hexadecimal, replay};
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
    /// The file of the replay keys holds something else.
    #[error(
        "{0}: not a replay key file; remove it if no other server has one, or copy the one of another server"
    )]
    BadReplayKey(PathBuf),
    /// No key at all.
    #[error("{0} holds no key file; make one: openssl rand -hex 32 > {dir}/01.key", dir = .0.display())]
    Empty(PathBuf),
    /// A new key would have the name of another.
    #[error("there is or was a key `{0}` already, and a name is never given twice; choose another, or none")]
    Taken(Kid),
    /// The last name is given.
    #[error("there is no name after the last key's; choose one with --kid")]
    NoNameLeft,
    /// A key cannot be written.
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
        let keys = read_keys(directory)?;
        if keys.is_empty() {
            return Err(KeyringError::Empty(directory.to_owned()));
        }
        Ok(Self::of(keys))
    }
}

fn read_keys(directory: &Path) -> Result<BTreeMap<Kid, ServerKey>, KeyringError> {
    let unreadable = |source| KeyringError::Unreadable { path: directory.to_owned(), source };
    let mut keys = BTreeMap::new();
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "key") {
            let key = read_key(&path)?;
            keys.insert(key.kid(), key);
        }
    }
    Ok(keys)
}

fn read_key(path: &Path) -> Result<ServerKey, KeyringError> {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    let kid = stem.and_then(Kid::parse).ok_or_else(|| KeyringError::BadName(path.to_owned()))?;
    let text = fs::read_to_string(path).map(Zeroizing::new);
    let text = text.map_err(|source| KeyringError::Unreadable { path: path.to_owned(), source })?;
    let master = parse_key(text.trim()).ok_or_else(|| KeyringError::BadContent(path.to_owned()))?;
    ServerKey::derive(kid, &master).map_err(|_| KeyringError::BadContent(path.to_owned()))
}

pub(super) fn parse_key(text: &str) -> Option<Zeroizing<[u8; 32]>> {
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
    let path = key_file(directory, Kid::FIRST);
    fs::create_dir_all(directory).map_err(|source| unwritable(&path, source))?;
    if path.exists() { Ok(()) } else { write_key(&path) }
}

/// Makes another key in a directory, readable to its owner only, and gives it. Its name is the one that is asked for, or
/// else the one after the last of those in the directory and of `listed`.
///
/// # Errors
/// [`KeyringError`]; nothing has changed then. One bad key file is an error here, too.
pub fn create_key(
    directory: &Path,
    name: Option<Kid>,
    listed: &BTreeSet<Kid>,
) -> Result<ServerKey, KeyringError> {
    let unreadable = |source| KeyringError::Unreadable { path: directory.to_owned(), source };
    let held = File::open(directory).map_err(unreadable)?;
    // Two who make a key at once must not find the same name free.
    held.lock().map_err(unreadable)?;
    let keys = read_keys(directory)?;
    let taken: BTreeSet<Kid> = keys.keys().chain(listed).copied().collect();
    let kid = match name {
        Some(kid) if taken.contains(&kid) => return Err(KeyringError::Taken(kid)),
        Some(kid) => kid,
        None => next_name(&taken).ok_or(KeyringError::NoNameLeft)?,
    };
    if keys.is_empty() && !directory.join("replay").exists() {
        // Made along with the first key, it goes wherever that is copied to.
        replay::make_in(directory, replay::today())?;
    }
    let path = key_file(directory, kid);
    write_key(&path)?;
    read_key(&path)
}

fn next_name(taken: &BTreeSet<Kid>) -> Option<Kid> {
    taken.last().map_or(Some(Kid::FIRST), |last| last.successor())
}

/// Where a key of that name is kept.
#[must_use]
pub fn key_file(directory: &Path, kid: Kid) -> PathBuf {
    directory.join(format!("{kid}.key"))
}

fn write_key(path: &Path) -> Result<(), KeyringError> {
    let unwritable = |source| unwritable(path, source);
    let file = PrivateFile::begin(path).map_err(unwritable)?;
    let secret = Secret::generate().map_err(|source| unwritable(io::Error::other(source)))?;
    let text = Zeroizing::new(hexadecimal(secret.expose().iter()));
    file.finish(&text).map_err(unwritable)
}

pub(super) fn unwritable(path: &Path, source: io::Error) -> KeyringError {
    KeyringError::Unwritable { path: path.to_owned(), source }
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
    fn another_key_gets_the_next_name_and_never_one_that_was_given() {
        let directory = tempfile::tempdir().unwrap();
        let make = |name: Option<&str>, listed: &[&str]| {
            let listed = listed.iter().map(|kid| Kid::parse(kid).unwrap()).collect();
            let made = create_key(directory.path(), name.map(|kid| Kid::parse(kid).unwrap()), &listed);
            made.map(|key| key.kid().to_string())
        };
        assert_eq!(make(None, &[]).unwrap(), "01");
        let first = fs::read_to_string(directory.path().join("01.key")).unwrap();
        assert_eq!(make(None, &[]).unwrap(), "02");
        assert_eq!(make(None, &["09"]).unwrap(), "0A");
        assert!(matches!(make(Some("01"), &[]), Err(KeyringError::Taken(_))));
        assert!(matches!(make(Some("0z"), &["0z"]), Err(KeyringError::Taken(_))));
        assert_eq!(make(Some("0z"), &[]).unwrap(), "0z");
        assert_eq!(make(None, &[]).unwrap(), "10");
        assert!(matches!(make(None, &["zz"]), Err(KeyringError::NoNameLeft)));
        assert_eq!(fs::read_to_string(directory.path().join("01.key")).unwrap(), first);
        let mode = fs::metadata(directory.path().join("10.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let keyring = Keyring::read(directory.path()).unwrap();
        let fingerprints: BTreeSet<&str> = keyring.keys().map(ServerKey::fingerprint).collect();
        assert_eq!(fingerprints.len(), 5, "no two keys are alike");
    }

    #[test]
    fn many_who_make_a_key_at_once_get_one_each() {
        let directory = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| create_key(directory.path(), None, &BTreeSet::new()).unwrap());
            }
        });
        assert_eq!(Keyring::read(directory.path()).unwrap().keys().count(), 8);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 9, "and one file of replay keys");
    }

    #[test]
    fn a_keyring_that_is_not_there_is_not_made() {
        let directory = tempfile::tempdir().unwrap();
        let mistyped = directory.path().join("keyrign");
        let refused = create_key(&mistyped, None, &BTreeSet::new());
        assert!(matches!(refused, Err(KeyringError::Unreadable { .. })));
        assert!(!mistyped.exists());
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
