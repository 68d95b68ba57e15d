//! Servers and sidecars over one database, and clients of each.

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::token_service_client::TokenServiceClient;
use tonic::{Code, Status};

use super::link::Link;
use crate::measure::database::PrivateDatabase;
use crate::measure::page::Outcome;
use crate::measure::process::{ServerProcess, tokenkeep};
pub(crate) use crate::measure::served::Tokens;
use crate::measure::served::{ServedDatabase, WORKSPACE, stranger};

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
        let database = ServedDatabase::prepare(database, name).await?;
        let (mut processes, mut links) = (Vec::new(), Vec::new());
        let (mut server_clients, mut sidecar_clients) = (Vec::new(), Vec::new());
        for _ in 0..servers {
            let server = database.serve(settings)?;
            server_clients.push(TokenServiceClient::new(database.operator(server.address).await?));
            processes.push(server);
        }
        database.create_workspace(first(&processes)?.address).await?;
        for number in 0..sidecars {
            let upstream = processes.get(number % servers).ok_or("no such server")?.address;
            let link = Link::to(upstream).await?;
            let mut command = tokenkeep("sidecar");
            command.arg("--upstream").arg(format!("http://{}", link.address));
            let sidecar =
                ServerProcess::start(command.arg("--credential-file").arg(database.credential_file()))?;
            sidecar_clients.push(TokenServiceClient::new(stranger(sidecar.address).await?));
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
