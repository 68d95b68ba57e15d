//! That each request is counted once, by the status it really ended with.

use std::convert::Infallible;
use std::future::{pending, poll_fn};

use http::{HeaderName, HeaderValue};
use tower::{ServiceExt as _, service_fn};

use super::super::tests::value;
use super::*;

const PATH: &str = "/tokenkeep.v1.TokenService/GetToken";

/// A body of frames that are ready.
struct Frames(Vec<Frame<&'static [u8]>>);

impl Body for Frames {
    type Data = &'static [u8];
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Infallible>>> {
        let next = (!self.0.is_empty()).then(|| self.0.remove(0));
        Poll::Ready(next.map(Ok))
    }
}

fn status(code: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), HeaderValue::from_static(code))])
}

fn message() -> Frame<&'static [u8]> {
    Frame::data(&[0; 5])
}

async fn answer(
    metrics: &Metrics,
    path: &str,
    headers: HeaderMap,
    frames: Vec<Frame<&'static [u8]>>,
) -> CountedBody<Frames> {
    let mut answer = Some((headers, Frames(frames)));
    let service = service_fn(move |_: Request<()>| {
        let (headers, body) = answer.take().unwrap();
        let mut response = Response::new(body);
        *response.headers_mut() = headers;
        async { Ok::<_, Infallible>(response) }
    });
    let service = metrics.count_requests().layer(service);
    let response = service.oneshot(Request::builder().uri(path).body(()).unwrap()).await;
    response.unwrap().into_body()
}

async fn read_out(mut body: CountedBody<Frames>) {
    while poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await.is_some() {}
}

fn metrics() -> Metrics {
    Metrics::new([PATH.to_owned()])
}

/// The series of [`PATH`] that counted anything, with their counts.
fn counted(metrics: &Metrics) -> Vec<(&'static str, f64)> {
    let count = |code: &&'static str| {
        let series = format!(
            "tokenkeep_requests_total{{method=\"tokenkeep.v1.TokenService/GetToken\",code=\"{code}\"}}"
        );
        (*code, value(metrics, &series).unwrap())
    };
    CODES.iter().map(count).filter(|(_, count)| *count > 0.0).collect()
}

#[tokio::test]
async fn a_status_in_the_trailers_is_counted_once() {
    let metrics = metrics();
    let frames = vec![message(), Frame::trailers(status("0"))];
    let body = answer(&metrics, PATH, HeaderMap::new(), frames).await;
    assert_eq!(counted(&metrics), [], "not before it has ended");
    read_out(body).await;
    assert_eq!(counted(&metrics), [("ok", 1.0)]);
    let series = "tokenkeep_request_duration_seconds_count{method=\"tokenkeep.v1.TokenService/GetToken\"}";
    assert_eq!(value(&metrics, series), Some(1.0));
}

#[tokio::test]
async fn a_status_in_the_headers_is_counted_once() {
    let metrics = metrics();
    read_out(answer(&metrics, PATH, status("7"), Vec::new()).await).await;
    assert_eq!(counted(&metrics), [("permission_denied", 1.0)]);
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_the_answer_has_cancelled() {
    let metrics = metrics();
    let mut body = answer(&metrics, PATH, HeaderMap::new(), vec![message(), message()]).await;
    assert!(poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await.is_some());
    drop(body);
    assert_eq!(counted(&metrics), [("cancelled", 1.0)]);
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_has_cancelled() {
    let metrics = metrics();
    let never = service_fn(|_: Request<()>| pending::<Result<Response<Frames>, Infallible>>());
    let mut service = metrics.count_requests().layer(never);
    drop(service.call(Request::builder().uri(PATH).body(()).unwrap()));
    assert_eq!(counted(&metrics), [("cancelled", 1.0)]);
}

#[tokio::test]
async fn an_answer_that_names_no_status_or_none_of_grpc_is_unknown() {
    let metrics = metrics();
    read_out(answer(&metrics, PATH, HeaderMap::new(), vec![message()]).await).await;
    read_out(answer(&metrics, PATH, status("17"), Vec::new()).await).await;
    read_out(answer(&metrics, PATH, status("ok"), Vec::new()).await).await;
    assert_eq!(counted(&metrics), [("unknown", 3.0)]);
}

#[tokio::test]
async fn paths_of_the_callers_choice_make_no_series() {
    let metrics = metrics();
    for path in ["/a/B", "/c/D", "/tokenkeep.v1.TokenService/GetToken/"] {
        read_out(answer(&metrics, path, status("12"), Vec::new()).await).await;
    }
    let series = "tokenkeep_requests_total{method=\"other\",code=\"unimplemented\"}";
    assert_eq!(value(&metrics, series), Some(3.0));
    assert!(!metrics.render().unwrap().contains("a/B"));
}
