//! Requests: how many at once, how large, and what they know of their peer.

use std::sync::{Arc, Mutex};

use tokenkeep::peer::Peer;
use tokenkeep::server::deadline::{DeadlineRules, Deadlines};
use tokenkeep::server::in_flight::{InFlight, Reserve};
use tokenkeep::server::serving::Serving;
use tokio::sync::Notify;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;

use crate::harness::*;

const RULES: DeadlineRules = DeadlineRules {
    unary_maximum: PATIENCE,
    is_streaming: |path| path.ends_with("/Watch"),
    exceeded: || Status::deadline_exceeded("too late"),
    malformed: || Status::invalid_argument("no timeout"),
};

fn overloaded() -> Status {
    Status::resource_exhausted("too much at once")
}

#[tokio::test]
async fn a_request_over_the_limit_is_refused_and_the_next_is_not() {
    let (arrived, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (in_service, may_answer) = (Arc::clone(&arrived), Arc::clone(&release));
    let service = answering(move |_| {
        let (arrived, release) = (Arc::clone(&in_service), Arc::clone(&may_answer));
        async move {
            arrived.notify_one();
            release.notified().await;
            Status::not_found("reached").into_http()
        }
    });
    let options = options();
    let service = InFlight::new(Deadlines::new(service, RULES), 1, overloaded, Arc::clone(&options.counters));
    let counters = Arc::clone(&options.counters);
    let serving = Serving::start(options, service).unwrap();
    let mut first = client(&serving).await;
    let mut second = client(&serving).await;
    let held = tokio::spawn(async move { check(&mut first).await.unwrap_err() });
    arrived.notified().await;

    let refused = check(&mut second).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (Code::ResourceExhausted, "too much at once"));
    counted(&counters.requests_refused, 1).await;

    release.notify_one();
    assert_eq!(held.await.unwrap().code(), Code::NotFound);
    release.notify_one();
    assert_eq!(check(&mut second).await.unwrap_err().code(), Code::NotFound);
}

/// What must go on under a flood has places that the flood cannot take, and takes none from it.
#[tokio::test]
async fn a_reserved_place_is_there_while_all_others_are_taken() {
    let (arrived, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (in_service, may_answer) = (Arc::clone(&arrived), Arc::clone(&release));
    let service = answering(move |request: http::Request<hyper::body::Incoming>| {
        let (arrived, release) = (Arc::clone(&in_service), Arc::clone(&may_answer));
        let held = request.uri().path().ends_with("/Check");
        async move {
            if held {
                arrived.notify_one();
                release.notified().await;
            }
            Status::not_found("reached").into_http()
        }
    });
    let options = options();
    let reserve = Reserve { keeps_for: |path| path.ends_with("/Watch"), limit: 1 };
    let service = InFlight::new(Deadlines::new(service, RULES), 1, overloaded, Arc::clone(&options.counters))
        .with_reserve(reserve);
    let serving = Serving::start(options, service).unwrap();
    let mut first = client(&serving).await;
    let mut second = client(&serving).await;
    let held = tokio::spawn(async move { check(&mut first).await.unwrap_err() });
    arrived.notified().await;

    assert_eq!(check(&mut second).await.unwrap_err().code(), Code::ResourceExhausted);
    let reserved = second.watch(HealthCheckRequest::default()).await.unwrap_err();
    assert_eq!(reserved.code(), Code::NotFound);
    release.notify_one();
    assert_eq!(held.await.unwrap().code(), Code::NotFound);
}

#[tokio::test]
async fn an_open_stream_takes_no_place_among_requests_in_flight() {
    let options = options();
    let service =
        InFlight::new(Deadlines::new(health(), RULES), 1, overloaded, Arc::clone(&options.counters));
    let serving = Serving::start(options, service).unwrap();
    let mut client = client(&serving).await;
    let mut stream = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    stream.message().await.unwrap().unwrap();

    check(&mut client).await.unwrap();
}

#[tokio::test]
async fn headers_over_the_limit_are_refused() {
    let mut options = options();
    options.limits.header_list_size = 8 * 1024;
    let serving = Serving::start(options, health()).unwrap();
    let mut client = client(&serving).await;
    let mut request = Request::new(HealthCheckRequest::default());
    request.metadata_mut().insert("x-long", "x".repeat(9 * 1024).parse().unwrap());

    assert!(client.check(request).await.is_err());
    check(&mut client).await.unwrap();
}

#[tokio::test]
async fn a_request_knows_its_peer() {
    let seen = Arc::new(Mutex::new(None));
    let recorded = Arc::clone(&seen);
    let service = answering(move |request| {
        *recorded.lock().unwrap() = request.extensions().get::<Peer>().copied();
        std::future::ready(ok())
    });
    let serving = Serving::start(options(), service).unwrap();
    drop(check(&mut client(&serving).await).await);

    let peer = seen.lock().unwrap().unwrap();
    assert!(matches!(peer, Peer::Plaintext { .. }), "{peer:?}");
    assert!(peer.address().unwrap().is_loopback());
}
