//! Counts each request once, by its method and the status it ended with, wherever that status stands: in the headers of
//! an answer without a message, in the trailers after messages, or nowhere because the client went away.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use http::{HeaderMap, HeaderName, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use tower::{Layer, Service};

use super::Metrics;

/// gRPC's status codes, each at its number.
const CODES: [&str; 17] = [
    "ok",
    "cancelled",
    "unknown",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal",
    "unavailable",
    "data_loss",
    "unauthenticated",
];
const CANCELLED: usize = 1;
const UNKNOWN: usize = 2;

/// Made beforehand, since a name in a text is parsed anew for each look.
static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The method that stands for all paths that are not in the API.
const OTHER: &str = "other";

/// The counts of every method, looked up by path without a lock.
pub(super) struct Requests {
    methods: HashMap<String, Arc<Method>>,
    other: Arc<Method>,
}

/// The counts of one method.
#[derive(Debug)]
struct Method {
    /// By the number of the status code.
    codes: Vec<Counter>,
    duration: Histogram,
}

type CodeLabels = [(&'static str, String); 2];
type MethodLabels = [(&'static str, String); 1];
type Durations = Family<MethodLabels, Histogram, fn() -> Histogram>;

impl Requests {
    pub(super) fn register(registry: &mut Registry, paths: impl IntoIterator<Item = String>) -> Self {
        let requests = Family::<CodeLabels, Counter>::default();
        registry.register("requests", "Requests, by method and final status", requests.clone());
        // From 100 µs doubling to 13 s, beyond the longest that a request may take; streams last longer.
        let buckets: fn() -> Histogram = || Histogram::new(exponential_buckets(100e-6, 2.0, 18));
        let durations = Durations::new_with_constructor(buckets);
        let help = "From a request's arrival until its last byte was handed on";
        registry.register_with_unit("request_duration", help, Unit::Seconds, durations.clone());
        let method = |name: &str| Arc::new(Method::register(&requests, &durations, name));
        let methods = paths.into_iter().map(|path| {
            let counts = method(path.trim_start_matches('/'));
            (path, counts)
        });
        Self { methods: methods.collect(), other: method(OTHER) }
    }

    fn of(&self, path: &str) -> &Arc<Method> {
        self.methods.get(path).unwrap_or(&self.other)
    }
}

impl Method {
    fn register(requests: &Family<CodeLabels, Counter>, durations: &Durations, name: &str) -> Self {
        let counter = |code: &&str| {
            requests.get_or_create_owned(&[("method", name.to_owned()), ("code", (*code).to_owned())])
        };
        Self {
            codes: CODES.iter().map(counter).collect(),
            duration: durations.get_or_create_owned(&[("method", name.to_owned())]),
        }
    }
}

/// One request under way. It is counted when this is dropped, whoever drops it: hence exactly once.
#[derive(Debug)]
struct Measure {
    method: Arc<Method>,
    start: Instant,
    /// What it counts as if nothing else becomes known: only a client that goes away leaves it so.
    code: usize,
}

impl Measure {
    fn start(metrics: &Metrics, path: &str) -> Self {
        let method = Arc::clone(metrics.counts.requests.of(path));
        Self { method, start: Instant::now(), code: CANCELLED }
    }

    /// Takes the status from headers or trailers, if it stands there.
    fn read(&mut self, headers: &HeaderMap) {
        if let Some(status) = headers.get(&GRPC_STATUS) {
            let code = status.to_str().ok().and_then(|status| status.parse().ok());
            self.code = code.filter(|code| *code < CODES.len()).unwrap_or(UNKNOWN);
        }
    }

    fn read_trailers<Data>(&mut self, frame: &Frame<Data>) {
        if let Some(trailers) = frame.trailers_ref() {
            self.read(trailers);
        }
    }

    /// The answer has ended: if it named no status, there is none.
    const fn end(&mut self) {
        if self.code == CANCELLED {
            self.code = UNKNOWN;
        }
    }
}

impl Drop for Measure {
    fn drop(&mut self) {
        if let Some(counter) = self.method.codes.get(self.code) {
            counter.inc();
        }
        self.method.duration.observe(self.start.elapsed().as_secs_f64());
    }
}

/// Puts [`CountRequests`] around a service.
#[derive(Debug, Clone)]
pub struct CountRequestsLayer {
    metrics: Metrics,
}

impl CountRequestsLayer {
    pub(super) const fn new(metrics: Metrics) -> Self {
        Self { metrics }
    }
}

impl<Inner> Layer<Inner> for CountRequestsLayer {
    type Service = CountRequests<Inner>;

    fn layer(&self, inner: Inner) -> Self::Service {
        CountRequests { inner, metrics: self.metrics.clone() }
    }
}

/// A gRPC service whose requests are counted.
#[derive(Debug, Clone)]
pub struct CountRequests<Inner> {
    inner: Inner,
    metrics: Metrics,
}

impl<Inner, RequestBody, ResponseBody> Service<Request<RequestBody>> for CountRequests<Inner>
where
    Inner: Service<Request<RequestBody>, Response = Response<ResponseBody>>,
{
    type Response = Response<CountedBody<ResponseBody>>;
    type Error = Inner::Error;
    type Future = CountedResponse<Inner::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let measure = Some(Measure::start(&self.metrics, request.uri().path()));
        CountedResponse { inner: self.inner.call(request), measure }
    }
}

pin_project! {
    /// The answer of a counted request, on its way.
    #[derive(Debug)]
    pub struct CountedResponse<Inner> {
        #[pin]
        inner: Inner,
        measure: Option<Measure>,
    }
}

impl<Inner, ResponseBody, Error> Future for CountedResponse<Inner>
where
    Inner: Future<Output = Result<Response<ResponseBody>, Error>>,
{
    type Output = Result<Response<CountedBody<ResponseBody>>, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.inner.poll(context));
        let mut measure = this.measure.take();
        if let Some(measure) = &mut measure {
            match &answer {
                Ok(response) => measure.read(response.headers()),
                Err(_) => measure.end(),
            }
        }
        Poll::Ready(answer.map(|response| response.map(|inner| CountedBody { inner, measure })))
    }
}

pin_project! {
    /// The body of a counted answer. When it goes, the request is counted.
    #[derive(Debug)]
    pub struct CountedBody<Inner> {
        #[pin]
        inner: Inner,
        measure: Option<Measure>,
    }
}

impl<Inner: Body> Body for CountedBody<Inner> {
    type Data = Inner::Data;
    type Error = Inner::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(context));
        if let Some(measure) = this.measure {
            match &frame {
                Some(Ok(frame)) => measure.read_trailers(frame),
                Some(Err(_)) | None => measure.end(),
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests;
