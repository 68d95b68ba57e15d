//! Threads: connections are spread over them, and none dies unnoticed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use tokenkeep::server::serving::Serving;
use tokenkeep::server::threads::Part;
use tokio::time::timeout;
use tonic::Code;

use crate::harness::*;

#[tokio::test]
async fn connections_go_to_the_least_loaded_thread() {
    let seen = Arc::new(Mutex::new(BTreeMap::<_, usize>::new()));
    let recorded = Arc::clone(&seen);
    let service = answering(move |_| {
        let name = thread::current().name().unwrap().to_owned();
        *recorded.lock().unwrap().entry(name).or_default() += 1;
        std::future::ready(ok())
    });
    let serving = Serving::start(options(), service).unwrap();
    let mut open = Vec::new();
    for _ in 0..8 {
        let mut client = client(&serving).await;
        drop(check(&mut client).await);
        open.push(client);
    }

    let spread = [("serving-0".to_owned(), 4), ("serving-1".to_owned(), 4)];
    assert_eq!(*seen.lock().unwrap(), BTreeMap::from(spread));
}

#[tokio::test]
async fn connections_that_come_one_after_the_other_go_to_all_threads_in_turn() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let recorded = Arc::clone(&seen);
    let service = answering(move |_| {
        recorded.lock().unwrap().push(thread::current().name().unwrap().to_owned());
        std::future::ready(ok())
    });
    let options = options();
    let counters = Arc::clone(&options.counters);
    let serving = Serving::start(options, service).unwrap();
    for _ in 0..4 {
        drop(check(&mut client(&serving).await).await);
        until("it is closed", || counters.open.load(Ordering::Relaxed) == 0).await;
    }

    assert_eq!(*seen.lock().unwrap(), ["serving-0", "serving-1", "serving-0", "serving-1"]);
}

#[tokio::test]
async fn the_death_of_a_serving_thread_is_told_and_the_others_serve_on() {
    let explosive = Arc::new(AtomicBool::new(false));
    let serving = Serving::start(options(), Explosive(Arc::clone(&explosive))).unwrap();
    assert!(timeout(std::time::Duration::from_millis(50), serving.failed()).await.is_err());

    explosive.store(true, Ordering::SeqCst);
    closed(&mut connect(&serving).await).await;
    let part = timeout(PATIENCE, serving.failed()).await.unwrap();
    assert_eq!(part, Part::Serving(0));

    let answered = check(&mut client(&serving).await).await.unwrap_err();
    assert_eq!(answered.code(), Code::NotFound);
}

#[tokio::test]
async fn a_panic_in_a_handler_ends_its_call_only() {
    let service = answering(|request| async move {
        assert!(request.headers().contains_key("x-calm"), "a handler panics, as this test wants");
        tonic::Status::not_found("reached").into_http()
    });
    let serving = Serving::start(options(), service).unwrap();
    let mut client = client(&serving).await;
    assert!(check(&mut client).await.is_err());

    let mut calm = tonic::Request::new(tonic_health::pb::HealthCheckRequest::default());
    calm.metadata_mut().insert("x-calm", "1".parse().unwrap());
    assert_eq!(client.check(calm).await.unwrap_err().code(), Code::NotFound);
}

/// A service whose next clone, once set off, panics: a thread clones it for each connection.
struct Explosive(Arc<AtomicBool>);

impl Clone for Explosive {
    fn clone(&self) -> Self {
        assert!(!self.0.swap(false, Ordering::SeqCst), "a thread dies, as this test wants");
        Self(Arc::clone(&self.0))
    }
}

impl tower::Service<http::Request<hyper::body::Incoming>> for Explosive {
    type Response = http::Response<tonic::body::Body>;
    type Error = std::convert::Infallible;
    type Future = std::future::Ready<Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Request<hyper::body::Incoming>) -> Self::Future {
        std::future::ready(Ok(tonic::Status::not_found("reached").into_http()))
    }
}
