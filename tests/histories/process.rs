//! The programs under test: started, stopped where they stand, killed, and started again.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A server or a sidecar: how to start it, and its present process.
pub struct Program {
    file: PathBuf,
    role: &'static str,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    pub log: PathBuf,
    running: Option<Running>,
}

struct Running {
    child: Child,
    address: SocketAddr,
}

impl Program {
    pub fn new(file: &Path, role: &'static str, log: PathBuf) -> Self {
        let arguments = ["--listen", "127.0.0.1:0", "--operations-listen", "127.0.0.1:0"];
        let arguments = arguments.iter().map(ToString::to_string).collect();
        Self { file: file.to_owned(), role, arguments, environment: Vec::new(), log, running: None }
    }

    pub fn argument(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        self.arguments.extend([name.to_owned(), value.into()]);
        self
    }

    pub fn environment(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Starts it, if it does not run, and waits until it says that it serves, and where; gives nothing if it ended instead or took
    /// longer than it may.
    pub async fn start(&mut self, within: Duration) -> Option<SocketAddr> {
        if let Some(running) = &self.running {
            return Some(running.address);
        }
        let log = OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        let begun = log.metadata().unwrap().len();
        let mut command = Command::new(&self.file);
        command.arg(self.role).args(&self.arguments).args(["--log-format", "json"]).env_clear();
        command.envs(std::env::vars().filter(|(name, _)| name == "PATH" || name == "HOME"));
        command.envs(self.environment.iter().cloned()).stderr(log);
        let mut child = command.spawn().unwrap();
        let deadline = Instant::now() + within;
        loop {
            if let Some(address) = address(&self.log, begun) {
                self.running = Some(Running { child, address });
                return Some(address);
            }
            if child.try_wait().unwrap().is_some() {
                return None;
            }
            if Instant::now() > deadline {
                child.kill().ok();
                child.wait().ok();
                return None;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.child.kill().ok();
            running.child.wait().ok();
        }
    }

    /// Asks it to end, and waits until it has.
    pub async fn end(&mut self, within: Duration) {
        let Some(mut running) = self.running.take() else { return };
        signal(running.child.id(), Signal::TERM);
        let deadline = Instant::now() + within;
        while running.child.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                running.child.kill().ok();
                running.child.wait().ok();
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn signal(&self, name: Signal) {
        if let Some(running) = &self.running {
            signal(running.child.id(), name);
        }
    }

    /// What it did that no program should: end unasked, or panic.
    pub fn misdeeds(&mut self) -> Vec<String> {
        let ended = self.running.as_mut().and_then(|running| running.child.try_wait().unwrap());
        let ended = ended.map(|status| format!("it ended by itself: {status}"));
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let panics = text.lines().filter(|line| line.contains("panicked")).map(str::to_owned);
        ended.into_iter().chain(panics).collect()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal to a process, which may be gone.
pub fn signal(process: u32, name: Signal) {
    if let Some(process) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        kill_process(process, name).ok();
    }
}

/// The last line of each log in a directory.
pub fn last_words(directory: &Path) -> String {
    let logs = fs::read_dir(directory).unwrap().map_while(Result::ok);
    let texts = logs.filter_map(|log| fs::read_to_string(log.path()).ok());
    texts.filter_map(|text| text.lines().last().map(|line| format!("\n{line}"))).collect()
}

/// The address in the line that says that it serves, written after `begun`.
fn address(log: &Path, begun: u64) -> Option<SocketAddr> {
    let mut text = String::new();
    let mut file = File::open(log).ok()?;
    file.seek(SeekFrom::Start(begun)).ok()?;
    file.read_to_string(&mut text).ok()?;
    text.lines().find_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        (line.get("message")? == "serving").then(|| line.get("listen")?.as_str()?.parse().ok())?
    })
}
