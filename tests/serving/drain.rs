//! The drain always ends, whatever clients do.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::body::{Bytes, Frame};
use tokenkeep::server::serving::Serving;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tonic::body::Body;
use tonic_health::pb::HealthCheckRequest;

use crate::harness::*;
use crate::tls::Certificates;

const DEADLINE: Duration = Duration::from_millis(300);

/// What a drain may take beyond its deadline: less than the second that blocked threads are given.
const SLACK: Duration = Duration::from_millis(900);

#[tokio::test]
async fn an_idle_server_drains_at_once_and_accepts_no_more() {
    let serving = Serving::start(options(), health()).unwrap();
    let (address, mut idle) = (address(&serving), client(&serving).await);
    check(&mut idle).await.unwrap();

    let report = serving.drain(PATIENCE).await;

    assert_eq!((report.graceful, report.cut), (1, 0));
    assert!(report.elapsed < PATIENCE / 2, "{report:?}");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_call_in_flight_is_answered_before_the_drain_ends() {
    let (arrived, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (in_service, may_answer) = (Arc::clone(&arrived), Arc::clone(&release));
    let service = answering(move |_| {
        let (arrived, release) = (Arc::clone(&in_service), Arc::clone(&may_answer));
        async move {
            arrived.notify_one();
            release.notified().await;
            ok()
        }
    });
    let options = options();
    let draining = options.draining.clone();
    let serving = Serving::start(options, service).unwrap();
    let mut caller = client(&serving).await;
    let call = tokio::spawn(async move { check(&mut caller).await });
    arrived.notified().await;

    let drain = tokio::spawn(serving.drain(PATIENCE));
    draining.cancelled().await;
    release.notify_one();

    let report = drain.await.unwrap();
    assert_eq!((report.graceful, report.cut), (1, 0));
    // The stand-in answers with no message, which the client can only say after the answer has come.
    assert!(call.await.unwrap().unwrap_err().message().contains("Missing"));
}

#[tokio::test]
async fn an_open_stream_does_not_outlive_the_drain() {
    let serving = Serving::start(options(), health()).unwrap();
    let mut client = client(&serving).await;
    let mut stream = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    stream.message().await.unwrap().unwrap();

    let report = serving.drain(DEADLINE).await;

    assert_eq!((report.graceful, report.cut), (0, 1));
    assert!(report.elapsed < DEADLINE + SLACK, "{report:?}");
    assert!(stream.message().await.is_err());
}

#[tokio::test]
async fn a_silent_socket_does_not_hold_up_the_drain() {
    let mut options = options();
    options.limits.preface_timeout = PATIENCE * 2;
    let counters = Arc::clone(&options.counters);
    let serving = Serving::start(options, health()).unwrap();
    let mut silent = connect(&serving).await;
    until("the connection is accepted", || counters.open.load(Ordering::Relaxed) == 1).await;

    let report = serving.drain(PATIENCE).await;

    assert!(report.elapsed < PATIENCE / 2, "{report:?}");
    closed(&mut silent).await;
}

#[tokio::test]
async fn half_a_tls_handshake_does_not_hold_up_the_drain() {
    let certificates = Certificates::new();
    let mut options = options();
    options.tls = Some(certificates.files(false));
    options.limits.tls_handshake_timeout = PATIENCE * 2;
    let counters = Arc::clone(&options.counters);
    let serving = Serving::start(options, health()).unwrap();
    let mut half = connect(&serving).await;
    half.write_all(&[22, 3, 1, 1, 0, 1]).await.unwrap();
    until("the connection is accepted", || counters.open.load(Ordering::Relaxed) == 1).await;

    let report = serving.drain(PATIENCE).await;

    assert!(report.elapsed < PATIENCE / 2, "{report:?}");
    closed(&mut half).await;
}

#[tokio::test]
async fn a_client_that_stopped_reading_does_not_hold_up_the_drain() {
    let serving = Serving::start(options(), answering(|_| async { endless() })).unwrap();
    let _deaf = deaf(&serving).await;

    let report = serving.drain(DEADLINE).await;

    assert_eq!((report.graceful, report.cut), (0, 1));
    assert!(report.elapsed < DEADLINE + SLACK, "{report:?}");
}

#[tokio::test]
async fn a_client_that_stopped_reading_is_closed_without_a_drain() {
    let mut options = options();
    options.limits.keepalive_interval = Duration::from_millis(100);
    options.limits.keepalive_timeout = Duration::from_millis(100);
    options.limits.write_stall_timeout = Duration::from_millis(300);
    let counters = Arc::clone(&options.counters);
    let serving = Serving::start(options, answering(|_| async { endless() })).unwrap();
    let _deaf = deaf(&serving).await;

    until("the deaf connection is closed", || counters.open.load(Ordering::Relaxed) == 0).await;
}

#[tokio::test]
async fn a_blocked_thread_does_not_hold_up_the_drain() {
    let blocked = Arc::new(Notify::new());
    let signal = Arc::clone(&blocked);
    let service = answering(move |_| {
        let blocked = Arc::clone(&signal);
        async move {
            blocked.notify_one();
            std::thread::sleep(PATIENCE);
            ok()
        }
    });
    let serving = Serving::start(options(), service).unwrap();
    let mut client = client(&serving).await;
    tokio::spawn(async move { check(&mut client).await });
    blocked.notified().await;

    let report = serving.drain(DEADLINE).await;

    assert!(report.elapsed < DEADLINE + 3 * SLACK, "{report:?}");
}

#[tokio::test]
async fn dropping_the_server_cuts_its_connections() {
    let serving = Serving::start(options(), health()).unwrap();
    let mut stream = raw(&serving).await;
    stream.write_all(&watch(1, &[])).await.unwrap();
    read_until(&mut stream, |kind, _, on| kind == DATA && on == 1).await;
    drop(serving);
    closed(&mut stream).await;
}

/// A client that asks for an endless answer, opens every window and takes nothing.
async fn deaf(serving: &Serving) -> TcpStream {
    let mut stream = connect(serving).await;
    let huge_window = [0, 4, 0x7f, 0xff, 0xff, 0xff];
    let widen = frame(8, 0, 0, &0x7fff_0000_u32.to_be_bytes());
    let hello = [PREFACE, &frame(SETTINGS, 0, 0, &huge_window), &widen, &call(1, "Check", &[])].concat();
    stream.write_all(&hello).await.unwrap();
    let mut first = [0; 9];
    stream.read_exact(&mut first).await.unwrap();
    stream
}

/// A response whose body never ends.
fn endless() -> http::Response<Body> {
    struct Endless;
    impl hyper::body::Body for Endless {
        type Data = Bytes;
        type Error = std::convert::Infallible;
        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            std::task::Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 16_384])))))
        }
    }
    http::Response::new(Body::new(Endless))
}
