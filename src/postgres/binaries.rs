//! Finds the PostgreSQL programs of this machine, and remembers where it looked.

use std::{
    env,
    ffi::OsString,
    fmt, fs,
    path::{Path, PathBuf},
};

use super::{
    CommandError,
    account::Account,
    command::{bare, run},
    error::with_causes,
    fetch,
};

/// The oldest major version whose SQL and status files the rest relies on.
const OLDEST_MAJOR: u32 = 13;

/// Where distributions and Homebrew install: a directory for each major version, named by the prefix and
/// the number, with the programs in `bin` below it.
const INSTALLED: [(&str, &str); 5] = [
    ("/usr/lib/postgresql", ""),
    ("/usr", "pgsql-"),
    ("/opt/homebrew/opt", "postgresql@"),
    ("/usr/local/opt", "postgresql@"),
    ("/home/linuxbrew/.linuxbrew/opt", "postgresql@"),
];

/// The PostgreSQL programs chosen for a cluster. Displays as a phrase for a log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    directory: PathBuf,
    version: Version,
    origin: Origin,
}

/// A version as `postgres --version` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    major: u32,
    full: String,
}

/// How a directory of programs was come by. Displays as a phrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was named in the options.
    Named,
    /// The search path has `postgres`.
    SearchPath,
    /// `pg_config --bindir` said so.
    PgConfig,
    /// A distribution or Homebrew installs there.
    Installed,
    /// It was fetched, now or at an earlier start.
    Fetched,
}

/// Every place looked at and what was wrong with it. Displays as indented lines.
#[derive(Clone, Debug, Default)]
pub struct Report(Vec<String>);

/// Why a directory does not serve.
#[derive(Debug, thiserror::Error)]
enum Unsuitable {
    #[error("has no `{0}`")]
    Lacks(&'static str),
    #[error("does not run as account {account}")]
    DoesNotRun { account: Account, source: CommandError },
    #[error("its `postgres` says {0:?} for its version")]
    NoVersion(String),
    #[error("is PostgreSQL {0}, older than {OLDEST_MAJOR}")]
    TooOld(String),
    #[error("is PostgreSQL {found}, but the cluster needs {needed}")]
    OtherMajor { found: String, needed: u32 },
}

/// One search: where to look, for whom, and for which version.
pub(super) struct Search<'a> {
    /// The search path for programs, in the form of `PATH`.
    pub(super) path: OsString,
    /// Places like [`INSTALLED`].
    pub(super) installed: &'a [(&'a str, &'a str)],
    /// Where fetched builds are.
    pub(super) builds: &'a Path,
    /// Who has to be able to run the programs.
    pub(super) account: &'a Account,
    /// The only major version that will do.
    pub(super) major: Option<u32>,
}

// === impl Binaries ===

impl Binaries {
    /// The directory that holds `postgres` and `initdb`.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The major version, 13 or above.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.version.major
    }

    /// How the directory was come by.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

impl fmt::Display for Binaries {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { directory, version, origin } = self;
        write!(formatter, "PostgreSQL {} in {} ({origin})", version.full, directory.display())
    }
}

// === impl Version ===

impl Version {
    /// Reads for example `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
    fn parse(text: &str) -> Option<Self> {
        let full = text.split_once("(PostgreSQL) ")?.1.split_whitespace().next()?;
        let digits = full.split(|letter: char| !letter.is_ascii_digit()).next()?;
        Some(Self { major: digits.parse().ok()?, full: full.to_owned() })
    }
}

// === impl Origin ===

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Named => "named in the settings",
            Self::SearchPath => "on the search path",
            Self::PgConfig => "from pg_config",
            Self::Installed => "installed",
            Self::Fetched => "fetched",
        })
    }
}

// === impl Report ===

impl Report {
    pub(super) fn with(mut self, line: impl Into<String>) -> Self {
        self.0.push(line.into());
        self
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| write!(formatter, "\n  {line}"))
    }
}

// === impl Search ===

