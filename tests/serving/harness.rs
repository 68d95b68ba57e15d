//! Servers, clients and raw HTTP/2 frames for the tests.

use std::convert::Infallible;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use tokenkeep::server::connection::GrpcService;
use tokenkeep::server::listen::ListenAddress;
use tokenkeep::server::serving::{Serving, ServingOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// The most any test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub(crate) const EMPTY_SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RESET: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Two threads on a free port of loopback.
pub(crate) fn options() -> ServingOptions {
    let mut options = ServingOptions::new(ListenAddress::Tcp((Ipv4Addr::LOCALHOST, 0).into()));
    options.threads = NonZeroUsize::new(2).unwrap();
    options
}

pub(crate) fn health() -> Routes {
    Routes::new(tonic_health::server::health_reporter().1).prepare()
}

/// A service that answers each request by the future.
pub(crate) fn answering<F>(
    answer: impl Fn(Request<Incoming>) -> F + Clone + Send + 'static,
) -> impl GrpcService
where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    tower::service_fn(move |request| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    })
}

/// An empty answer with the status OK.
pub(crate) fn ok() -> Response<Body> {
    Status::ok("").into_http()
}

pub(crate) fn address(serving: &Serving) -> SocketAddr {
    match serving.local_addresses().first() {
        Some(ListenAddress::Tcp(address)) => *address,
        other => panic!("no TCP address: {other:?}"),
    }
}

pub(crate) async fn channel(serving: &Serving) -> Channel {
    Endpoint::from_shared(format!("http://{}", address(serving))).unwrap().connect().await.unwrap()
}

pub(crate) async fn client(serving: &Serving) -> HealthClient<Channel> {
    HealthClient::new(channel(serving).await)
}

/// One call; its outcome is the server's status, `Err(Unimplemented)` and such included.
pub(crate) async fn check(client: &mut HealthClient<Channel>) -> Result<(), Status> {
    client.check(HealthCheckRequest::default()).await.map(drop)
}

pub(crate) async fn connect(serving: &Serving) -> TcpStream {
    TcpStream::connect(address(serving)).await.unwrap()
}

/// A raw HTTP/2 connection that has said hello.
pub(crate) async fn raw(serving: &Serving) -> TcpStream {
    let mut stream = connect(serving).await;
    stream.write_all(&[PREFACE, EMPTY_SETTINGS].concat()).await.unwrap();
    stream
}

/// A frame of the kind, with flags, on a stream.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The headers of a gRPC call to the health service's method, with no message after them.
pub(crate) fn call(stream: u32, method: &str, extra: &[(&str, &str)]) -> Vec<u8> {
    let path = format!("/grpc.health.v1.Health/{method}");
    let mut block = vec![0x83, 0x86];
    block.extend([&[0x04], &literal(&path)[..], &[0x01], &literal("localhost")].concat());
    for (name, value) in [("content-type", "application/grpc")].iter().chain(extra) {
        block.extend([&[0x00], &literal(name)[..], &literal(value)].concat());
    }
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block)
}

/// A whole call of `Watch`, its empty message included.
pub(crate) fn watch(stream: u32, extra: &[(&str, &str)]) -> Vec<u8> {
    let mut headers = call(stream, "Watch", extra);
    headers[4] &= !END_STREAM;
    [headers, frame(DATA, END_STREAM, stream, &[0; 5])].concat()
}

fn literal(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

/// Reads frames until one passes: (kind, flags, stream, payload).
pub(crate) async fn read_until(
    stream: &mut TcpStream,
    wanted: impl Fn(u8, u8, u32) -> bool,
) -> (u8, u8, u32, Vec<u8>) {
    let reading = async {
        loop {
            let mut head = [0; 9];
            stream.read_exact(&mut head).await.unwrap();
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let on = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            stream.read_exact(&mut payload).await.unwrap();
            if wanted(head[3], head[4], on) {
                return (head[3], head[4], on, payload);
            }
        }
    };
    timeout(PATIENCE, reading).await.expect("the frame did not come")
}

/// Waits until the server has closed the connection, and says how long that took.
pub(crate) async fn closed(stream: &mut TcpStream) -> Duration {
    let began = Instant::now();
    let mut rest = Vec::new();
    drop(timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("the connection stayed open"));
    began.elapsed()
}

/// Polls until `holds`.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Polls until at least `count` has been counted.
pub(crate) async fn counted(counter: &AtomicU64, count: u64) {
    until("it is counted", || counter.load(Ordering::Relaxed) >= count).await;
}
