//! A shorter way for the calls that come most: from the bytes of one message to the bytes of another, past the router and
//! the machinery that serves any method.
//!
//! Whatever is out of the ordinary about how a message is sent, such as compression, goes the long way, and is answered
//! there as it is for every other method.

mod answered;
mod whole;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::HeaderName;
use prost::Message;
use prost::bytes::Bytes;
use tonic::body::Body;
use tonic::codegen::{Body as HttpBody, Service, StdError};
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

pub use self::answered::Encoded;
use self::answered::respond;
use self::whole::{Again, whole};

/// Made beforehand, since a name in a text is parsed anew for each look.
static GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// Answers calls of some methods, each of one message and with one.
pub trait DirectCalls: Send + Sync + 'static {
    /// One of these methods.
    type Method: Copy + Send;

    /// The method of this path (`/package.Service/Method`), if it is one of these.
    fn method(path: &str) -> Option<Self::Method>;

    /// Answers a call.
    fn answer(
        &self,
        method: Self::Method,
        request: Request<Bytes>,
    ) -> impl Future<Output = Result<Encoded, Status>> + Send;
}

/// Sends calls the shorter way if there is one for them, and all others on to `Rest`.
pub struct Direct<Calls, Rest> {
    calls: Arc<Calls>,
    rest: Rest,
    largest_request: usize,
}

impl<Calls, Rest> Direct<Calls, Rest> {
    /// Requests above this size in bytes are for `rest` to refuse.
    #[must_use]
    pub fn new(calls: Calls, rest: Rest, largest_request: usize) -> Self {
        Self { calls: Arc::new(calls), rest, largest_request }
    }
}

impl<Calls, Rest: Clone> Clone for Direct<Calls, Rest> {
    fn clone(&self) -> Self {
        let Self { calls, rest, largest_request } = self;
        Self { calls: Arc::clone(calls), rest: rest.clone(), largest_request: *largest_request }
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

impl<Calls, Rest, Content, Long> Service<http::Request<Content>> for Direct<Calls, Rest>
where
    Calls: DirectCalls,
    Content: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    Content::Error: Into<StdError> + Send,
    Rest: Service<http::Request<Content>, Error = Infallible, Future = Long>,
    Rest: Service<http::Request<Again<Content>>, Error = Infallible, Future = Long>,
    Rest: Clone + Send + 'static,
    Long: Future<Output = Result<http::Response<Body>, Infallible>> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        <Rest as Service<http::Request<Content>>>::poll_ready(&mut self.rest, context)
    }

    fn call(&mut self, request: http::Request<Content>) -> Answer {
        let encoded = request.headers().get(&GRPC_ENCODING).is_some_and(|encoding| encoding != "identity");
        let Some(method) = Calls::method(request.uri().path()).filter(|_| !encoded) else {
            return Box::pin(self.rest.call(request));
        };
        let (calls, mut rest, largest) = (Arc::clone(&self.calls), self.rest.clone(), self.largest_request);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            match whole(body, largest).await {
                Ok(message) => {
                    let metadata = MetadataMap::from_headers(parts.headers);
                    let request = Request::from_parts(metadata, parts.extensions, message);
                    Ok(respond(calls.answer(method, request).await))
                }
                Err(again) => rest.call(http::Request::from_parts(parts, again)).await,
            }
        })
    }
}

/// Decodes a request.
///
/// # Errors
/// As the generated server has it.
pub(crate) fn decoded<Wire: Message + Default>(request: Request<Bytes>) -> Result<Request<Wire>, Status> {
    let (metadata, extensions, bytes) = request.into_parts();
    let message = Wire::decode(bytes).map_err(|error| Status::internal(error.to_string()))?;
    Ok(Request::from_parts(metadata, extensions, message))
}

#[cfg(test)]
mod tests;
