//! The actor: a sidecar process, with a credential of its own, beside one or more servers.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;

use tempfile::TempDir;
use tokenkeep::proto::v1;
use tonic::Status;

use crate::clients::Client;
use crate::harness::{Log, Server, eventually, metric, signal, spawn, tokenkeep};

/// What a sidecar's credential must grant.
pub const SCOPES: [&str; 3] =
    ["tokenkeep:sidecar", "tokenkeep:revocations:watch", "tokenkeep:introspect:reason"];

/// The length of a lease that servers give unless told otherwise.
pub const LEASE: Duration = Duration::from_secs(3);

/// A sidecar process. Killed when dropped.
pub struct Sidecar {
    pub process: Child,
    pub address: SocketAddr,
    pub operations: SocketAddr,
    /// Where the edge is served over HTTP, if it is.
    pub edge: Option<SocketAddr>,
    directory: TempDir,
    log: Log,
}

impl Sidecar {
    /// One that answers for every workspace, once it holds a lease.
    pub async fn beside(servers: &[&Server]) -> Self {
        let (_, secret) = servers[0].operator().await.create_token("tokenkeep", "sidecar", &SCOPES).await;
        let sidecar = Self::start(servers, &secret, |command| command).await;
        sidecar.holds_a_lease().await;
        sidecar
    }

    /// One with a credential and settings of its own, which listens on a port and on [`Sidecar::socket`].
    pub async fn start(
        servers: &[&Server],
        secret: &str,
        settings: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Self {
        let upstreams: Vec<String> =
            servers.iter().map(|server| format!("http://{}", server.address)).collect();
        Self::of(&upstreams.join(","), secret, settings).await
    }

    /// One that asks the servers at these addresses.
    pub async fn of(
        upstreams: &str,
        secret: &str,
        settings: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        let credential = directory.path().join("credential");
        fs::write(&credential, format!("{secret}\n")).unwrap();
        let mut command = tokenkeep("sidecar");
        // A flag wins.
        command.env("TOKENKEEP_LOG", "info,tokenkeep::sidecar=debug");
        command.arg("--listen").arg(format!("127.0.0.1:0,unix:{}", socket.display()));
        command.args(["--operations-listen", "127.0.0.1:0", "--upstream", upstreams]);
        command.arg("--credential-file").arg(credential);
        settings(&mut command);
        let (process, serving, log) = spawn(&mut command).await;
        let address = serving.listen.split(',').next().unwrap().parse().unwrap();
        Self { process, address, operations: serving.operations, edge: serving.edge, directory, log }
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    /// Gives it another credential.
    pub fn give(&self, secret: &str) {
        fs::write(self.directory.path().join("credential"), secret).unwrap();
    }

    pub async fn client(&self) -> Client {
        Client::connect(self.address, None).await
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub async fn state(&self, of: &str) -> f64 {
        metric(self.operations, &format!("tokenkeep_sidecar_state{{of=\"{of}\"}}")).await
    }

    pub async fn answers(&self, source: &str) -> f64 {
        metric(self.operations, &format!("tokenkeep_sidecar_answers_total{{source=\"{source}\"}}")).await
    }

    pub async fn calls(&self, call: &str) -> f64 {
        metric(self.operations, &format!("tokenkeep_sidecar_calls_total{{call=\"{call}\"}}")).await
    }

    pub async fn holds_a_lease(&self) {
        eventually("a lease is held", || async { self.state("lease").await > 0.0 }).await;
    }

    pub fn signal(&self, name: &str) {
        signal(self.process.id(), name);
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("what the sidecar logged: {}", self.log());
        }
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// What a client of a sidecar is told of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    Active,
    Inactive(v1::InactiveReason),
    /// It cannot be known, by its reason.
    Unknown(String),
}

impl From<Result<v1::IntrospectTokenResponse, Status>> for Told {
    fn from(answer: Result<v1::IntrospectTokenResponse, Status>) -> Self {
        match answer {
            Ok(answer) if answer.active => Self::Active,
            Ok(answer) => Self::Inactive(answer.inactive_reason()),
            Err(status) => Self::Unknown(crate::clients::refusal(&status).reason),
        }
    }
}

/// Asks about a token.
pub async fn told(client: &mut Client, secret: &str) -> Told {
    client.introspect(secret).await.into()
}
