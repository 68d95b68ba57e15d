//! The actors: proxies of either kind, before a server or a sidecar, that ask what to do with a client's request.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::Command;

use tokenkeep::proto::envoy::config::core::v3::address::Address as Kind;
use tokenkeep::proto::envoy::config::core::v3::{Address, HeaderValueOption, SocketAddress};
use tokenkeep::proto::envoy::service::auth::v3::attribute_context::{
    HttpRequest, Peer, Request as Attributes,
};
use tokenkeep::proto::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use tokenkeep::proto::envoy::service::auth::v3::check_response::HttpResponse;
use tokenkeep::proto::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::harness::Server;
use crate::sidecars::{SCOPES, Sidecar};

/// The settings that open both doors.
pub fn open(command: &mut Command) -> &mut Command {
    command.args(["--edge-listen", "127.0.0.1:0", "--edge-address-header", "x-real-ip"])
}

/// A sidecar with both doors open.
pub async fn sidecar_beside(server: &Server) -> Sidecar {
    let (_, secret) = server.operator().await.create_token("tokenkeep", "sidecar", &SCOPES).await;
    let sidecar = Sidecar::start(&[server], &secret, open).await;
    sidecar.holds_a_lease().await;
    sidecar
}

/// A way for a proxy to ask.
#[derive(Debug, Clone)]
pub struct Door {
    pub name: &'static str,
    kind: Asks,
    credential: Option<String>,
}

#[derive(Debug, Clone)]
enum Asks {
    Check(AuthorizationClient<Channel>),
    Http(SocketAddr),
}

/// What a client's request leads to, and what it sends.
#[derive(Debug, Clone, Default)]
pub struct Asked<'text> {
    pub profile: &'text str,
    pub workspace: &'text str,
    pub scopes: &'text str,
    pub audience: &'text str,
    pub headers: Vec<(&'text str, &'text str)>,
    pub address: &'text str,
}

/// What the proxy is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// To let it through, with these headers and without those. Only Envoy is told of the credential.
    Through { set: BTreeMap<String, String>, remove: Vec<String> },
    /// To answer so.
    Denied { status: u16, headers: BTreeMap<String, String>, body: String },
    /// That it cannot be decided, for this reason.
    Undecided(String),
}

impl Told {
    #[track_caller]
    pub fn through(self) -> (BTreeMap<String, String>, Vec<String>) {
        match self {
            Self::Through { set, remove } => (set, remove),
            Self::Denied { .. } | Self::Undecided(_) => panic!("not let through: {self:?}"),
        }
    }

    #[track_caller]
    pub fn denied(self) -> (u16, BTreeMap<String, String>, String) {
        match self {
            Self::Denied { status, headers, body } => (status, headers, body),
            Self::Through { .. } | Self::Undecided(_) => panic!("not denied: {self:?}"),
        }
    }
}

impl Door {
    /// The doors of a server, for a caller with this credential.
    pub async fn of_server(server: &Server, credential: Option<&str>) -> [Self; 2] {
        Self::both(["Check at a server", "HTTP at a server"], server.address, server.edge, credential).await
    }

    /// The doors of a sidecar, which asks nobody for a credential.
    pub async fn of_sidecar(sidecar: &Sidecar) -> [Self; 2] {
        Self::both(["Check at a sidecar", "HTTP at a sidecar"], sidecar.address, sidecar.edge, None).await
    }

