//! The bound on requests in flight, over all connections.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use super::counters::{ConnectionCounters, count};

/// An answer on its way.
pub type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// Makes the status of a refusal. Codes are chosen by whoever owns the error map, not here.
pub type Refusal = fn() -> Status;

/// Answers a request by `inner`, or refuses it at once when too many are being answered. The place is
/// held until the response's headers are there: a stream does not keep it.
#[derive(Clone, Debug)]
pub struct InFlight<S> {
    inner: S,
    limit: usize,
    overloaded: Refusal,
    counters: Arc<ConnectionCounters>,
}

/// An answer that holds its place among the requests in flight, or a refusal.
pub enum Placed<F> {
    /// The request has a place.
    Admitted(F, Place),
    /// The request has none.
    Refused(Answer),
}

/// A place among the requests in flight, given back when dropped.
#[derive(Debug)]
pub struct Place(Arc<ConnectionCounters>);

impl<S> InFlight<S> {
    /// Bounds `inner` to `limit` requests at once, together with whatever else uses the same `counters`;
    /// `overloaded` makes the status of a refused one, which should carry a time to retry after.
    #[must_use]
    pub fn new(inner: S, limit: usize, overloaded: Refusal, counters: Arc<ConnectionCounters>) -> Self {
        Self { inner, limit, overloaded, counters }
    }

    fn place(&self) -> Option<Place> {
        let others = self.counters.in_flight.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(&self.counters));
        (others < self.limit).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<S, B> Service<Request<B>> for InFlight<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible, Future: Unpin>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Placed<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if let Some(place) = self.place() {
            return Placed::Admitted(self.inner.call(request), place);
        }
        count(&self.counters.requests_refused);
        Placed::Refused(refuse(self.overloaded))
    }
}

impl<F> Future for Placed<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>> + Unpin,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Admitted(answer, _) => Pin::new(answer).poll(context),
            Self::Refused(answer) => answer.as_mut().poll(context),
        }
    }
}

/// Answers with a status alone.
pub(super) fn refuse(refusal: Refusal) -> Answer {
    Box::pin(std::future::ready(Ok(refusal().into_http())))
}
