//! The bound on requests in flight, over all connections.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    reserve: Option<Reserve>,
    overloaded: Refusal,
    counters: Arc<ConnectionCounters>,
}

/// Places that are kept for some requests, who take no others: what must go on while all else is overloaded.
#[derive(Clone, Copy, Debug)]
pub struct Reserve {
    /// Whether they are kept for the method of this path (`/package.Service/Method`).
    pub keeps_for: fn(&str) -> bool,
    /// How many.
    pub limit: usize,
}

/// Where places of one kind are counted.
type Count = fn(&ConnectionCounters) -> &AtomicUsize;

/// An answer that holds its place among the requests in flight, or a refusal.
pub enum Placed<F> {
    /// The request has a place.
    Admitted(F, Place),
    /// The request has none.
    Refused(Answer),
}

/// A place among the requests in flight, given back when dropped.
#[derive(Debug)]
pub struct Place(Arc<ConnectionCounters>, Count);

impl<S> InFlight<S> {
    /// Bounds `inner` to `limit` requests at once, together with whatever else uses the same `counters`;
    /// `overloaded` makes the status of a refused one, which should carry a time to retry after.
    #[must_use]
    pub fn new(inner: S, limit: usize, overloaded: Refusal, counters: Arc<ConnectionCounters>) -> Self {
        Self { inner, limit, reserve: None, overloaded, counters }
    }

    /// Keeps places beside those of all other requests.
    #[must_use]
    pub fn with_reserve(self, reserve: Reserve) -> Self {
        Self { reserve: Some(reserve), ..self }
    }

    fn place(&self, path: &str) -> Option<Place> {
        let (limit, count): (usize, Count) = match self.reserve {
            Some(reserve) if (reserve.keeps_for)(path) => {
                (reserve.limit, |counters| &counters.reserved_in_flight)
            }
            Some(_) | None => (self.limit, |counters| &counters.in_flight),
        };
        let others = count(&self.counters).fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(&self.counters), count);
        (others < limit).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Self(counters, count) = self;
        count(counters).fetch_sub(1, Ordering::Relaxed);
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
        if let Some(place) = self.place(request.uri().path()) {
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
