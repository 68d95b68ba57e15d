//! The account a cluster runs as: PostgreSQL refuses to run as root, so root lends it an ordinary one.

use std::{
    fmt, fs, io,
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use super::Error;

/// Accounts that root may lend, best first.
const LENT: [&str; 2] = ["postgres", "nobody"];

/// Who runs the programs of a cluster and owns its files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Account {
    /// The account of this process, which is not root.
    Own {
        /// Its number.
        user: u32,
    },
    /// An account that this process, being root, changes to.
    Lent {
        /// Its name, or its number where it has none.
        name: String,
        /// Its number.
        user: u32,
        /// Its primary group.
        group: u32,
    },
}

// === impl Account ===

impl Account {
    /// Root keeps a cluster with the account that owns it already, else lends one of [`LENT`].
    pub(super) fn choose(data: &Path) -> Result<Self, Error> {
        let user = rustix::process::geteuid();
        if !user.is_root() {
            return Ok(Self::Own { user: user.as_raw() });
        }
        let accounts = read_accounts();
        let owner = fs::metadata(data).ok().map(|metadata| (metadata.uid(), metadata.gid()));
        match owner {
            Some((user, group)) if user != 0 => Ok(Self::owner(&accounts, user, group)),
            _ => Self::lend(accounts).ok_or(Error::NoAccount),
        }
    }

    fn owner(accounts: &[Entry], user: u32, group: u32) -> Self {
        let known = accounts.iter().find(|entry| entry.user == user);
        let name = known.map_or_else(|| user.to_string(), |entry| entry.name.clone());
        Self::Lent { name, user, group }
    }

    fn lend(accounts: Vec<Entry>) -> Option<Self> {
        let rank = |entry: &Entry| LENT.iter().position(|name| *name == entry.name);
        let candidates = accounts.into_iter().filter(|entry| entry.user != 0 && rank(entry).is_some());
        let Entry { name, user, group } = candidates.min_by_key(rank)?;
        Some(Self::Lent { name, user, group })
    }

    /// Its number.
    pub(super) fn user(&self) -> u32 {
        match self {
            Self::Own { user } | Self::Lent { user, .. } => *user,
        }
    }

    /// Makes `command` run as this account, in no supplementary group.
    pub(super) fn apply<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        match self {
            Self::Own { .. } => command,
            Self::Lent { user, group, .. } => command.uid(*user).gid(*group),
        }
    }

    /// Makes this account the owner of `path`.
    pub(super) fn give(&self, path: &Path) -> io::Result<()> {
        match self {
            Self::Own { .. } => Ok(()),
            Self::Lent { user, group, .. } => chown(path, Some(*user), Some(*group)),
        }
    }

    /// Fails with the first directory on the way to `path` that this account may not pass.
    /// What does not exist yet is not looked at; access lists are not consulted.
    pub(super) fn check_way(&self, path: &Path) -> Result<(), Error> {
        let Self::Lent { user, group, .. } = self else { return Ok(()) };
        let Some(existing) = path.ancestors().find_map(|ancestor| ancestor.canonicalize().ok()) else {
            return Ok(());
        };
        let mut way: Vec<PathBuf> = existing.ancestors().map(Path::to_path_buf).collect();
        way.reverse();
        let passable = |directory: &PathBuf| {
            fs::metadata(directory).is_ok_and(|metadata| may_pass(&metadata, *user, *group))
        };
        match way.into_iter().find(|directory| !passable(directory)) {
            Some(blocked) => {
                Err(Error::Blocked { account: self.to_string(), blocked, path: path.to_owned() })
            }
            None => Ok(()),
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own { user } => write!(formatter, "{user}"),
            Self::Lent { name, .. } => formatter.write_str(name),
        }
    }
}

fn may_pass(metadata: &fs::Metadata, user: u32, group: u32) -> bool {
    let shift = if metadata.uid() == user {
        6
    } else if metadata.gid() == group {
        3
    } else {
        0
    };
    metadata.mode() >> shift & 1 == 1
}

/// One line of the account file.
struct Entry {
    name: String,
    user: u32,
    group: u32,
}

fn read_accounts() -> Vec<Entry> {
    fs::read_to_string("/etc/passwd").unwrap_or_default().lines().filter_map(parse_entry).collect()
}

fn parse_entry(line: &str) -> Option<Entry> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    let user = fields.nth(1)?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    Some(Entry { name, user, group })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn entries(text: &str) -> Vec<Entry> {
        text.lines().filter_map(parse_entry).collect()
    }

    #[test]
    fn root_lends_postgres_before_nobody() {
        let both = entries("nobody:x:65534:65534::/:/bin/false\npostgres:x:101:104::/:/bin/sh");
        let only = entries("nobody:x:65534:65534::/:/bin/false\nmail:x:8:8::/:/bin/sh");
        assert_eq!(Account::lend(both).map(|account| account.user()), Some(101));
        assert_eq!(Account::lend(only).map(|account| account.user()), Some(65534));
    }

    #[test]
    fn root_is_never_lent_under_another_name() {
        assert_eq!(Account::lend(entries("postgres:x:0:0::/:/bin/sh\nmail:x:8:8::/:")), None);
    }

    #[test]
    fn a_directory_closed_to_the_account_is_named() {
        let open = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir().unwrap();
        let closed = open.path().canonicalize().unwrap().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        let stranger = Account::Lent { name: "stranger".into(), user: 4242, group: 4242 };
        let Err(Error::Blocked { blocked, .. }) = stranger.check_way(&closed.join("not/yet")) else {
            panic!("the account got through")
        };
        assert_eq!(blocked, closed);
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o711)).unwrap();
        stranger.check_way(&closed.join("not/yet")).unwrap();
    }
}
