//! An empty call: the layers that every request passes, and behind them nothing but bytes in and bytes out.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::net::Ipv4Addr;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll};

use prost::bytes::Bytes;
use tokenkeep::compose::bounded;
use tokenkeep::metrics::Metrics;
use tokenkeep::server::listen::ListenAddress;
use tokenkeep::server::serving::{Serving, ServingOptions};
use tonic::body::Body;
use tonic::client;
use tonic::codegen::Service as HttpService;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use crate::measure::page::Outcome;
use crate::measure::served::Service;

/// As long as that of an introspection.
const PATH: &str = "/tokenkeep.v1.EmptyService/AnswerWithBytes";

/// Bytes that mean nothing.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Payload {
    #[prost(bytes = "bytes", tag = "1")]
    bytes: Bytes,
}

impl Payload {
    /// One that takes so many bytes on the wire.
    pub(crate) fn of_size(size: usize) -> Self {
        // A tag and a length of one byte or two.
        let beside = if size > 129 { 3 } else { 2 };
        Self { bytes: vec![b'x'; size.saturating_sub(beside)].into() }
    }
}

/// Serves answers of a size until it is killed, and says where, as a server does.
pub(crate) fn serve(size: usize) -> Outcome<()> {
    let mut options = ServingOptions::new(ListenAddress::Tcp((Ipv4Addr::LOCALHOST, 0).into()));
    options.threads = NonZeroUsize::MIN;
    let metrics = Metrics::new([PATH.to_owned()]);
    let routes = Routes::new(EmptyService(Payload::of_size(size)));
    let serving = Serving::start(options.clone(), bounded(routes, &metrics, &options))?;
    let address = serving.local_addresses().first().ok_or("no address")?;
    let address = address.to_string();
    // In the words of the product, which whoever starts it reads. It has no operations to be looked at.
    eprintln!("{}", serde_json::json!({ "message": "serving", "listen": address, "operations": address }));
    loop {
        std::thread::park();
    }
}

/// Asks once.
pub(crate) async fn call(service: Service, request: Payload) -> Result<(), Status> {
    let mut client = client::Grpc::new(service);
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let codec = ProstCodec::<Payload, Payload>::default();
    client.unary(Request::new(request), http::uri::PathAndQuery::from_static(PATH), codec).await.map(drop)
}

#[derive(Clone)]
struct EmptyService(Payload);

impl NamedService for EmptyService {
    const NAME: &'static str = "tokenkeep.v1.EmptyService";
}

impl UnaryService<Payload> for EmptyService {
    type Response = Payload;
    type Future = Ready<Result<Response<Payload>, Status>>;

    fn call(&mut self, _: Request<Payload>) -> Self::Future {
        ready(Ok(Response::new(self.0.clone())))
    }
}

impl HttpService<http::Request<Body>> for EmptyService {
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
