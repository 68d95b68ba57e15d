//! Deadlines: the client's is honoured, and a unary call has one in any case.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use http::{Request, Response};
use tokenkeep::crossing::Deadline;
use tokenkeep::server::deadline::{DeadlineRules, Deadlines};
use tokenkeep::server::serving::Serving;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout as timeout_after;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Service, ServiceExt};

use crate::harness::*;

const RULES: DeadlineRules = DeadlineRules {
    unary_maximum: Duration::from_millis(300),
    is_streaming: |path| path.ends_with("/Watch"),
    exceeded: || Status::deadline_exceeded("too late"),
    malformed: || Status::invalid_argument("no timeout"),
};

/// The status of a call to a handler that never answers, and the time it took.
async fn unanswered(timeout: Option<&str>) -> (Code, Duration) {
    let never = tower::service_fn(|_: Request<()>| std::future::pending::<Result<_, Infallible>>());
    let began = Instant::now();
    let answer = ask(never, "/a.Service/Method", timeout).await;
    (Status::from_header_map(answer.headers()).unwrap().code(), began.elapsed())
}

async fn ask<S>(service: S, path: &str, timeout: Option<&str>) -> Response<Body>
where
    S: Service<Request<()>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>,
{
    let mut request = Request::builder().uri(path);
    if let Some(timeout) = timeout {
        request = request.header("grpc-timeout", timeout);
    }
    let service = Deadlines::new(service, RULES);
    let answer = timeout_after(PATIENCE, service.oneshot(request.body(()).unwrap())).await;
    let Ok(answer) = answer.expect("no answer came");
    answer
}

#[tokio::test]
async fn a_unary_call_ends_at_its_clients_timeout() {
    let (code, took) = unanswered(Some("50m")).await;
    assert_eq!(code, Code::DeadlineExceeded);
    assert!(took < RULES.unary_maximum, "{took:?}");
}

#[tokio::test]
async fn a_unary_call_ends_at_the_servers_maximum() {
    for timeout in [None, Some("1H")] {
        let (code, took) = unanswered(timeout).await;
        assert_eq!(code, Code::DeadlineExceeded);
        assert!(took >= RULES.unary_maximum, "{took:?}");
    }
}

#[tokio::test]
async fn a_stream_may_take_its_time_to_begin() {
    let never = tower::service_fn(|_: Request<()>| std::future::pending::<Result<_, Infallible>>());
    let answer = ask(never, "/a.Service/Watch", None);
    assert!(timeout_after(2 * RULES.unary_maximum, answer).await.is_err());
}

#[tokio::test]
async fn a_malformed_timeout_is_refused_before_the_handler() {
    let handler = tower::service_fn(|_: Request<()>| -> std::future::Ready<Result<_, Infallible>> {
        panic!("reached the handler")
    });
    let answer = ask(handler, "/a.Service/Method", Some("soon")).await;
    assert_eq!(Status::from_header_map(answer.headers()).unwrap().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_handler_sees_its_deadline() {
    for (path, timeout, least, most) in [
        ("/a.Service/Method", None, 100, 300),
        ("/a.Service/Method", Some("200m"), 100, 200),
        ("/a.Service/Watch", Some("900m"), 800, 900),
    ] {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let handler = tower::service_fn(move |request: Request<()>| {
            sender.send(request.extensions().get::<Deadline>().map(Deadline::remaining)).unwrap();
            std::future::ready(Ok::<_, Infallible>(ok()))
        });
        ask(handler, path, timeout).await;
        let left = receiver.recv().await.unwrap().unwrap().as_millis();
        assert!((least..=most).contains(&left), "{path} {timeout:?}: {left} ms");
    }
}

#[tokio::test]
async fn a_stream_ends_with_a_status_at_its_clients_timeout() {
    let service = Deadlines::new(health(), RULES);
    let serving = Serving::start(options(), service).unwrap();
    let mut client = raw(&serving).await;
    client.write_all(&watch(1, &[("grpc-timeout", "700m")])).await.unwrap();
    let began = Instant::now();

    read_until(&mut client, |kind, flags, _| kind == HEADERS && flags & END_STREAM == 0).await;
    read_until(&mut client, |kind, flags, _| kind == HEADERS && flags & END_STREAM != 0).await;

    assert!(began.elapsed() > RULES.unary_maximum, "the maximum of unary calls is not a stream's");
}

#[tokio::test]
async fn a_stream_without_a_timeout_outlives_the_maximum_of_unary_calls() {
    let service = Deadlines::new(health(), RULES);
    let serving = Serving::start(options(), service).unwrap();
    let mut client = raw(&serving).await;
    let calls = [watch(1, &[]), watch(3, &[("grpc-timeout", "900m")])].concat();
    client.write_all(&calls).await.unwrap();

    let (_, _, ended, _) =
        read_until(&mut client, |kind, flags, _| kind == RESET || kind == HEADERS && flags & END_STREAM != 0)
            .await;
    assert_eq!(ended, 3, "only the stream with a timeout ends");
}
