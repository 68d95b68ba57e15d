//! A server under callgrind, which counts what each of its threads does.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::profile::Profile;
use crate::measure::page::Outcome;
use crate::measure::process::ServerProcess;

pub(crate) struct CountingServer {
    pub(crate) server: ServerProcess,
    directory: PathBuf,
    name: &'static str,
}

impl CountingServer {
    /// Starts what a command would, of one serving thread; what is counted goes by files of that name.
    pub(crate) fn start(command: &Command, directory: &Path, name: &'static str) -> Outcome<Self> {
        let mut counting = Command::new("valgrind");
        counting
            .args(["--quiet", "--tool=callgrind", "--separate-threads=yes", "--fair-sched=yes"])
            .args(["--compress-strings=no", "--compress-pos=no"])
            .arg(format!("--callgrind-out-file={}", directory.join(name).display()))
            .arg(command.get_program())
            .args(command.get_args())
            .envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let server = ServerProcess::start(&mut counting)?;
        Ok(Self { server, directory: directory.to_owned(), name })
    }

    /// Begins to count.
    pub(crate) fn begin(&self) -> Outcome<()> {
        self.control("--zero")
    }

    /// What was counted since.
    pub(crate) fn counted(&self) -> Outcome<Profile> {
        self.control("--dump")?;
        Profile::of_busiest_thread(&self.directory, &format!("{}.", self.name))
    }

    fn control(&self, order: &str) -> Outcome<()> {
        let mut control = Command::new("callgrind_control");
        let status = control.arg(order).arg(self.server.id().to_string()).stdout(Stdio::null()).status()?;
        if status.success() { Ok(()) } else { Err("callgrind takes no orders".into()) }
    }
}
