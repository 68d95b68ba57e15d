//! A real server process of this build.

use std::fs;
use std::io::{BufRead as _, BufReader, Lines, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, ChildStderr, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::page::Outcome;

pub(crate) struct ServerProcess {
    process: Child,
    /// Where it serves; port 0 if on a Unix socket.
    pub(crate) address: SocketAddr,
    /// Where `/metrics` is.
    operations: SocketAddr,
}

/// The program in one of its roles, with nothing of our environment but what it needs to run.
pub(crate) fn tokenkeep(role: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tokenkeep"));
    command.arg(role);
    bare(command)
}

fn bare(mut command: Command) -> Command {
    command.env_clear().envs(std::env::vars().filter(|(name, _)| name == "PATH" || name == "HOME"));
    command
}

/// The same command held to one core, from 0.
pub(crate) fn on_core(core: usize, command: &Command) -> Command {
    let mut pinned = Command::new("taskset");
    pinned.arg("--cpu-list").arg(core.to_string()).arg(command.get_program()).args(command.get_args());
    let mut pinned = bare(pinned);
    pinned.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    pinned
}

impl ServerProcess {
    /// Starts a role that serves, on ports of its own, and comes back when it says that it serves.
    pub(crate) fn start(command: &mut Command) -> Outcome<Self> {
        Self::start_at(command, "127.0.0.1:0")
    }

    /// The same at an address, or on the socket of a path as `unix:/path`.
    pub(crate) fn start_at(command: &mut Command, listen: &str) -> Outcome<Self> {
        command.args(["--listen", listen, "--operations-listen", "127.0.0.1:0", "--log-format", "json"]);
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(process.stderr.take().ok_or("no standard error")?).lines();
        let Some((address, operations)) = addresses(&mut lines) else {
            return Err(format!("the server has ended: {}", process.wait()?).into());
        };
        // It must never wait for somebody to read what it logs.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Ok(Self { process, address, operations })
    }

    /// The processor time that it has taken so far, in seconds.
    pub(crate) fn processor_time(&self) -> Outcome<f64> {
        const TICKS_A_SECOND: f64 = 100.0; // The kernel's unit wherever Linux runs (proc(5), sysconf(3)).
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        let (_, fields) = stat.rsplit_once(") ").ok_or("no such process")?;
        let ticks = fields.split(' ').skip(11).take(2).map(str::parse::<u32>).sum::<Result<u32, _>>()?;
        Ok(f64::from(ticks) / TICKS_A_SECOND)
    }

    /// Ends it at once, as a crash would.
    pub(crate) fn kill(&self) -> Outcome<()> {
        let id = Pid::from_raw(i32::try_from(self.process.id())?).ok_or("no such process")?;
        Ok(kill_process(id, Signal::KILL)?)
    }

    /// Its number, for a profiler.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
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
        let address = |name: &str| match line.get(name)?.as_str()? {
            path if path.starts_with("unix:") => Some((Ipv4Addr::LOCALHOST, 0).into()),
            address => address.parse().ok(),
        };
        let serving = line.get("message")? == "serving";
        serving.then(|| Some((address("listen")?, address("operations")?))).flatten()
    })
}
