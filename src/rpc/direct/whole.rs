//! Reading the one message of a request, and giving back what was read if it is not all there is to it.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body::Frame;
use prost::bytes::{Bytes, BytesMut};
use tonic::codegen::Body as HttpBody;

/// What stands before each message: whether it is compressed, and its length, big-endian.
pub(super) const HEAD: usize = 5;

/// The message of a request, if that is one which is not compressed and nothing else; otherwise the request's body as it
/// came. What is larger than so many bytes is not read to its end.
pub(super) async fn whole<Content>(mut body: Content, largest: usize) -> Result<Bytes, Again<Content>>
where
    Content: HttpBody<Data = Bytes> + Unpin,
{
    let mut read = Read::default();
    while !(read.has_begun() && body.is_end_stream()) {
        let frame = match poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            None => break,
            Some(Ok(frame)) => frame.into_data().map_err(Ok),
            Some(Err(error)) => Err(Err(error)),
        };
        match frame {
            Ok(data) => read.add(data),
            Err(odd) => return Err(Again { read: Some(read.bytes()), odd: Some(odd), rest: body }),
        }
        if read.length() > HEAD + largest {
            break;
        }
    }
    let read = read.bytes();
    message(&read, largest).ok_or(Again { read: Some(read), odd: None, rest: body })
}

/// What follows the head, if that says so and it is not too large.
fn message(read: &Bytes, largest: usize) -> Option<Bytes> {
    let ([compressed, length @ ..], message) = read.split_first_chunk::<HEAD>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    (*compressed == 0 && message.len() == length && length <= largest).then(|| read.slice(HEAD..))
}

/// What was read of a body. A second piece, which few have, is what is copied for.
#[derive(Default)]
struct Read {
    first: Bytes,
    joined: BytesMut,
}

impl Read {
    fn add(&mut self, data: Bytes) {
        if !self.has_begun() {
            self.first = data;
            return;
        }
        self.joined.extend_from_slice(&std::mem::take(&mut self.first));
        self.joined.extend_from_slice(&data);
    }

    fn has_begun(&self) -> bool {
        self.length() > 0
    }

    fn length(&self) -> usize {
        self.first.len() + self.joined.len()
    }

    fn bytes(self) -> Bytes {
        if self.joined.is_empty() { self.first } else { self.joined.freeze() }
    }
}

/// A body that was begun to be read, from its beginning.
pub(super) struct Again<Content: HttpBody> {
    read: Option<Bytes>,
    /// What came next and was no data.
    odd: Option<Result<Frame<Bytes>, Content::Error>>,
    rest: Content,
}

impl<Content> HttpBody for Again<Content>
where
    Content: HttpBody<Data = Bytes> + Unpin,
    Content::Error: Unpin,
{
    type Data = Bytes;
    type Error = Content::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Content::Error>>> {
        let this = self.get_mut();
        let read = this.read.take().filter(|read| !read.is_empty());
        match read.map(|read| Ok(Frame::data(read))).or_else(|| this.odd.take()) {
            Some(frame) => Poll::Ready(Some(frame)),
            None => Pin::new(&mut this.rest).poll_frame(context),
        }
    }
}
