//! What can be wrong with the settings. Values are never repeated: one of them may be a secret.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A flag, without its dashes.
    Flag(String),
    /// An environment variable.
    Variable(String),
    /// A key of the settings file.
    Key {
        /// The key.
        key: String,
        /// The settings file.
        path: PathBuf,
    },
    /// A whole file.
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(name) => write!(formatter, "--{name}"),
            Self::Variable(name) => formatter.write_str(name),
            Self::Key { key, path } => write!(formatter, "{key} in {}", path.display()),
            Self::File(path) => write!(formatter, "what stands in {}", path.display()),
        }
    }
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The command line cannot be understood, or asks for help: clap's own text, which goes where clap says.
    #[error("{0}")]
    Usage(Box<clap::Error>),
    /// A value that does not keep the rule of its setting.
    #[error("{origin} {reason}")]
    Value {
        /// Where the value stands.
        origin: Origin,
        /// The rule, reading on after the origin: "must be …".
        reason: String,
    },
    /// A variable or key that is no setting.
    #[error("{origin} is none of the settings that `tokenkeep <role> --help` lists{}", suggestion(.nearest.as_deref()))]
    Unknown {
        /// What was met.
        origin: Origin,
        /// The setting that was probably meant.
        nearest: Option<String>,
    },
    /// A setting without which the role cannot work.
    #[error("{name} is not set: set {}, or {name} in the file that --config names", ways(.name))]
    Missing {
        /// The setting.
        name: String,
    },
    /// One setting that is of no use without another.
    #[error("{set} needs {missing}: set {} too", ways(.missing))]
    Incomplete {
        /// The setting that is there.
        set: &'static str,
        /// The setting that is not.
        missing: &'static str,
    },
    /// Two settings that say the same thing.
    #[error("{} are both set: leave one of them out", .names.join(" and "))]
    Both {
        /// The two.
        names: [&'static str; 2],
    },
    /// A password where every process of the machine can read it.
    #[error(
        "--{name} holds a password, which every process of this machine can read: \
         set {}, or put the URL into a file and set --{name}-file", super::layers::variable(.name)
    )]
    PasswordInArguments {
        /// The setting.
        name: &'static str,
    },
    /// A credential where every process of the machine can read it.
    #[error(
        "--credential would tell every process of this machine: set TOKENKEEP_CREDENTIAL, or put the token into a file \
         and set --credential-file"
    )]
    CredentialInArguments,
    /// A file that cannot be read.
    #[error("cannot read {}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// The settings file is not TOML.
    #[error("{}, line {line}: {reason}", .path.display())]
    NotToml {
        /// The settings file.
        path: PathBuf,
        /// The line at fault, the first being 1.
        line: usize,
        /// What the parser misses.
        reason: String,
    },
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!("; did you mean {nearest}?"))
}

fn ways(name: &str) -> String {
    format!("--{name} or {}", super::layers::variable(name))
}
