//! How often a call is made: again while the server is away, under one request id, and not without end.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::token_service_server::{TokenService, TokenServiceServer};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Code, Request, Response, Status};
use uuid::Uuid;

use super::ground::{Ended, Ground};

/// A server that answers so many calls with a status before it does what it is asked.
#[derive(Clone)]
struct Flaky {
    failures: usize,
    code: Code,
    /// The request ids that it was sent.
    seen: Arc<Mutex<Vec<String>>>,
}

#[tonic::async_trait]
impl TokenService for Flaky {
    async fn create_token(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Result<Response<v1::CreateTokenResponse>, Status> {
        let mut seen = self.seen.lock().unwrap();
        seen.push(request.into_inner().request_id);
        if seen.len() <= self.failures {
            return Err(Status::new(self.code, "not now"));
        }
        Ok(Response::new(v1::CreateTokenResponse { secret: "shown once".to_owned(), ..Default::default() }))
    }
}

impl Flaky {
    async fn serve(failures: usize, code: Code) -> (Self, SocketAddr) {
        let flaky = Self { failures, code, seen: Arc::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::builder().add_service(TokenServiceServer::new(flaky.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        (flaky, address)
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

async fn create(ground: &Ground, address: SocketAddr) -> Ended {
    let mut command = ground.command(&["token", "create", "ci", "-w", "acme"]);
    command.env("TOKENKEEP_SERVER", format!("http://{address}"));
    tokio::task::spawn_blocking(move || Ended::of(&mut command)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attempt_at_one_intention_carries_one_request_id() {
    let ground = Ground::new().await;
    let (flaky, address) = Flaky::serve(2, Code::Unavailable).await;
    assert_eq!(create(&ground, address).await.json()["secret"], "shown once");
    let first = flaky.seen();
    assert_eq!(first.len(), 3);
    assert!(first.iter().all(|id| *id == first[0]), "{first:?}");
    assert_eq!(Uuid::parse_str(&first[0]).unwrap().get_version_num(), 4);
    create(&ground, address).await.json();
    assert_ne!(flaky.seen()[3], first[0], "another call is another intention");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_given_up_after_four_attempts() {
    let ground = Ground::new().await;
    let (flaky, address) = Flaky::serve(usize::MAX, Code::Unavailable).await;
    create(&ground, address).await.refused(6, &["not now (UNAVAILABLE)"]);
    assert_eq!(flaky.seen().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_unavailable_is_tried_again() {
    let ground = Ground::new().await;
    for (code, exit) in [
        (Code::Internal, 1),
        (Code::ResourceExhausted, 1),
        (Code::Aborted, 1),
        (Code::DeadlineExceeded, 7),
        (Code::PermissionDenied, 5),
    ] {
        let (flaky, address) = Flaky::serve(usize::MAX, code).await;
        create(&ground, address).await.refused(exit, &["not now"]);
        assert_eq!(flaky.seen().len(), 1, "{code:?}");
    }
}
