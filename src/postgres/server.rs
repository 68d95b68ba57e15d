//! The server as a process: begins, gets ready, ends with this process, and leaves nothing running.

use std::{
    fs, io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{
    Binaries, Error, PORT,
    command::{bare, run},
    home::Home,
};

/// How often a state that cannot be waited for is looked at.
const POLL: Duration = Duration::from_millis(5);
/// How long a server may take to get ready; recovery after a crash is part of it.
const READY_WITHIN: Duration = Duration::from_mins(1);
/// How long a fast shutdown may take, its checkpoint included.
const FAST_WITHIN: Duration = Duration::from_secs(20);
/// How long an immediate shutdown may take, which writes nothing; PostgreSQL kills its own after 5 s.
const IMMEDIATE_WITHIN: Duration = Duration::from_secs(10);
/// The line of `postmaster.pid` that tells the state, counted from 0.
const STATE_LINE: usize = 7;

/// Settings of every server here: no TCP, and times as the log of this process tells them.
const SETTINGS: [(&str, &str); 7] = [
    ("listen_addresses", ""),
    ("unix_socket_permissions", "0700"),
    ("max_connections", "100"),
    ("logging_collector", "off"),
    ("log_destination", "stderr"),
    ("timezone", "UTC"),
    ("log_timezone", "UTC"),
];

/// A server that accepts connections, or did.
#[derive(Debug)]
pub(super) struct Server {
    process: Pid,
    /// Set while the server's end would be a surprise.
    should_run: Arc<AtomicBool>,
    waiter: JoinHandle<io::Result<ExitStatus>>,
}

// === impl Server ===

impl Server {
    /// Starts the server of `home` and gives it once it accepts connections in `socket_directory`.
    pub(super) fn start(
        home: &Home,
        binaries: &Binaries,
        socket_directory: &Path,
        settings: &[(String, String)],
    ) -> Result<Self, Error> {
        let log = home.open_log()?;
        let log_start = log.metadata().map_err(Error::file("read", home.log_file()))?.len();
        let mut command = command(home, binaries);
        command.args(["-c", &format!("port={PORT}"), "-c", &socket_setting(socket_directory)]);
        let given = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in SETTINGS.into_iter().chain(given) {
            command.args(["-c", &format!("{name}={value}")]);
        }
        let copy = log.try_clone().map_err(Error::file("open", home.log_file()))?;
        command.stdin(Stdio::null()).stdout(log).stderr(copy);
        Self::spawn(command).map_err(Error::Run)?.await_ready(home, log_start)
    }

    /// The signal at the parent's death comes with the death of the *thread* that forked,
    /// hence a thread that lives as long as the server.
    fn spawn(mut command: Command) -> io::Result<Self> {
        let should_run = Arc::new(AtomicBool::new(false));
        let surprise = Arc::clone(&should_run);
        let (sender, started) = mpsc::channel();
        let waiter = thread::Builder::new().name("postgres".into()).spawn(move || {
            let mut child = command.spawn()?;
            let _waited_for = sender.send(Pid::from_child(&child));
            let status = child.wait()?;
            if surprise.load(Ordering::SeqCst) {
                tracing::error!(%status, "PostgreSQL ended by itself");
            }
            Ok(status)
        })?;
        match started.recv() {
            Ok(process) => Ok(Self { process, should_run, waiter }),
            Err(mpsc::RecvError) => Err(join(waiter).err().unwrap_or_else(|| io::ErrorKind::Other.into())),
        }
    }

    fn await_ready(self, home: &Home, log_start: u64) -> Result<Self, Error> {
        let data = home.data();
        let settled = poll(READY_WITHIN, || self.has_ended() || is_ready(&data, self.process));
        if self.has_ended() {
            let status = join(self.waiter).map_err(Error::Run)?;
            return Err(Error::Ended { status, log: home.last_words(log_start) });
        }
        if !settled {
            self.stop()?;
            let log = home.last_words(log_start);
            return Err(Error::NotReady { seconds: READY_WITHIN.as_secs(), log });
        }
        self.should_run.store(true, Ordering::SeqCst);
        Ok(self)
    }

    pub(super) fn process(&self) -> Pid {
        self.process
    }

    fn has_ended(&self) -> bool {
        self.waiter.is_finished()
    }

    /// Ends the server: fast first, and if that takes too long, at once.
    pub(super) fn stop(&self) -> Result<(), Error> {
        self.should_run.store(false, Ordering::SeqCst);
        stop(self.process, || self.has_ended())
    }
}

/// Stops servers that an earlier process left on `data`, or waits for the last of their children to go:
/// the new server has to be a child of this process to end with it.
pub(super) fn stop_leftovers(data: &Path) -> Result<(), Error> {
    let Some(first) = leftovers(data).next() else { return Ok(()) };
    let process = recorded_process(data).filter(|recorded| leftovers(data).any(|left| left == *recorded));
    tracing::warn!(data = %data.display(), "stopping PostgreSQL, which an earlier process left running");
    stop(process.unwrap_or(first), || leftovers(data).next().is_none())
}

/// The processes named `postgres` that work in `data`, as every process of a server does.
fn leftovers(data: &Path) -> impl Iterator<Item = Pid> {
    let works_here = move |process: &Path| {
        let is_postgres = fs::read_link(process.join("exe"))
            .is_ok_and(|program| program.file_name().is_some_and(|name| name == "postgres"));
        is_postgres && fs::read_link(process.join("cwd")).is_ok_and(|directory| directory == data)
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    processes.filter(move |process| works_here(process)).filter_map(|process| {
        let number = process.file_name()?.to_str()?.parse().ok()?;
        Pid::from_raw(number)
    })
}

fn stop(process: Pid, ended: impl Fn() -> bool) -> Result<(), Error> {
    for (signal, within) in [(Signal::INT, FAST_WITHIN), (Signal::QUIT, IMMEDIATE_WITHIN)] {
        if !ended() {
            // It may have ended since; then the signal finds nobody and the wait is short.
            let _gone = kill_process(process, signal);
        }
        if poll(within, &ended) {
            return Ok(());
        }
        tracing::warn!(process = process.as_raw_pid(), ?signal, "PostgreSQL did not stop in time");
    }
    Err(Error::Unstoppable { process: process.as_raw_pid() })
}

/// `setpriv` asks for the signal at the parent's death. Where it is missing, a killed parent leaves
/// the server running until the next start.
fn command(home: &Home, binaries: &Binaries) -> Command {
    let ending = ["--pdeathsig", "INT", "--"];
    let postgres = binaries.program("postgres");
    let mut command = if run(bare("setpriv").args(ending).arg("true"), "").is_ok() {
        let mut setpriv = bare("setpriv");
        setpriv.args(ending).arg(postgres);
        setpriv
    } else {
        bare(postgres)
    };
    // A group of its own: Ctrl-C at the terminal is for this process, which stops the server last.
    home.account().apply(&mut command).process_group(0).arg("-D").arg(home.data());
    command
}

/// The setting is a list; quotes keep commas and blanks in the path from parting it.
fn socket_setting(directory: &Path) -> String {
    format!("unix_socket_directories=\"{}\"", directory.display().to_string().replace('"', "\"\""))
}

fn is_ready(data: &Path, process: Pid) -> bool {
    let Ok(text) = fs::read_to_string(data.join("postmaster.pid")) else { return false };
    let state = text.lines().nth(STATE_LINE).map(str::trim);
    first_number(&text) == Some(process) && state == Some("ready")
}

fn recorded_process(data: &Path) -> Option<Pid> {
    first_number(&fs::read_to_string(data.join("postmaster.pid")).ok()?)
}

fn first_number(text: &str) -> Option<Pid> {
    Pid::from_raw(text.lines().next()?.trim().parse().ok()?)
}

fn join(waiter: JoinHandle<io::Result<ExitStatus>>) -> io::Result<ExitStatus> {
    waiter.join().unwrap_or_else(|_panic| Err(io::Error::other("the thread that waits panicked")))
}

/// Whether `condition` came to hold within `limit`.
fn poll(limit: Duration, condition: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !condition() {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(POLL);
    }
    true
}
