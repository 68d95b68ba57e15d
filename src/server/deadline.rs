//! Deadlines: what the client asked for by `grpc-timeout`, and the most a unary call may take.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use hyper::body::{Body as HttpBody, Frame};
use tokio::time::{Instant, Sleep, sleep_until};
use tonic::Status;
use tonic::body::Body;
use tower::Service;
use tracing::debug;

use crate::crossing::Deadline;

use super::in_flight::{Answer, Refusal, refuse};

/// Made beforehand, since a name in a text is parsed anew for each look.
static GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// How calls are bounded.
#[derive(Clone, Copy, Debug)]
pub struct DeadlineRules {
    /// The longest a unary call may take.
    pub unary_maximum: Duration,
    /// Whether the method of this path (`/package.Service/Method`) answers with a stream. Such a call has
    /// no maximum of ours, and its client's timeout bounds the whole stream.
    pub is_streaming: fn(&str) -> bool,
    /// Makes the status of a call that ran out of time.
    pub exceeded: Refusal,
    /// Makes the status of a call whose `grpc-timeout` cannot be read.
    pub malformed: Refusal,
}

/// Answers a request by `inner` within its deadline.
#[derive(Clone, Debug)]
pub struct Deadlines<S> {
    inner: S,
    rules: DeadlineRules,
}

/// The header is no timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct MalformedTimeout;

/// An answer that comes by its deadline, or the status that it did not. One that is there when first
/// asked for, as most are, costs no timer.
pub struct Bounded {
    answer: Answer,
    bound: Bound,
    timer: Option<Pin<Box<Sleep>>>,
    exceeded: Refusal,
}

/// How far a deadline reaches.
#[derive(Clone, Copy)]
enum Bound {
    None,
    Headers(Instant),
    Stream(Instant),
}

/// A response body that ends with a status when its time is up.
struct BoundedBody {
    body: Body,
    deadline: Pin<Box<Sleep>>,
    exceeded: Refusal,
    ended: bool,
}

impl<S> Deadlines<S> {
    /// Bounds `inner` by the rules.
    #[must_use]
    pub fn new(inner: S, rules: DeadlineRules) -> Self {
        Self { inner, rules }
    }
}

impl DeadlineRules {
    fn bound(&self, path: &str, timeout: Option<Duration>) -> Bound {
        let now = Instant::now();
        if (self.is_streaming)(path) {
            timeout.and_then(|timeout| now.checked_add(timeout)).map_or(Bound::None, Bound::Stream)
        } else {
            let timeout = timeout.map_or(self.unary_maximum, |timeout| timeout.min(self.unary_maximum));
            now.checked_add(timeout).map_or(Bound::None, Bound::Headers)
        }
    }
}

impl<S, B> Service<Request<B>> for Deadlines<S>
where
    S: Service<Request<B>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Bounded;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Bounded {
        let Ok(timeout) = requested_timeout(request.headers()) else {
            return Bounded::new(refuse(self.rules.malformed), Bound::None, self.rules.exceeded);
        };
        let bound = self.rules.bound(request.uri().path(), timeout);
        if let Bound::Headers(deadline) | Bound::Stream(deadline) = bound {
            request.extensions_mut().insert(Deadline(deadline));
        }
        Bounded::new(Box::pin(self.inner.call(request)), bound, self.rules.exceeded)
    }
}

impl Bounded {
    fn new(answer: Answer, bound: Bound, exceeded: Refusal) -> Self {
        Self { answer, bound, timer: None, exceeded }
    }

    fn bound_body(&self, body: Body) -> Body {
        let Bound::Stream(deadline) = self.bound else { return body };
        let deadline = Box::pin(sleep_until(deadline));
        Body::new(BoundedBody { body, deadline, exceeded: self.exceeded, ended: false })
    }
}

impl Future for Bounded {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(answer) = self.answer.as_mut().poll(context) {
            return Poll::Ready(answer.map(|response| response.map(|body| self.bound_body(body))));
        }
        let (Bound::Headers(deadline) | Bound::Stream(deadline)) = self.bound else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        timer.as_mut().poll(context).map(|()| Ok((self.exceeded)().into_http()))
    }
}

impl HttpBody for BoundedBody {
    type Data = <Body as HttpBody>::Data;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Status>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if self.deadline.as_mut().poll(context).is_pending() {
            return Pin::new(&mut self.body).poll_frame(context);
        }
        self.ended = true;
        self.body = Body::empty();
        Poll::Ready(Some(Ok(Frame::trailers(trailers(&(self.exceeded)())))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended || self.body.is_end_stream()
    }
}

/// The trailers of a stream that ends with `status`.
fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if status.add_header(&mut trailers).is_err() {
        debug!("a status has text that no header can carry; its code is sent alone");
    }
    trailers
}

/// Reads `grpc-timeout`: at most eight digits and a unit (H, M, S, m, u or n).
fn requested_timeout(headers: &HeaderMap) -> Result<Option<Duration>, MalformedTimeout> {
    headers.get(&GRPC_TIMEOUT).map(parse_timeout).transpose()
}

fn parse_timeout(value: &HeaderValue) -> Result<Duration, MalformedTimeout> {
    let (unit, digits) = value.as_bytes().split_last().ok_or(MalformedTimeout)?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return Err(MalformedTimeout);
    }
    let count = digits.iter().fold(0, |count, digit| count * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Ok(Duration::from_secs(count * 3600)),
        b'M' => Ok(Duration::from_secs(count * 60)),
        b'S' => Ok(Duration::from_secs(count)),
        b'm' => Ok(Duration::from_millis(count)),
        b'u' => Ok(Duration::from_micros(count)),
        b'n' => Ok(Duration::from_nanos(count)),
        _ => Err(MalformedTimeout),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &'static str) -> Result<Duration, MalformedTimeout> {
        parse_timeout(&HeaderValue::from_static(text))
    }

    #[test]
    fn a_timeout_is_read_in_every_unit() {
        assert_eq!(parse("2H"), Ok(Duration::from_hours(2)));
        assert_eq!(parse("3M"), Ok(Duration::from_mins(3)));
        assert_eq!(parse("4S"), Ok(Duration::from_secs(4)));
        assert_eq!(parse("5m"), Ok(Duration::from_millis(5)));
        assert_eq!(parse("6u"), Ok(Duration::from_micros(6)));
        assert_eq!(parse("99999999n"), Ok(Duration::from_nanos(99_999_999)));
        assert_eq!(parse("99999999H"), Ok(Duration::from_hours(99_999_999)));
        assert_eq!(parse("0S"), Ok(Duration::ZERO));
    }

    #[test]
    fn what_is_no_timeout_is_refused() {
        for text in ["", "S", "1", "1s", "1.5S", "-1S", "+1S", " 1S", "1 S", "123456789S", "1SS", "0x1S"] {
            assert_eq!(parse(text), Err(MalformedTimeout), "{text:?}");
        }
    }
}
