//! The directory of one cluster: what is in it, whose it is, and the lock that keeps a second process out.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process,
};

use super::{Error, PORT, account::Account};

/// The longest path of a Unix socket, without the closing zero: the system's limit on Linux.
const LONGEST_SOCKET_PATH: usize = 107;

/// Where a short socket directory may be, best first.
const SHORT_PARENTS: [&str; 2] = ["/run", "/tmp"];

/// How many lines of the log an error shows.
const LAST_LINES: usize = 12;

/// The directory of a cluster, locked for this process.
///
/// It holds `data` (PostgreSQL's own), `socket` (a directory, or a link to a shorter one), `postgres.log`
/// and `lock`. Only `data` and `socket` belong to the account that PostgreSQL runs as.
#[derive(Debug)]
pub(super) struct Home {
    path: PathBuf,
    log_file: PathBuf,
    account: Account,
    _lock: File,
}

/// The directory of the server's socket; one that had to be elsewhere is removed when this is dropped.
#[derive(Debug)]
pub(super) struct SocketDirectory {
    path: PathBuf,
    elsewhere: bool,
}

// === impl Home ===

impl Home {
    /// Makes the directory where it is missing, and locks it until dropped.
    /// Fails before anything is made if PostgreSQL's account could not get there.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let path = std::path::absolute(path).map_err(Error::file("find", path))?;
        let account = Account::choose(&path.join("data"))?;
        account.check_way(&path)?;
        create_passable(&path).map_err(Error::file("create", &path))?;
        let path = path.canonicalize().map_err(Error::file("find", &path))?;
        account.check_way(&path)?;
        let lock = lock(&path)?;
        Ok(Self { log_file: path.join("postgres.log"), path, account, _lock: lock })
    }

    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    pub(super) fn log_file(&self) -> &Path {
        &self.log_file
    }

    /// The major version that made the cluster, or nothing if there is no cluster yet.
    pub(super) fn major(&self) -> Result<Option<u32>, Error> {
        let path = self.data().join("PG_VERSION");
        match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map(Some).map_err(|_not_a_number| {
                Error::file("read a version from", &path)(io::ErrorKind::InvalidData.into())
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::file("read", &path)(error)),
        }
    }

    /// Opens the log to append to it; others may not read it, since statements can be in it.
    pub(super) fn open_log(&self) -> Result<File, Error> {
        let open = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.log_file);
        open.map_err(Error::file("open", &self.log_file))
    }

    /// The last lines that were logged from `start`, a position in bytes, on.
    pub(super) fn last_words(&self, start: u64) -> String {
        let mut text = Vec::new();
        let read = File::open(&self.log_file).and_then(|mut file| {
            file.seek(SeekFrom::Start(start))?;
            file.read_to_end(&mut text)
        });
        if let Err(error) = read {
            return format!("({}: {error})", self.log_file.display());
        }
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines.iter().skip(lines.len().saturating_sub(LAST_LINES)).copied().collect::<Vec<_>>().join("\n")
    }

    /// Makes an empty directory in place of `name`, for the account alone.
    pub(super) fn private_directory(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        clear(&path).map_err(Error::file("remove", &path))?;
        self.make_private(&path).map_err(Error::file("create", &path))?;
        Ok(path)
    }

    /// A directory for the socket that only the account may enter, with a path short enough.
    ///
    /// A link to a directory elsewhere is kept while the process lives, so that the next start
    /// uses again what a killed one left.
    pub(super) fn socket_directory(&self) -> Result<SocketDirectory, Error> {
        let path = self.path.join("socket");
        if is_short(&path) {
            if !self.is_private(&path) {
                self.private_directory("socket")?;
            }
            return Ok(SocketDirectory { path, elsewhere: false });
        }
        match fs::read_link(&path) {
            Ok(left) if self.is_private(&left) => Ok(SocketDirectory { path: left, elsewhere: true }),
            _ => self.short_directory(&path),
        }
    }

    fn short_directory(&self, link: &Path) -> Result<SocketDirectory, Error> {
        clear(link).map_err(Error::file("remove", link))?;
        let [best, other] = SHORT_PARENTS.map(Path::new);
        let made = self.make_unused(best).or_else(|_closed| self.make_unused(other));
        let path = made.map_err(Error::file("create a socket directory for", link))?;
        symlink(&path, link).map_err(Error::file("create", link))?;
        Ok(SocketDirectory { path, elsewhere: true })
    }

    fn make_unused(&self, parent: &Path) -> io::Result<PathBuf> {
        for number in 0..1_000 {
            let path = parent.join(format!("tokenkeep-{}-{number}", process::id()));
            match self.make_private(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made.map(|()| path),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn make_private(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)?;
        self.account.give(path)
    }

    /// Whether `path` is a directory, not a link, that only the account may enter.
    fn is_private(&self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|metadata| {
            let closed = metadata.mode() & 0o777 == 0o700;
            metadata.is_dir() && closed && metadata.uid() == self.account.user()
        })
    }
}

// === impl SocketDirectory ===

impl SocketDirectory {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketDirectory {
    fn drop(&mut self) {
        if self.elsewhere {
            // PostgreSQL removed its socket when it ended; if not, the next start uses the directory again.
            let _left = fs::remove_dir(&self.path);
        }
    }
}

/// Creates `path` and what is missing above it so that any account may pass, whatever the umask.
pub(super) fn create_passable(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    path.parent().map_or(Ok(()), create_passable)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.and_then(|()| fs::set_permissions(path, Permissions::from_mode(0o711))),
    }
}

fn is_short(directory: &Path) -> bool {
    let socket = directory.join(format!(".s.PGSQL.{PORT}"));
    socket.as_os_str().len() <= LONGEST_SOCKET_PATH
}

fn clear(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The lock goes with the process, however that ends; the number in the file is for the error alone.
fn lock(directory: &Path) -> Result<File, Error> {
    let path = directory.join("lock");
    let open = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
    let mut file = open.map_err(Error::file("open", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(in_use(directory, file)),
        Err(TryLockError::Error(error)) => return Err(Error::file("lock", &path)(error)),
    }
    let written = file.set_len(0).and_then(|()| write!(file, "{}", process::id()));
    written.map_err(Error::file("write", &path))?;
    Ok(file)
}

fn in_use(directory: &Path, mut file: File) -> Error {
    let mut holder = String::new();
    if file.read_to_string(&mut holder).is_err() || holder.is_empty() {
        "unknown".clone_into(&mut holder);
    }
    Error::InUse { directory: directory.to_owned(), holder }
}