    async fn both(
        names: [&'static str; 2],
        address: SocketAddr,
        edge: Option<SocketAddr>,
        credential: Option<&str>,
    ) -> [Self; 2] {
        let channel = Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
        let credential = credential.map(str::to_owned);
        let kinds = [Asks::Check(AuthorizationClient::new(channel)), Asks::Http(edge.unwrap())];
        let [check, http] = kinds;
        let [of_check, of_http] = names;
        [
            Self { name: of_check, kind: check, credential: credential.clone() },
            Self { name: of_http, kind: http, credential },
        ]
    }

    /// Asks.
    pub async fn ask(&self, asked: &Asked<'_>) -> Told {
        match &self.kind {
            Asks::Check(client) => told_by_check(client.clone().check(self.check(asked)).await),
            Asks::Http(address) => self.ask_over_http(*address, asked).await,
        }
    }

    /// Whether it is Envoy's.
    pub const fn is_check(&self) -> bool {
        matches!(self.kind, Asks::Check(_))
    }

    fn check(&self, asked: &Asked<'_>) -> Request<CheckRequest> {
        let context = route(asked, "scopes").map(|(key, value)| (key.to_owned(), value.to_owned()));
        let lower = |(name, value): &(&str, &str)| (name.to_lowercase(), (*value).to_owned());
        let http =
            HttpRequest { headers: asked.headers.iter().map(lower).collect(), ..HttpRequest::default() };
        let socket = SocketAddress { address: asked.address.to_owned(), ..SocketAddress::default() };
        let address = Some(Address { address: Some(Kind::SocketAddress(socket)) });
        let attributes = AttributeContext {
            source: Some(Peer { address, ..Peer::default() }),
            request: Some(Attributes { http: Some(http), time: None }),
            context_extensions: context.collect(),
            ..AttributeContext::default()
        };
        let mut request = Request::new(CheckRequest { attributes: Some(attributes) });
        if let Some(credential) = &self.credential {
            let bearer: MetadataValue<_> = format!("Bearer {credential}").parse().unwrap();
            request.metadata_mut().insert("authorization", bearer);
        }
        request
    }

    async fn ask_over_http(&self, address: SocketAddr, asked: &Asked<'_>) -> Told {
        let query =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(route(asked, "scope")).finish();
        let mut head = format!("GET /check?{query} HTTP/1.1\r\nhost: product\r\nconnection: close\r\n");
        let mut add = |name: &str, value: &str| write!(head, "{name}: {value}\r\n").unwrap();
        asked.headers.iter().for_each(|(name, value)| add(name, value));
        if !asked.address.is_empty() {
            add("x-real-ip", asked.address);
        }
        if let Some(credential) = &self.credential {
            add("proxy-authorization", &format!("Bearer {credential}"));
        }
        head.push_str("\r\n");
        told_over_http(&exchange(address, &head).await)
    }
}

/// Sends a head and reads until the connection is closed.
pub async fn exchange(address: SocketAddr, head: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

fn route<'text>(
    asked: &Asked<'text>,
    scopes: &'static str,
) -> impl Iterator<Item = (&'static str, &'text str)> {
    let pairs = [
        ("profile", asked.profile),
        ("workspace", asked.workspace),
        (scopes, asked.scopes),
        ("audience", asked.audience),
    ];
    pairs.into_iter().filter(|(_, value)| !value.is_empty())
}

fn told_by_check(answer: Result<tonic::Response<CheckResponse>, Status>) -> Told {
    let answer = match answer {
        Ok(answer) => answer.into_inner(),
        Err(status) => return Told::Undecided(crate::clients::refusal(&status).reason),
    };
    let code = answer.status.unwrap().code;
    match answer.http_response.unwrap() {
        HttpResponse::OkResponse(ok) => {
            assert_eq!(code, 0);
            Told::Through { set: pairs(ok.headers), remove: ok.headers_to_remove }
        }
        HttpResponse::DeniedResponse(denied) => {
            assert_ne!(code, 0, "Envoy lets through whatever is OK");
            let status = u16::try_from(denied.status.unwrap().code).unwrap();
            Told::Denied { status, headers: pairs(denied.headers), body: denied.body }
        }
        HttpResponse::ErrorResponse(_) => panic!("an error is one of gRPC"),
    }
}

fn pairs(headers: Vec<HeaderValueOption>) -> BTreeMap<String, String> {
    let pair = |option: HeaderValueOption| {
        assert_eq!(option.append_action, 2, "it takes the place of what the client sent");
        let header = option.header.unwrap();
        (header.key, header.value)
    };
    headers.into_iter().map(pair).collect()
}

fn told_over_http(answer: &str) -> Told {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status: u16 = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let pair =
        |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap();
    let mut headers: BTreeMap<String, String> = lines.map(pair).collect();
    headers.retain(|name, _| !["date", "content-length", "connection"].contains(&name.as_str()));
    match status {
        200 => {
            let (set, gone) =
                headers.into_iter().partition::<BTreeMap<_, _>, _>(|(_, value)| !value.is_empty());
            Told::Through { set, remove: gone.into_keys().collect() }
        }
        503 => Told::Undecided(body.split(':').next().unwrap().to_owned()),
        _ => Told::Denied { status, headers, body: body.to_owned() },
    }
}
