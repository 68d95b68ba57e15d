//! What these tests stand on: the program as a script runs it, and as somebody at a terminal does.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Database, Server, tokenkeep};

/// How a command ended, and what it said.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub error: String,
}

impl Ended {
    pub fn of(command: &mut Command) -> Self {
        Self::with_input(command, "")
    }

    pub fn with_input(command: &mut Command, input: &str) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = piped.spawn().unwrap();
        // One that needs no input may have ended before it is given.
        process.stdin.take().unwrap().write_all(input.as_bytes()).ok();
        let output = process.wait_with_output().unwrap();
        let [out, error] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        Self { code: output.status.code(), out, error }
    }

    /// The one object that was answered.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        let lines = self.lines();
        assert_eq!(lines.len(), 1, "{self:?}");
        lines[0].clone()
    }

    /// The objects that were listed.
    #[track_caller]
    pub fn lines(&self) -> Vec<Value> {
        assert!(matches!(self.code, Some(0 | 3)), "{self:?}");
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// It was refused with this exit code, saying this; nothing was answered.
    #[track_caller]
    pub fn refused(&self, code: i32, why: &[&str]) {
        assert_eq!((self.code, self.out.as_str()), (Some(code), ""), "{self:?}");
        for why in why {
            assert!(self.error.contains(why), "{why}: {self:?}");
        }
    }
}

/// A server, and the operator's credential in a file.
pub struct Ground {
    pub server: Server,
    pub directory: TempDir,
}

impl Ground {
    /// With a workspace `acme`.
    pub async fn new() -> Self {
        Self::over(Server::start().await).await
    }

    pub async fn over(server: Server) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("credential"), format!("{}\n", server.database.operator_secret))
            .unwrap();
        server.operator().await.create_workspace("acme").await;
        Self { server, directory }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The program with its settings in the environment.
    pub fn command(&self, words: &[&str]) -> Command {
        let (word, rest) = words.split_first().unwrap();
        let mut command = tokenkeep(word);
        command.args(rest).env("TOKENKEEP_SERVER", format!("http://{}", self.server.address));
        command.env("TOKENKEEP_CREDENTIAL_FILE", self.path("credential"));
        command
    }

    /// Runs it as a script does: nothing is a terminal.
    pub fn run(&self, words: &[&str]) -> Ended {
        Ended::of(&mut self.command(words))
    }

    /// The same, with something to read.
    pub fn run_with(&self, words: &[&str], input: &str) -> Ended {
        Ended::with_input(&mut self.command(words), input)
    }

    /// A token of `acme`: its id and its secret.
    #[track_caller]
    pub fn token(&self, name: &str) -> (String, String) {
        let made = self.run(&["token", "create", name, "-w", "acme", "--scope", "articles:*"]).json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&made["token"]["id"]), text(&made["secret"]))
    }

    /// The state of a token.
    #[track_caller]
    pub fn state(&self, id: &str) -> String {
        self.run(&["token", "show", id]).json()["token"]["state"].as_str().unwrap().to_owned()
    }

    /// Runs it as somebody at a terminal does, who reads and types.
    pub fn terminal(&self, words: &[&str]) -> Terminal {
        Terminal::run(self.command(words))
    }
}

/// A database that nobody serves.
pub fn nowhere() -> String {
    "http://127.0.0.1:1".to_owned()
}

/// A terminal with a program at it.
pub struct Terminal {
    master: File,
    process: Child,
    shown: Arc<Mutex<String>>,
}

impl Terminal {
    pub fn run(mut command: Command) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let slave = File::options().read(true).write(true).open(Path::new(&name)).unwrap();
        command.env("TERM", "xterm").stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap());
        let process = command.stderr(slave).spawn().unwrap();
        // Its own ends are closed with it, so that reading ends with the program.
        drop(command);
        let master = File::from(master);
        let shown = Arc::new(Mutex::new(String::new()));
        let (mut reader, sink) = (master.try_clone().unwrap(), Arc::clone(&shown));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                sink.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
        });
        Self { master, process, shown }
    }

    pub fn shown(&self) -> String {
        self.shown.lock().unwrap().clone()
    }

    /// Types a line once this is shown.
    #[track_caller]
    pub fn when(mut self, shown: &str, typed: &str) -> Self {
        self.until(|terminal| terminal.shown().contains(shown));
        self.master.write_all(typed.as_bytes()).unwrap();
        self
    }

    #[track_caller]
    fn until(&mut self, mut there: impl FnMut(&mut Self) -> bool) {
        let begun = Instant::now();
        while !there(self) {
            assert!(begun.elapsed() < Duration::from_secs(20), "never shown: {}", self.shown());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the end: the exit code, and everything that was shown.
    #[track_caller]
    pub fn end(mut self) -> (Option<i32>, String) {
        let mut code = None;
        self.until(|terminal| {
            code = terminal.process.try_wait().unwrap();
            code.is_some()
        });
        // What was written before the end may still be on its way.
        let mut before = String::new();
        self.until(|terminal| {
            std::thread::sleep(Duration::from_millis(20));
            let same = terminal.shown() == before;
            before = terminal.shown();
            same
        });
        (code.unwrap().code(), before.replace("\r\n", "\n"))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// A server with settings of one's own.
pub async fn ground_with(settings: &[&str]) -> Ground {
    Ground::over(Server::start_with(Database::fresh().await, |command| command.args(settings)).await).await
}
