//! A database with the operator's token in it, the programs that serve it, and clients of these.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::token_service_client::TokenServiceClient;
use tokenkeep::proto::v1::workspace_service_client::WorkspaceServiceClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::database::{FIRST, PrivateDatabase};
use super::page::Outcome;
use super::process::{ServerProcess, tokenkeep};

/// The workspace that all tokens are in.
pub(crate) const WORKSPACE: &str = "acme";

/// A connection, and what its caller authenticates by.
pub(crate) type Service = InterceptedService<Channel, Credential>;

pub(crate) type Tokens = TokenServiceClient<Service>;

/// Puts a token, if there is one, into every request.
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

pub(crate) struct ServedDatabase {
    url: String,
    keyring: PathBuf,
    credential_file: PathBuf,
    operator: Credential,
}

impl ServedDatabase {
    /// Makes a database of that name, unless it is the one that is there from the beginning, and mints the operator's
    /// token.
    pub(crate) async fn prepare(database: &PrivateDatabase, name: &str) -> Outcome<Self> {
        if name != FIRST {
            let client = database.connect(FIRST).await?;
            client.batch_execute(&format!("CREATE DATABASE {name}")).await?;
        }
        let mut served = Self {
            url: database.url(name),
            keyring: database.directory().join("keyring"),
            credential_file: database.directory().join(format!("operator-token-of-{name}")),
            operator: Credential(None),
        };
        if !served.role("operator-token").arg("--out").arg(&served.credential_file).status()?.success() {
            return Err("there is no operator's token".into());
        }
        let secret = std::fs::read_to_string(&served.credential_file)?;
        served.operator = Credential(Some(format!("Bearer {}", secret.trim()).parse()?));
        Ok(served)
    }

    pub(crate) fn role(&self, role: &str) -> Command {
        let mut command = tokenkeep(role);
        command.env("TOKENKEEP_DATABASE_URL", &self.url).arg("--keyring").arg(&self.keyring);
        command
    }

    /// Where the database is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The file of the operator's token.
    pub(crate) fn credential_file(&self) -> &Path {
        &self.credential_file
    }

    /// Starts a server over it.
    pub(crate) fn serve(&self, settings: &[&str]) -> Outcome<ServerProcess> {
        ServerProcess::start(&mut self.server(settings))
    }

    /// What starts a server over it.
    pub(crate) fn server(&self, settings: &[&str]) -> Command {
        let mut command = self.role("serve");
        command.args(settings);
        command
    }

    /// Connects the operator to a server.
    pub(crate) async fn operator(&self, server: SocketAddr) -> Outcome<Service> {
        connect(server, self.operator.clone()).await
    }

    /// Issues callers' tokens that may introspect and revoke in every workspace, through a server.
    pub(crate) async fn create_callers(&self, server: SocketAddr, count: usize) -> Outcome<Vec<String>> {
        let mut tokens = TokenServiceClient::new(self.operator(server).await?);
        let mut callers = Vec::with_capacity(count);
        for number in 0..count {
            let request = v1::CreateTokenRequest {
                workspace: "tokenkeep".to_owned(),
                name: format!("caller {number}"),
                scopes: vec!["tokenkeep:introspect".to_owned(), "tokenkeep:tokens:revoke".to_owned()],
                ..Default::default()
            };
            callers.push(tokens.create_token(request).await?.into_inner().secret);
        }
        Ok(callers)
    }

    /// Connects somebody who has a token.
    pub(crate) async fn caller(&self, server: SocketAddr, secret: &str) -> Outcome<Service> {
        connect(server, Credential(Some(format!("Bearer {secret}").parse()?))).await
    }

    /// Makes the workspace, through a server.
    pub(crate) async fn create_workspace(&self, server: SocketAddr) -> Outcome<()> {
        let mut workspaces = WorkspaceServiceClient::new(self.operator(server).await?);
        let workspace =
            v1::Workspace { id: WORKSPACE.to_owned(), name: "Acme".to_owned(), ..Default::default() };
        workspaces
            .create_workspace(v1::CreateWorkspaceRequest { workspace: Some(workspace), ..Default::default() })
            .await?;
        Ok(())
    }
}

/// Connects somebody without a credential, as one is to a sidecar.
pub(crate) async fn stranger(address: SocketAddr) -> Outcome<Service> {
    connect(address, Credential(None)).await
}

async fn connect(address: SocketAddr, credential: Credential) -> Outcome<Service> {
    let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
    Ok(InterceptedService::new(channel, credential))
}
