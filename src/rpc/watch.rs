//! The body of `WatchRevocations`: frames through a bounded queue, and the status that ends it.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{Desk, answers, desk};
use crate::metrics::{Watcher, WatcherEnd};
use crate::proto::v1::WatchRevocationsResponse;
use crate::service::{Error, Subscription, Told};

/// How many frames may wait for a client: with what HTTP/2 has in flight, all that one watcher can hold.
const QUEUE: usize = 64;

/// How long a client may leave its queue full.
const PATIENCE: Duration = Duration::from_secs(5);

/// The frames of one watcher, and at the end the status.
pub(super) type Frames = ReceiverStream<Result<WatchRevocationsResponse, Status>>;

/// Sends what the subscription gives until it fails, the client is gone or too slow, or the server drains.
pub(super) fn frames(desk: &Desk, mut subscription: Subscription) -> Frames {
    // One place more than frames, so that the status that ends the stream always finds room.
    let (sender, receiver) = mpsc::channel(QUEUE + 1);
    let (drain, metrics) = (desk.drain.clone(), desk.service.metrics().clone());
    desk.crossing.start(async move {
        let watcher = metrics.watcher_joined();
        let ended = tokio::select! {
            ended = pump(&mut subscription, &sender, &watcher) => ended,
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

async fn pump(
    subscription: &mut Subscription,
    sender: &mpsc::Sender<Result<WatchRevocationsResponse, Status>>,
    watcher: &Watcher,
) -> Option<Error> {
    loop {
        // Two places: one for the frame, one kept free for the status.
        let mut places = match tokio::time::timeout(PATIENCE, sender.reserve_many(2)).await {
            Err(_) => return Some(Error::SlowConsumer),
            Ok(Err(_)) => return None,
            Ok(Ok(places)) => places,
        };
        let frame = match subscription.next().await {
            Ok(frame) => frame,
            Err(error) => return Some(error),
        };
        watcher.was_sent(u64::from(matches!(frame.told, Told::Event(_))));
        if let Some(place) = places.next() {
            place.send(Ok(answers::frame(frame)));
        }
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
        | Error::TokenRevoked(_)
        | Error::TokenExpired(_)
        | Error::EtagMismatch
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
