//! What the exit codes say; docs/command-line.md and `--help` list them.

use std::process::ExitCode;

/// How a command ended, for scripts. The numbers are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It was done; the token is active.
    Done = 0,
    /// It was not done.
    Failed = 1,
    /// It was asked the wrong way.
    Usage = 2,
    /// The token that was judged is not active, or lacks a required scope.
    Denied = 3,
    /// There is no such thing.
    NotFound = 4,
    /// The credential may not do that, or is dead.
    Forbidden = 5,
    /// It cannot be done now, and was not: try again.
    Unavailable = 6,
    /// Nobody knows whether it was done: look before trying again.
    Unknown = 7,
    /// The cursor cannot be gone on from: verify what was derived from the stream, and watch anew.
    CursorLost = 8,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
