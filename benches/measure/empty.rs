//! The reference: a server whose only RPC takes and gives as many bytes as an introspection, and does nothing.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::process::Command;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use hyper::body::Incoming;
use prost::Message;
use prost::bytes::Bytes;
use tokenkeep::compose::bounded;
use tokenkeep::metrics::Metrics;
use tokenkeep::rpc::{Direct, DirectCalls, Encoded};
use tokenkeep::server::serving::{Serving, ServingOptions};
use tokenkeep::server::tls::TlsFiles;
use tonic::body::Body;
use tonic::client;
use tonic::codegen::Service as HttpService;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use super::arguments;
use super::page::Outcome;
use super::served::Service;

/// The path of the RPC, as long as that of an introspection.
pub(crate) const PATH: &str = "/tokenkeep.v1.EmptyService/AnswerWithBytes";

/// What is said to a benchmark for it to be such a server, followed by on what it is served.
const ROLE: &str = "--serve-empty";
const SIZE: &str = "--answer";

/// The largest request, in bytes.
const LARGEST: usize = 64 * 1024;

/// On what it is served.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// One thread of the product's, behind the layers that every request of the product passes.
    PerCore,
    /// The same by the shorter way that introspections have.
    Direct,
    /// One worker of tonic's own server.
    Stock,
}

/// What starts one, this program in another role, whose answers take so many bytes each.
pub(crate) fn command(kind: Kind, size: usize) -> Outcome<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    let kind = match kind {
        Kind::PerCore => "per-core",
        Kind::Direct => "direct",
        Kind::Stock => "stock",
    };
    command.args([ROLE, kind, SIZE, &size.to_string()]);
    Ok(command)
}

/// Serves until the process is ended, if that is what it was started for, having said where, as the product says it.
pub(crate) fn serve_if_told() -> Outcome<()> {
    let Some(kind) = arguments::word(ROLE) else { return Ok(()) };
    let service = Empty(message(arguments::number(SIZE, 0)?));
    match kind.as_str() {
        "stock" => serve_stock(service),
        "direct" => {
            let calls = AnswerWithBytes(service.0.clone());
            serve_per_core(Direct::new(calls, Routes::new(service).prepare(), LARGEST))
        }
        _ => serve_per_core(Routes::new(service).prepare()),
    }
}

/// A message of bytes that mean nothing, which takes so many on the wire.
pub(crate) fn message(size: usize) -> Bytes {
    // A tag, and a length of one byte or two.
    let beside = if size > 129 { 3 } else { 2 };
    vec![b'x'; size.saturating_sub(beside)].into()
}

/// Asks once.
pub(crate) async fn call(service: Service, request: Bytes) -> Result<(), Status> {
    let mut client = client::Grpc::new(service);
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let codec = ProstCodec::<Bytes, Bytes>::default();
    client.unary(Request::new(request), http::uri::PathAndQuery::from_static(PATH), codec).await.map(drop)
}

fn serve_per_core<Api>(api: Api) -> Outcome<()>
where
    Api: HttpService<
            http::Request<Incoming>,
            Response = http::Response<Body>,
            Error = Infallible,
            Future: Send,
        >,
    Api: Clone + Send + 'static,
{
    let address = arguments::word("--listen").ok_or("where to listen is not said")?.parse()?;
    let files = arguments::word("--tls-certificate").zip(arguments::word("--tls-key"));
    let mut options = ServingOptions::new(address);
    options.threads = NonZeroUsize::MIN;
    options.tls = files.map(|(certificate, key)| tls(&certificate, &key));
    let metrics = Metrics::new([PATH.to_owned()]);
    let serving = Serving::start(options.clone(), bounded(api, &metrics, &options))?;
    let addresses: Vec<String> = serving.local_addresses().iter().map(ToString::to_string).collect();
    say(&addresses.join(","));
    loop {
        thread::park();
    }
}

/// The files of a server's certificate, which nobody replaces.
fn tls(certificate: &str, key: &str) -> TlsFiles {
    TlsFiles {
        certificate_chain: certificate.into(),
        private_key: key.into(),
        client_authority: None,
        reload_interval: Duration::from_hours(1),
    }
}

fn serve_stock(service: Empty) -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let incoming = TcpIncoming::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        say(&incoming.local_addr()?.to_string());
        let serving = Server::builder().add_routes(Routes::new(service).prepare());
        tokio::spawn(serving.serve_with_incoming(incoming.with_nodelay(Some(true)))).await??;
        Ok(())
    })
}

/// It has no operations to be looked at.
fn say(listen: &str) {
    eprintln!(r#"{{"message":"serving","listen":"{listen}","operations":"127.0.0.1:1"}}"#);
}

/// The RPC by the shorter way.
struct AnswerWithBytes(Bytes);

impl DirectCalls for AnswerWithBytes {
    type Method = ();

    fn method(path: &str) -> Option<()> {
        (path == PATH).then_some(())
    }

    async fn answer(&self, (): (), request: Request<Bytes>) -> Result<Encoded, Status> {
        Bytes::decode(request.into_inner()).map_err(|error| Status::internal(error.to_string()))?;
        Ok(Encoded::of(|buffer| self.0.encode_raw(buffer)))
    }
}

/// The service, as it would be generated.
#[derive(Debug, Clone)]
struct Empty(Bytes);

impl NamedService for Empty {
    const NAME: &'static str = "tokenkeep.v1.EmptyService";
}

impl UnaryService<Bytes> for Empty {
    type Response = Bytes;
    type Future = Ready<Result<Response<Bytes>, Status>>;

    fn call(&mut self, _: Request<Bytes>) -> Self::Future {
        ready(Ok(Response::new(self.0.clone())))
    }
}

impl HttpService<http::Request<Body>> for Empty {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(Grpc::new(ProstCodec::default()).unary(service, request).await) })
    }
}
