//! The body of `WatchRevocations`: frames through a bounded queue, and the status that ends it.

mod encodings;
mod route;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use prost::bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::server::ServerStreamingService;
use tonic::{Request, Response, Status};

use self::encodings::Encodings;
pub use self::route::TokenRoute;
use super::{Desk, desk, requests};
use crate::metrics::{Watcher, WatcherEnd};
use crate::proto::v1::WatchRevocationsRequest;
use crate::service::{Error, Permission, Service, Subscription, Told};

/// How many frames may wait for a client: with what HTTP/2 has in flight, all that one watcher can hold.
const QUEUE: usize = 64;

/// How long a client may leave its queue full.
const PATIENCE: Duration = Duration::from_secs(5);

/// The frames of one watcher, and at the end the status.
type Frames = ReceiverStream<Result<Bytes, Status>>;

/// Serves `WatchRevocations`.
#[derive(Clone)]
struct Watch {
    desk: Desk,
    encodings: Arc<Encodings>,
}

impl ServerStreamingService<WatchRevocationsRequest> for Watch {
    type Response = Bytes;
    type ResponseStream = Frames;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Frames>, Status>> + Send>>;

    fn call(&mut self, request: Request<WatchRevocationsRequest>) -> Self::Future {
        let watch = self.clone();
        Box::pin(async move { watch.begin(request).await })
    }
}

impl Watch {
    fn new(desk: Desk) -> Self {
        Self { desk, encodings: Arc::default() }
    }

    async fn begin(&self, request: Request<WatchRevocationsRequest>) -> Result<Response<Frames>, Status> {
        let begun = self.desk.answer(
            request,
            Permission::WatchRevocations,
            requests::watch_revocations,
            |service, caller, words| async move { service.watch(caller, words).await },
        );
        Ok(Response::new(self.frames(begun.await?.into_inner())))
    }

    /// Sends what the subscription gives until it fails, the client is gone or too slow, or the server drains.
    fn frames(&self, subscription: Subscription) -> Frames {
        // One place more than frames, so that the status that ends the stream always finds room.
        let (sender, receiver) = mpsc::channel(QUEUE + 1);
        let (drain, service) = (self.desk.drain.clone(), Arc::clone(&self.desk.service));
        let mut pump = Pump { service, encodings: Arc::clone(&self.encodings), subscription };
        self.desk.crossing.start(async move {
            let watcher = pump.service.metrics().watcher_joined();
            let ended = tokio::select! {
                ended = pump.run(&sender, &watcher) => ended,
                () = drain.cancelled() => Some(Error::Draining),
                () = sender.closed() => None,
            };
            // A watcher that is only dropped was left by its client.
            if let Some(error) = ended {
                watcher.ends(end(&error));
                let _ = sender.try_send(Err(desk::refuse(&error)));
            }
        });
        ReceiverStream::new(receiver)
    }
}

/// What brings the frames of one watcher.
struct Pump {
    service: Arc<Service>,
    encodings: Arc<Encodings>,
    subscription: Subscription,
}

impl Pump {
    async fn run(
        &mut self,
        sender: &mpsc::Sender<Result<Bytes, Status>>,
        watcher: &Watcher,
    ) -> Option<Error> {
        loop {
            // Two places: one for the frame, one kept free for the status.
            let mut places = match tokio::time::timeout(PATIENCE, sender.reserve_many(2)).await {
                Err(_) => return Some(Error::SlowConsumer),
                Ok(Err(_)) => return None,
                Ok(Ok(places)) => places,
            };
            let (bytes, is_event) = match self.next().await {
                Ok(next) => next,
                Err(error) => return Some(error),
            };
            watcher.was_sent(u64::from(is_event));
            if let Some(place) = places.next() {
                place.send(Ok(bytes));
            }
        }
    }

    /// The next frame, and whether it is an event.
    async fn next(&mut self) -> Result<(Bytes, bool), Error> {
        let frame = self.subscription.next().await?;
        let bytes = self.encodings.encode(&frame, |frame| self.service.cursor(frame))?;
        Ok((bytes, matches!(frame.told, Told::Event(_))))
    }
}

/// The end of a stream as it is counted.
const fn end(error: &Error) -> WatcherEnd {
    match error {
        Error::Draining => WatcherEnd::Draining,
        Error::SlowConsumer => WatcherEnd::TooSlow,
        Error::CredentialMissing
        | Error::CredentialInvalid
        | Error::ScopeRequired(_)
        | Error::WorkspaceDenied(_)
        | Error::EveryWorkspaceRequired
        | Error::ScopeEscalation(_) => WatcherEnd::Forbidden,
        Error::InvalidCursor
        | Error::CursorForeign
        | Error::CursorAhead
        | Error::RevisionCompacted { .. } => WatcherEnd::CursorLost,
        Error::LifetimeEscalation
        | Error::InvalidFields(_)
        | Error::TokenNotFound(_)
        | Error::WorkspaceNotFound(_)
        | Error::WorkspaceExists(_)
        | Error::PrincipalNotFound
        | Error::PrincipalExists
        | Error::PrincipalDisabled(_)
        | Error::ProfileNotFound(_)
        | Error::WorkspaceWithoutProfile(_)
        | Error::ProfileForbids(_)
        | Error::TokenRevoked(_)
        | Error::TokenExpired(_)
        | Error::RequestIdReused
        | Error::SecretSuperseded(_)
        | Error::SecretUnavailable(_)
        | Error::RequestCarriedOut
        | Error::EtagMismatch
        | Error::CountMismatch { .. }
        | Error::Excess(_)
        | Error::InvalidPageToken
        | Error::RevisionAhead
        | Error::HistoryForeign
        | Error::LeaseUnknown
        | Error::TooManyLeases
        | Error::RevisionNotReached
        | Error::LeaseLost
        | Error::UpstreamUnavailable
        | Error::AnswerTooLarge
        | Error::Overloaded
        | Error::VerifierOverloaded
        | Error::KeyUnavailable(_)
        | Error::DatabaseUnavailable(_)
        | Error::OutcomeUnknown(_)
        | Error::DeadlineExceeded
        | Error::Internal(_) => WatcherEnd::Failed,
    }
}
