//! The reference: a server whose only RPC takes and gives as many bytes as an introspection, and does nothing.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Bytes, Incoming};
use tokenkeep::metrics::Metrics;
use tokenkeep::server::deadline::{DeadlineRules, Deadlines};
use tokenkeep::server::in_flight::InFlight;
use tokenkeep::server::listen::ListenAddress;
use tokenkeep::server::serving::{Serving, ServingOptions};
use tokenkeep::server::tls::TlsFiles;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_prost::ProstCodec;
use tower::{Layer as _, ServiceExt};

use crate::measure::page::Outcome;

/// The path of the RPC.
pub(crate) const PATH: &str = "/tokenkeep.empty.EmptyService/AnswerNothing";

/// What is said to this program for it to be such a server, followed by the kind and the length of the answers.
pub(crate) const ROLE: &str = "--serve-empty";

/// On what it is served.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    /// Threads of the product's, with the layers that every request of the product passes.
    PerCore(ListenAddress, Option<TlsFiles>),
    /// One worker of tonic's own server.
    Stock,
}

/// The files of a server's certificate, which nobody replaces.
pub(crate) fn tls(certificate: &str, key: &str) -> TlsFiles {
    TlsFiles {
        certificate_chain: certificate.into(),
        private_key: key.into(),
        client_authority: None,
        reload_interval: Duration::from_hours(1),
    }
}

/// Serves until the process is ended, having said where, as the product says it.
pub(crate) fn serve(kind: Kind, answer: usize) -> Outcome<()> {
    let service = Empty(Bytes::from(vec![b'.'; answer]));
    match kind {
        Kind::PerCore(address, tls) => {
            let serving = serve_per_core(address, tls, service)?;
            let addresses: Vec<String> = serving.local_addresses().iter().map(ToString::to_string).collect();
            say(&addresses.join(","));
            loop {
                thread::park();
            }
        }
        Kind::Stock => {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
            runtime.block_on(async {
                let incoming = TcpIncoming::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
                say(&incoming.local_addr()?.to_string());
                let serving = Server::builder().add_routes(Routes::new(service).prepare());
                tokio::spawn(serving.serve_with_incoming(incoming.with_nodelay(Some(true)))).await??;
                Ok(())
            })
        }
    }
}

fn say(listen: &str) {
    eprintln!(r#"{{"message":"serving","listen":"{listen}","operations":"127.0.0.1:1"}}"#);
}

fn serve_per_core(address: ListenAddress, tls: Option<TlsFiles>, service: Empty) -> Outcome<Serving> {
    let mut options = ServingOptions::new(address);
    options.threads = NonZeroUsize::MIN;
    options.tls = tls;
    let rules = DeadlineRules {
        unary_maximum: options.limits.unary_deadline,
        is_streaming: |path| path.ends_with("/Watch"),
        exceeded: || Status::deadline_exceeded("too late"),
        malformed: || Status::invalid_argument("no timeout"),
    };
    let bounded = Deadlines::new(Routes::new(service).prepare(), rules);
    let overloaded = || Status::resource_exhausted("too much");
    let admitted =
        InFlight::new(bounded, options.limits.requests_in_flight, overloaded, Arc::clone(&options.counters));
    let counted = Metrics::new([PATH.to_owned()]).count_requests().layer(admitted);
    let served = ServiceExt::<Request<Incoming>>::map_response(counted, |response| response.map(Body::new));
    Ok(Serving::start(options, served)?)
}

/// The service, as it would be generated.
#[derive(Debug, Clone)]
struct Empty(Bytes);

impl NamedService for Empty {
    const NAME: &'static str = "tokenkeep.empty.EmptyService";
}

impl UnaryService<Bytes> for Empty {
    type Response = Bytes;
    type Future = Ready<Result<tonic::Response<Bytes>, Status>>;

    fn call(&mut self, _: tonic::Request<Bytes>) -> Self::Future {
        ready(Ok(tonic::Response::new(self.0.clone())))
    }
}

impl Service<Request<Body>> for Empty {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(Grpc::new(ProstCodec::default()).unary(service, request).await) })
    }
}