impl<'a> Search<'a> {
    /// A search of everything this machine has, for any version.
    pub(super) fn of_this_machine(builds: &'a Path, account: &'a Account) -> Self {
        let path = env::var_os("PATH").unwrap_or_default();
        Self { path, installed: &INSTALLED, builds, account, major: None }
    }

    /// The programs in `directory`, or what is wrong with it.
    pub(super) fn named(&self, directory: &Path) -> Result<Binaries, Report> {
        let mut report = Report::default();
        self.choose(Origin::Named, directory.to_owned(), &mut report).ok_or(report)
    }

    /// The first programs that serve, or every place that was looked at.
    pub(super) fn find(&self) -> Result<Binaries, Report> {
        let mut report = Report::default();
        for origin in [Origin::SearchPath, Origin::PgConfig, Origin::Installed, Origin::Fetched] {
            let directories = self.directories(origin);
            if directories.is_empty() {
                report.0.push(format!("{origin}: nothing"));
            }
            for directory in directories {
                if let Some(binaries) = self.choose(origin, directory, &mut report) {
                    return Ok(binaries);
                }
            }
        }
        Err(report)
    }

    fn choose(&self, origin: Origin, directory: PathBuf, report: &mut Report) -> Option<Binaries> {
        match self.examine(&directory) {
            Ok(version) => Some(Binaries { directory, version, origin }),
            Err(unsuitable) => {
                report.0.push(format!("{} ({origin}) {}", directory.display(), with_causes(&unsuitable)));
                None
            }
        }
    }

    fn directories(&self, origin: Origin) -> Vec<PathBuf> {
        match origin {
            Origin::Named => Vec::new(),
            Origin::SearchPath => self.on_search_path("postgres").map(|program| parent(&program)).collect(),
            Origin::PgConfig => self.on_search_path("pg_config").filter_map(|it| ask(&it)).collect(),
            Origin::Installed => self.installed.iter().flat_map(by_major).collect(),
            Origin::Fetched => fetch::program_directories(self.builds),
        }
    }

    /// Symbolic links are followed: the neighbours of the real program are wanted.
    fn on_search_path<'b>(&'b self, program: &'b str) -> impl Iterator<Item = PathBuf> + 'b {
        let candidates = env::split_paths(&self.path).map(move |directory| directory.join(program));
        candidates.filter_map(|candidate| candidate.canonicalize().ok())
    }

    fn examine(&self, directory: &Path) -> Result<Version, Unsuitable> {
        for program in ["postgres", "initdb"] {
            if !directory.join(program).is_file() {
                return Err(Unsuitable::Lacks(program));
            }
        }
        let mut command = bare(directory.join("postgres"));
        let answer = run(self.account.apply(&mut command).arg("--version"), "")
            .map_err(|source| Unsuitable::DoesNotRun { account: self.account.clone(), source })?;
        let version = Version::parse(&answer).ok_or(Unsuitable::NoVersion(answer))?;
        match self.major {
            _ if version.major < OLDEST_MAJOR => Err(Unsuitable::TooOld(version.full)),
            Some(needed) if needed != version.major => {
                Err(Unsuitable::OtherMajor { found: version.full, needed })
            }
            _ => Ok(version),
        }
    }
}

fn parent(program: &Path) -> PathBuf {
    program.parent().unwrap_or(program).to_owned()
}

fn ask(pg_config: &Path) -> Option<PathBuf> {
    let answer = run(bare(pg_config).arg("--bindir"), "").ok()?;
    Some(PathBuf::from(answer.trim()))
}

/// The program directories of one place, the highest major version first.
fn by_major((place, prefix): &(&str, &str)) -> Vec<PathBuf> {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name();
            let major = name.to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((major, entry.path().join("bin")))
        })
        .collect();
    found.sort_by_key(|(major, _)| std::cmp::Reverse(*major));
    found.into_iter().map(|(_, directory)| directory).collect()
}

#[cfg(test)]
mod tests;
