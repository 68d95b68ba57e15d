//! The body of `WatchRevocations`: frames through a bounded queue, and the status that ends it.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::{Desk, answers, desk};
use crate::proto::v1::WatchRevocationsResponse;
use crate::service::{Error, Frame, Subscription};

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
        let watching = metrics.watcher_began();
        let ended = tokio::select! {
            ended = pump(&mut subscription, &sender) => ended,
            () = drain.cancelled() => Some(Error::Draining),
            () = sender.closed() => None,
        };
        watching.ended(ended.as_ref());
        if let Some(error) = ended {
            let _ = sender.try_send(Err(desk::refuse(&error)));
        }
    });
    ReceiverStream::new(receiver)
}

async fn pump(subscription: &mut Subscription, sender: &mpsc::Sender<Result<WatchRevocationsResponse, Status>>) -> Option<Error> {
    loop {
        let frame: Frame = match subscription.next().await {
            Ok(frame) => frame,
            Err(error) => return Some(error),
        };
        // Two places: one for the frame, one kept free for the status.
        match tokio::time::timeout(PATIENCE, sender.reserve_many(2)).await {
            Err(_) => return Some(Error::SlowConsumer),
            Ok(Err(_)) => return None,
            Ok(Ok(mut places)) => {
                if let Some(place) = places.next() {
                    place.send(Ok(answers::frame(frame)));
                }
            }
        }
    }
}
