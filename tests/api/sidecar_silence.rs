//! A server that is alive, grants leases and answers every call, and whose stream says nothing: what keeps connections
//! alive does not notice it, so the sidecar must.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::sidecar_service_server::{SidecarService, SidecarServiceServer};
use tokenkeep::proto::v1::token_service_server::{TokenService, TokenServiceServer};
use tokenkeep::proto::v1::watch_revocations_response::Frame;
use tokio::net::TcpListener;
use tokio_stream::StreamExt as _;
use tonic::codegen::BoxStream;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::harness::{Database, eventually};
use crate::sidecars::Sidecar;

/// The server; each call of its is noted.
#[derive(Clone, Default)]
struct Mute {
    streams: Arc<Mutex<Vec<Instant>>>,
    renewals: Arc<Mutex<Vec<Instant>>>,
}

impl Mute {
    /// Serves until the test ends.
    async fn serve(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::builder().add_service(TokenServiceServer::new(self.clone()));
        let server = server.add_service(SidecarServiceServer::new(self.clone()));
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
        address
    }
}

#[tonic::async_trait]
impl TokenService for Mute {
    /// The first frame, and none after it.
    async fn watch_revocations(
        &self,
        _: Request<v1::WatchRevocationsRequest>,
    ) -> Result<Response<BoxStream<v1::WatchRevocationsResponse>>, Status> {
        self.streams.lock().unwrap().push(Instant::now());
        let frame = Some(Frame::Progress(v1::Progress::default()));
        let first = v1::WatchRevocationsResponse { frame, cursor: "here".to_owned(), revision: 0 };
        Ok(Response::new(Box::pin(tokio_stream::once(Ok(first)).chain(tokio_stream::pending()))))
    }
}

#[tonic::async_trait]
impl SidecarService for Mute {
    async fn renew_lease(
        &self,
        _: Request<v1::RenewLeaseRequest>,
    ) -> Result<Response<v1::RenewLeaseResponse>, Status> {
        self.renewals.lock().unwrap().push(Instant::now());
        Ok(Response::new(v1::RenewLeaseResponse {
            history: "01890a5d-ac96-774b-bcce-b302099a8057".to_owned(),
            lease_length: Some(prost_types::Duration { seconds: 1, nanos: 0 }),
            ..Default::default()
        }))
    }

    async fn acknowledge_revision(
        &self,
        _: Request<v1::AcknowledgeRevisionRequest>,
    ) -> Result<Response<v1::AcknowledgeRevisionResponse>, Status> {
        Ok(Response::new(v1::AcknowledgeRevisionResponse {}))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_says_nothing_for_a_second_and_a_half_is_given_up() {
    let mute = Mute::default();
    let upstream = format!("http://{}", mute.serve().await);
    let credential = Database::fresh().await.operator_secret;
    let sidecar = Sidecar::of(&upstream, &credential, |command| command).await;
    sidecar.holds_a_lease().await;
    let begun = |number: usize| mute.streams.lock().unwrap().get(number).copied();
    eventually("another stream is begun", || async { begun(1).is_some() }).await;
    let (first, second) = (begun(0).unwrap(), begun(1).unwrap());
    assert!(second - first >= Duration::from_millis(1_500), "{:?}", second - first);
    let renewals = mute.renewals.lock().unwrap().iter().filter(|renewal| **renewal < second).count();
    assert!(renewals > 3, "the lease was held to the end, by {renewals} renewals");
}
