//! An answer on its way out: one message, and the status that all is well.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body::Frame;
use prost::bytes::{BufMut as _, Bytes, BytesMut};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Body as HttpBody;

use super::whole::HEAD;

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

const OK: HeaderValue = HeaderValue::from_static("0");

/// What most messages fit into, in bytes.
const COMMON: usize = 512;

/// A message as it is sent, with what stands before it.
#[derive(Debug)]
pub struct Encoded(Bytes);

impl Encoded {
    /// Takes what is written of a message, at most 4 GiB.
    pub fn of(write: impl FnOnce(&mut BytesMut)) -> Self {
        let mut buffer = BytesMut::with_capacity(COMMON);
        buffer.put_bytes(0, HEAD);
        write(&mut buffer);
        let length = u32::try_from(buffer.len() - HEAD).unwrap_or(u32::MAX);
        if let Some([_, place @ ..]) = buffer.first_chunk_mut::<HEAD>() {
            *place = length.to_be_bytes();
        }
        Self(buffer.freeze())
    }

    /// The message.
    #[cfg(test)]
    pub(in crate::rpc) fn message(&self) -> &[u8] {
        self.0.get(HEAD..).unwrap_or_default()
    }
}

/// The answer over HTTP.
pub(super) fn respond(answer: Result<Encoded, Status>) -> Response<Body> {
    match answer {
        Ok(Encoded(message)) => {
            let mut response = Response::new(Body::new(Answered { message: Some(message), ended: false }));
            response.headers_mut().insert(CONTENT_TYPE, GRPC);
            response
        }
        Err(status) => status.into_http(),
    }
}

/// The body of an answer.
struct Answered {
    message: Option<Bytes>,
    ended: bool,
}

impl HttpBody for Answered {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(message) = self.message.take() {
            return Poll::Ready(Some(Ok(Frame::data(message))));
        }
        if std::mem::replace(&mut self.ended, true) {
            return Poll::Ready(None);
        }
        let mut trailers = HeaderMap::with_capacity(1);
        trailers.insert(&GRPC_STATUS, OK);
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}
