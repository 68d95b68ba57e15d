//! A real server process of this build.

use std::fs;
use std::io::{BufRead as _, BufReader, Lines, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::page::Outcome;

pub(crate) struct ServerProcess {
    process: Child,
    pub(crate) address: SocketAddr,
    /// Where `/metrics` is.
    operations: SocketAddr,
}

/// The program in one of its roles, with nothing of our environment but what it needs to run.
pub(crate) fn tokenkeep(role: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenkeep"));
    command.arg(role).env_clear().envs(std::env::vars().filter(|(name, _)| name == "PATH" || name == "HOME"));
    command
}

impl ServerProcess {
    /// Starts a role that serves, on ports of its own, and comes back when it says that it serves.
    pub(crate) fn start(command: &mut Command) -> Outcome<Self> {
        command.args([
            "--listen",
            "127.0.0.1:0",
            "--operations-listen",
            "127.0.0.1:0",
            "--log-format",
            "json",
        ]);
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(process.stderr.take().ok_or("no standard error")?).lines();
        let Some((address, operations)) = addresses(&mut lines) else {
            return Err(format!("the server has ended: {}", process.wait()?).into());
        };
        // It must never wait for somebody to read what it logs.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Ok(Self { process, address, operations })
    }

    /// One sample of `/metrics`, by its name with its labels.
    pub(crate) fn metric(&self, sample: &str) -> Outcome<f64> {
        let mut stream = TcpStream::connect(self.operations)?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let value = answer.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        Ok(value.ok_or_else(|| format!("there is no {sample}"))?.trim().parse()?)
    }

    /// Resident memory of this process alone, in MiB.
    pub(crate) fn resident_memory(&self) -> Outcome<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes: u32 = line.ok_or("no VmRSS")?.trim().trim_end_matches(" kB").parse()?;
        Ok(f64::from(kibibytes) / 1024.0)
    }
}

impl Drop for ServerProcess {
    /// Asked politely, a server always ends, and `dev` takes its PostgreSQL with it.
    fn drop(&mut self) {
        if let Some(id) = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw) {
            kill_process(id, Signal::TERM).ok();
        }
        self.process.wait().ok();
    }
}

/// Where it serves, and where it tells how it is, as it says when it serves.
fn addresses(lines: &mut Lines<BufReader<ChildStderr>>) -> Option<(SocketAddr, SocketAddr)> {
    lines.map_while(Result::ok).find_map(|line| {
        let line: serde_json::Value = serde_json::from_str(&line).ok()?;
        let address = |name: &str| line.get(name)?.as_str()?.parse().ok();
        let serving = line.get("message")? == "serving";
        serving.then(|| Some((address("listen")?, address("operations")?))).flatten()
    })
}
