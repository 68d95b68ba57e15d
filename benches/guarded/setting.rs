//! A server with its own PostgreSQL, a sidecar on a Unix socket, and live tokens of a product.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokenkeep::proto::v1;
use tokenkeep::proto::v1::token_service_client::TokenServiceClient;
use tokenkeep::proto::v1::workspace_service_client::WorkspaceServiceClient;
use tonic::Request;
use tonic::transport::{Channel, Endpoint};

use super::load::CLIENTS;
use crate::measure::page::Outcome;
use crate::measure::process::{ServerProcess, tokenkeep};

/// The workspace, and the profile, of the tokens.
pub(crate) const WORKSPACE: &str = "press";
pub(crate) const PROFILE: &str = "strapi";

/// The order is that of the drops: the sidecar goes before its server.
pub(crate) struct Setting {
    _sidecar: Sidecar,
    _server: ServerProcess,
    /// The sidecar's.
    pub(crate) socket: PathBuf,
    /// One for each client.
    pub(crate) secrets: Vec<String>,
}

impl Setting {
    pub(crate) fn start(directory: &Path) -> Outcome<Self> {
        let data = directory.join("data");
        let server = ServerProcess::start(tokenkeep("dev").arg("--data-dir").arg(&data))?;
        let credential = data.join("operator-token");
        let secrets =
            tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
                let channel = Endpoint::from_shared(format!("http://{}", server.address))?.connect().await?;
                tokens(channel, &fs::read_to_string(&credential)?).await
            })?;
        let socket = directory.join("sidecar.sock");
        let sidecar = Sidecar::start(&server, &credential, &socket)?;
        Ok(Self { _sidecar: sidecar, _server: server, socket, secrets })
    }
}

/// Makes the workspace, and a token for each client.
async fn tokens(channel: Channel, credential: &str) -> Outcome<Vec<String>> {
    let workspace = v1::Workspace {
        id: WORKSPACE.to_owned(),
        name: "The press".to_owned(),
        profile: PROFILE.to_owned(),
        ..Default::default()
    };
    let request = v1::CreateWorkspaceRequest { workspace: Some(workspace), ..Default::default() };
    WorkspaceServiceClient::new(channel.clone()).create_workspace(authorized(request, credential)?).await?;
    let mut secrets = Vec::new();
    for _ in 0..CLIENTS {
        let request = v1::CreateTokenRequest {
            workspace: WORKSPACE.to_owned(),
            name: "a client".to_owned(),
            r#type: v1::TokenType::ReadOnly.into(),
            expiration: Some(v1::create_token_request::Expiration::NeverExpires(true)),
            ..Default::default()
        };
        let request = authorized(request, credential)?;
        let created = TokenServiceClient::new(channel.clone()).create_token(request).await?;
        secrets.push(created.into_inner().secret);
    }
    Ok(secrets)
}

fn authorized<Message>(message: Message, credential: &str) -> Outcome<Request<Message>> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {}", credential.trim()).parse()?);
    Ok(request)
}

struct Sidecar(Child);

impl Sidecar {
    fn start(server: &ServerProcess, credential: &Path, socket: &Path) -> Outcome<Self> {
        let process = tokenkeep("sidecar")
            .arg("--upstream")
            .arg(format!("http://{}", server.address))
            .arg("--credential-file")
            .arg(credential)
            .arg("--listen")
            .arg(format!("unix:{}", socket.display()))
            .args(["--operations-listen", "none"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let sidecar = Self(process);
        let deadline = Instant::now() + Duration::from_secs(30);
        while UnixStream::connect(socket).is_err() {
            if Instant::now() > deadline {
                return Err("the sidecar did not come up".into());
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(sidecar)
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        if let Some(id) = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw) {
            kill_process(id, Signal::TERM).ok();
        }
        self.0.wait().ok();
    }
}
