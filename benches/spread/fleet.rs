//! Servers and sidecars over one database, and clients of each.

use std::net::SocketAddr;

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::token_service_client::TokenServiceClient;
use tokenkeep::proto::v1::workspace_service_client::WorkspaceServiceClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::link::Link;
use crate::measure::database::{FIRST, PrivateDatabase};
use crate::measure::page::Outcome;
use crate::measure::process::{ServerProcess, tokenkeep};

const WORKSPACE: &str = "acme";

/// A caller with or without a credential.
pub(crate) type Tokens = TokenServiceClient<InterceptedService<Channel, Credential>>;

/// Puts a token into every request.
#[derive(Clone)]
pub(crate) struct Credential(Option<MetadataValue<Ascii>>);

impl Interceptor for Credential {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(credential) = &self.0 {
            request.metadata_mut().insert("authorization", credential.clone());
        }
        Ok(request)
    }
}

/// A token as its client holds it.
#[derive(Debug, Clone)]
pub(crate) struct Issued {
    pub(crate) id: String,
    pub(crate) secret: String,
}

/// What a cache says of a presented token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Accepted,
    Denied,
    Undecided,
}

/// The fleet at work. The order is that of the drops: sidecars go before servers.
pub(crate) struct Fleet {
    pub(crate) sidecars: Vec<Tokens>,
    pub(crate) servers: Vec<Tokens>,
    /// The way of each sidecar to its server.
    pub(crate) links: Vec<Link>,
    _processes: Vec<ServerProcess>,
}

impl Fleet {
    /// Starts so many of each over a database of that name; sidecars take turns in choosing their server.
    pub(crate) async fn start(
        database: &PrivateDatabase,
        name: &str,
        (servers, sidecars): (usize, usize),
        settings: &[&str],
    ) -> Outcome<Self> {
        let client = database.connect(FIRST).await?;
        client.batch_execute(&format!("CREATE DATABASE {name}")).await?;
        let keyring = database.directory().join("keyring");
        let credential_file = database.directory().join(format!("operator-token-of-{name}"));
        let role = |role: &str| {
            let mut command = tokenkeep(role);
            command.env("TOKENKEEP_DATABASE_URL", database.url(name)).arg("--keyring").arg(&keyring);
            command
        };
        if !role("operator-token").arg("--out").arg(&credential_file).status()?.success() {
            return Err("there is no operator's token".into());
        }
        let secret = std::fs::read_to_string(&credential_file)?;
        let credential = Credential(Some(format!("Bearer {}", secret.trim()).parse()?));
        let (mut processes, mut links) = (Vec::new(), Vec::new());
        let (mut server_clients, mut sidecar_clients) = (Vec::new(), Vec::new());
        for _ in 0..servers {
            let server = ServerProcess::start(role("serve").args(settings))?;
            server_clients.push(TokenServiceClient::new(connect(server.address, credential.clone()).await?));
            processes.push(server);
        }
        let channel = connect(first(&processes)?.address, credential.clone()).await?;
        create_workspace(WorkspaceServiceClient::new(channel)).await?;
        for number in 0..sidecars {
            let upstream = processes.get(number % servers).ok_or("no such server")?.address;
            let link = Link::to(upstream).await?;
            let mut command = tokenkeep("sidecar");
            command.arg("--upstream").arg(format!("http://{}", link.address));
            let sidecar = ServerProcess::start(command.arg("--credential-file").arg(&credential_file))?;
            sidecar_clients.push(TokenServiceClient::new(connect(sidecar.address, Credential(None)).await?));
            processes.push(sidecar);
            links.push(link);
        }
        processes.reverse();
        Ok(Self { sidecars: sidecar_clients, servers: server_clients, links, _processes: processes })
    }

    /// A client of the first server.
    pub(crate) fn first(&self) -> Outcome<Tokens> {
        self.servers.first().cloned().ok_or_else(|| "no server".into())
    }

    /// A token that every server and every sidecar has accepted, so that each has it in its cache.
    pub(crate) async fn known_token(&self) -> Outcome<Issued> {
        let request = v1::CreateTokenRequest {
            workspace: WORKSPACE.to_owned(),
            name: "a token to be revoked".to_owned(),
            scopes: vec!["articles:read".to_owned()],
            ..Default::default()
        };
        let created = self.first()?.create_token(request).await?.into_inner();
        let issued = Issued { id: created.token.unwrap_or_default().id, secret: created.secret };
        for cache in self.servers.iter().chain(&self.sidecars) {
            // Twice: the first answer may come from behind the cache.
            for _ in 0..2 {
                let answer = ask(&mut cache.clone(), &issued).await?;
                if answer != Answer::Accepted {
                    return Err(format!("a live token was {answer:?}").into());
                }
            }
        }
        Ok(issued)
    }
}

fn first(processes: &[ServerProcess]) -> Outcome<&ServerProcess> {
    processes.first().ok_or_else(|| "no server".into())
}

async fn connect(
    address: SocketAddr,
    credential: Credential,
) -> Outcome<InterceptedService<Channel, Credential>> {
    let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
    Ok(InterceptedService::new(channel, credential))
}

async fn create_workspace(
    mut workspaces: WorkspaceServiceClient<InterceptedService<Channel, Credential>>,
) -> Outcome<()> {
    let workspace = v1::Workspace { id: WORKSPACE.to_owned(), name: "Acme".to_owned(), ..Default::default() };
    workspaces.create_workspace(v1::CreateWorkspaceRequest { workspace: Some(workspace) }).await?;
    Ok(())
}

/// What a cache says of a token now.
pub(crate) async fn ask(cache: &mut Tokens, issued: &Issued) -> Outcome<Answer> {
    let request = v1::IntrospectTokenRequest { token: issued.secret.clone(), ..Default::default() };
    match cache.introspect_token(request).await {
        Ok(answer) if answer.get_ref().active => Ok(Answer::Accepted),
        Ok(_) => Ok(Answer::Denied),
        Err(status) if undecided(&status) => Ok(Answer::Undecided),
        Err(status) => Err(status.into()),
    }
}

fn undecided(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded)
}

/// What a revocation was answered.
pub(crate) struct Revoked {
    pub(crate) revision: i64,
    pub(crate) fleet_confirmed: bool,
}

pub(crate) async fn revoke(
    server: &mut Tokens,
    issued: &Issued,
    wait: v1::RevocationWait,
) -> Outcome<Revoked> {
    let request = v1::RevokeTokenRequest { id: issued.id.clone(), wait: wait.into(), ..Default::default() };
    let revoked = server.revoke_token(request).await?.into_inner();
    let fleet_confirmed = revoked.fleet_confirmed;
    Ok(Revoked { revision: revoked.token.unwrap_or_default().revision, fleet_confirmed })
}
