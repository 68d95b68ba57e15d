//! Which requests take the shorter way, and that the others come to the longer one whole.

use std::collections::VecDeque;
use std::future::{poll_fn, ready};
use std::sync::Mutex;

use http::HeaderMap;
use http_body::Frame;
use tonic::Code;

use super::*;

/// A body in pieces.
#[derive(Default)]
struct Pieces(VecDeque<Result<Frame<Bytes>, StdError>>);

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        Poll::Ready(self.0.pop_front())
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }
}

fn pieces<const N: usize>(pieces: [&[u8]; N]) -> Pieces {
    Pieces(pieces.into_iter().map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece)))).collect())
}

/// Says the message back.
struct Echo;

impl DirectCalls for Echo {
    type Method = ();

    fn method(path: &str) -> Option<()> {
        (path == "/Echo").then_some(())
    }

    async fn answer(&self, (): (), request: Request<Bytes>) -> Result<Encoded, Status> {
        let message = request.into_inner();
        if message == "no" {
            return Err(Status::permission_denied("so it is"));
        }
        Ok(Encoded::of(|buffer| buffer.extend_from_slice(&message)))
    }
}

/// The data of a request, and how many frames were something else.
type Came = (Vec<u8>, usize);

/// Takes down what comes the long way.
#[derive(Clone, Default)]
struct LongWay(Arc<Mutex<Vec<Came>>>);

impl<Content> Service<http::Request<Content>> for LongWay
where
    Content: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    Content::Error: Send,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Content>) -> Answer {
        let (seen, mut body) = (Arc::clone(&self.0), request.into_body());
        Box::pin(async move {
            let (mut data, mut others) = (Vec::new(), 0);
            while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
                match frame.map(Frame::into_data) {
                    Ok(Ok(bytes)) => data.extend_from_slice(&bytes),
                    Ok(Err(_)) | Err(_) => others += 1,
                }
            }
            seen.lock().unwrap().push((data, others));
            ready(Ok(Status::unimplemented("the long way").into_http())).await
        })
    }
}

/// What a request is answered, its status, and what came the long way.
async fn ask(request: http::Request<Pieces>) -> (Vec<u8>, Code, Vec<Came>) {
    let long_way = LongWay::default();
    let response = Direct::new(Echo, long_way.clone(), 8).call(request).await.unwrap();
    let mut status = Status::from_header_map(response.headers());
    let (mut body, mut answer) = (response.into_body(), Vec::new());
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        match frame.unwrap().into_data() {
            Ok(data) => answer.extend_from_slice(&data),
            Err(frame) => status = Status::from_header_map(&frame.into_trailers().unwrap()),
        }
    }
    let seen = long_way.0.lock().unwrap().clone();
    (answer, status.unwrap().code(), seen)
}

fn to(path: &str, body: Pieces) -> http::Request<Pieces> {
    http::Request::post(path).body(body).unwrap()
}

#[tokio::test]
async fn a_message_is_answered_in_however_many_pieces_it_comes() {
    let whole: &[u8] = b"\0\0\0\0\x02hi";
    for body in [
        pieces([whole]),
        pieces([&whole[..1], &whole[1..]]),
        pieces([&whole[..3], &whole[3..6], &whole[6..]]),
        pieces([b"", whole, b""]),
    ] {
        assert_eq!(ask(to("/Echo", body)).await, (whole.to_vec(), Code::Ok, vec![]));
    }
    let empty = b"\0\0\0\0\0";
    assert_eq!(ask(to("/Echo", pieces([empty]))).await, (empty.to_vec(), Code::Ok, vec![]));
}

#[tokio::test]
async fn a_refusal_is_a_status_alone() {
    let (answer, code, seen) = ask(to("/Echo", pieces([b"\0\0\0\0\x02no"]))).await;
    assert_eq!((answer, code, seen), (vec![], Code::PermissionDenied, vec![]));
}

#[tokio::test]
async fn what_is_out_of_the_ordinary_goes_the_long_way_as_it_came() {
    let cases: [&[&[u8]]; 8] = [
        &[],
        &[b"\0\0\0"],
        &[b"\x01\0\0\0\x02hi"],
        &[b"\0\0\0\0\x03hi"],
        &[b"\0\0\0\0\x01", b"hi"],
        &[b"\0\0\0\0\x02hi\0\0\0\0\x02hi"],
        &[b"\0\0\0\0\x0912345", b"6789"],
        &[b"\0\0\x01\0\0", &[7; 1_000], &[7; 1_000]],
    ];
    for case in cases {
        let body = Pieces(case.iter().map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece)))).collect());
        let (answer, code, seen) = ask(to("/Echo", body)).await;
        assert_eq!((answer, code, seen), (vec![], Code::Unimplemented, vec![(case.concat(), 0)]));
    }
}

#[tokio::test]
async fn trailers_and_failures_go_the_long_way_after_what_was_read() {
    let odd: [Result<Frame<Bytes>, StdError>; 2] =
        [Ok(Frame::trailers(HeaderMap::new())), Err("the client is gone".into())];
    for odd in odd {
        let mut body = pieces([b"\0\0\0\0\x02hi"]);
        body.0.push_back(odd);
        let (_, code, seen) = ask(to("/Echo", body)).await;
        assert_eq!((code, seen), (Code::Unimplemented, vec![(b"\0\0\0\0\x02hi".to_vec(), 1)]));
    }
}

#[tokio::test]
async fn other_methods_and_compressed_messages_go_the_long_way_and_are_not_read_before() {
    let whole = b"\0\0\0\0\x02hi";
    let seen = vec![(whole.to_vec(), 0)];
    assert_eq!(ask(to("/Other", pieces([whole]))).await, (vec![], Code::Unimplemented, seen.clone()));
    let mut compressed = to("/Echo", pieces([whole]));
    compressed.headers_mut().insert("grpc-encoding", "gzip".parse().unwrap());
    assert_eq!(ask(compressed).await, (vec![], Code::Unimplemented, seen));
    let mut plain = to("/Echo", pieces([whole]));
    plain.headers_mut().insert("grpc-encoding", "identity".parse().unwrap());
    assert_eq!(ask(plain).await, (whole.to_vec(), Code::Ok, vec![]));
}

/// The long way would answer as well, only slower.
#[test]
fn the_methods_are_in_the_api() {
    let paths = crate::proto::method_paths().unwrap();
    let direct: Vec<_> = paths.iter().filter_map(|path| crate::rpc::Introspecting::of(path)).collect();
    assert_eq!(direct.len(), 2);
}
