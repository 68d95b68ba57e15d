//! The bound on requests in flight, over all connections.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tokio::sync::Semaphore;
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use super::counters::{ConnectionCounters, count};

/// An answer on its way.
pub(super) type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Makes the status of a refusal. Codes are chosen by whoever owns the error map, not here.
pub type Refusal = fn() -> Status;

/// Answers a request by `inner`, or refuses it at once when too many are being answered. The place is
/// held until the response's headers are there: a stream does not keep it.
#[derive(Clone, Debug)]
pub struct InFlight<S> {
    inner: S,
    places: Arc<Semaphore>,
    overloaded: Refusal,
    counters: Arc<ConnectionCounters>,
}

impl<S> InFlight<S> {
    /// Bounds `inner`, its clones included, to `limit` requests at once; `overloaded` makes the status of
    /// a refused one, which should carry a time to retry after.
    #[must_use]
    pub fn new(inner: S, limit: usize, overloaded: Refusal, counters: Arc<ConnectionCounters>) -> Self {
        let places = Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS)));
        Self { inner, places, overloaded, counters }
    }
}

impl<S, B> Service<Request<B>> for InFlight<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Answer {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            count(&self.counters.requests_refused);
            return refuse(self.overloaded);
        };
        let answer = self.inner.call(request);
        Box::pin(async move {
            let _place = place;
            answer.await
        })
    }
}

/// Answers with a status alone.
pub(super) fn refuse(refusal: Refusal) -> Answer {
    Box::pin(std::future::ready(Ok(refusal().into_http())))
}
