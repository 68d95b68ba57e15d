//! What can keep a private cluster from running.

use std::{
    io, iter,
    path::{Path, PathBuf},
    process::ExitStatus,
};

use super::{CommandError, Report};

/// Why a cluster could not be started or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name of the database is not one that needs no quoting anywhere.
    #[error("{0:?} cannot name a database: use a letter, then letters, digits and _, at most 63 bytes")]
    DatabaseName(String),
    /// A file or directory of the cluster could not be used.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// What it was tried on.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A living process runs a cluster in this directory.
    #[error("process {holder} runs PostgreSQL in {} already", directory.display())]
    InUse {
        /// The directory asked for.
        directory: PathBuf,
        /// The number of the process, or `unknown` for the instant before it wrote it down.
        holder: String,
    },
    /// This process is root and the machine has neither of the accounts it could lend.
    #[error(
        "PostgreSQL does not run as root, and this machine has no account named postgres or nobody: \
         start as another user"
    )]
    NoAccount,
    /// The account that root lends may not pass a directory on the way to the cluster.
    #[error(
        "PostgreSQL does not run as root, and account {account} may not pass {} on the way to {}: \
         choose another data directory, for example under /var/lib or /tmp, or start as another user",
        blocked.display(), path.display()
    )]
    Blocked {
        /// The account PostgreSQL would run as.
        account: String,
        /// The directory that does not let it pass.
        blocked: PathBuf,
        /// Where it had to get.
        path: PathBuf,
    },
    /// The directory that was named for the binaries does not serve.
    #[error("the PostgreSQL binaries that were asked for do not serve: {0}")]
    NamedBinaries(Report),
    /// Nothing fit to run a new cluster was found or fetched.
    #[error(
        "found no PostgreSQL of version 13 or later. Install one (for example: apt-get install postgresql), \
         or name the directory that holds its `postgres` and `initdb` in the settings, \
         or use a server of your own by TOKENKEEP_DATABASE_URL. Looked at:{0}"
    )]
    NoBinaries(Report),
    /// The cluster is there, but no PostgreSQL of its major version is.
    #[error(
        "{} was made by PostgreSQL {major} and opens with no other. Install that version (for example: \
         apt-get install postgresql-{major}), or name the directory that holds its `postgres` and `initdb` \
         in the settings, or choose another data directory, or use a server of your own by \
         TOKENKEEP_DATABASE_URL. Looked at:{report}",
        data.display()
    )]
    OtherMajor {
        /// The cluster.
        data: PathBuf,
        /// The version that made it.
        major: u32,
        /// Where such a version was looked for.
        report: Report,
    },
    /// The cluster could not be made.
    #[error("cannot make a cluster in {}", data.display())]
    Initialise {
        /// Where it was to be.
        data: PathBuf,
        /// What the program that failed says.
        #[source]
        source: CommandError,
    },
    /// The server could not be started as a process.
    #[error("cannot run PostgreSQL")]
    Run(#[source] io::Error),
    /// The server ended before it accepted connections.
    #[error("PostgreSQL ended with {status} before it was ready; its last words:\n{log}")]
    Ended {
        /// How it ended.
        status: ExitStatus,
        /// The last lines of its log.
        log: String,
    },
    /// The server did not get ready in time and was stopped.
    #[error("PostgreSQL was not ready after {seconds} s; its last words:\n{log}")]
    NotReady {
        /// How long it had.
        seconds: u64,
        /// The last lines of its log.
        log: String,
    },
    /// A server did not end when asked to.
    #[error("PostgreSQL, process {process}, does not stop")]
    Unstoppable {
        /// The number of the process.
        process: i32,
    },
}

/// The message of `error` and of each cause below it, on one line.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

// === impl Error ===

impl Error {
    /// For `map_err`: the failure of `action` on `path`.
    pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { action, path, source }
    }
}
