//! Unix sockets: their mode, and whose file may be replaced.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tokenkeep::peer::Peer;
use tokenkeep::server::listen::{ListenAddress, ListenError};
use tokenkeep::server::serving::{Serving, ServingError, ServingOptions};
use tonic::transport::Endpoint;
use tonic_health::pb::health_client::HealthClient;

use crate::harness::*;

fn at(path: &Path) -> ServingOptions {
    ServingOptions::new(ListenAddress::Unix(path.to_owned()))
}

fn refusal(path: &Path) -> ListenError {
    match Serving::start(at(path), health()) {
        Err(ServingError::Listen(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_unix_socket_is_its_owners_alone_and_serves() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let seen = Arc::new(Mutex::new(None));
    let recorded = Arc::clone(&seen);
    let service = answering(move |request| {
        *recorded.lock().unwrap() = request.extensions().get::<Peer>().copied();
        std::future::ready(ok())
    });
    let serving = Serving::start(at(&path), service).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let channel = Endpoint::from_shared(serving.local_addresses()[0].to_string()).unwrap();
    drop(check(&mut HealthClient::new(channel.connect().await.unwrap())).await);
    assert_eq!(*seen.lock().unwrap(), Some(Peer::Unix));
}

#[tokio::test]
async fn the_file_of_a_dead_process_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    drop(UnixListener::bind(&path).unwrap());
    Serving::start(at(&path), health()).unwrap();
}

#[tokio::test]
async fn the_socket_of_a_live_process_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let _alive = UnixListener::bind(&path).unwrap();
    assert!(matches!(refusal(&path), ListenError::InUse(_)));
    assert!(path.exists());
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    fs::write(&path, "precious").unwrap();
    assert!(matches!(refusal(&path), ListenError::NotASocket(_)));
    assert_eq!(fs::read(&path).unwrap(), b"precious");
}

#[tokio::test]
async fn plaintext_beyond_loopback_does_not_start() {
    let mut exposed = ServingOptions::new("0.0.0.0:0".parse().unwrap());
    let error = Serving::start(exposed.clone(), health()).unwrap_err();
    assert!(matches!(error, ServingError::Listen(ListenError::PlaintextRefused(_))));

    exposed.insecure_plaintext = true;
    Serving::start(exposed, health()).unwrap();
}
