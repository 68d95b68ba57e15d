//! The edge over plain HTTP, for proxies that ask by `forward_auth` or `auth_request`: `GET /check`.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::RawQuery;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, PROXY_AUTHORIZATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use axum::routing::get;
use tokio::time::{Instant, timeout_at};
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Request, Status};

use super::check::Edge;
use super::requests::edge::{Forwarded, forwarded};
use super::status;
use crate::crossing::Deadline;
use crate::edge::{Answer, IDENTITY_PREFIX};
use crate::service::Error;

/// How proxies ask.
#[derive(Debug, Clone)]
pub struct ForwardAuth {
    /// The header that holds the client's address, if a proxy sets one.
    pub address_header: Option<HeaderName>,
    /// The longest that an answer may take.
    pub deadline: Duration,
}

impl ForwardAuth {
    /// The routes of the endpoint.
    pub fn routes(self, edge: impl Edge) -> Router {
        let check = move |RawQuery(query): RawQuery, headers: HeaderMap| {
            let (asks, edge) = (self.clone(), edge.clone());
            async move { asks.answer(edge, query.unwrap_or_default(), headers).await }
        };
        Router::new().route("/check", get(check))
    }

    async fn answer(self, edge: impl Edge, query: String, headers: HeaderMap) -> Response<Body> {
        let deadline = Instant::now() + self.deadline;
        let request = asked_by(&headers, deadline);
        let forwarded_request = Forwarded { query, headers, address_header: self.address_header };
        let request = request.map(|()| forwarded_request);
        let decided = timeout_at(deadline, edge.decide(request, forwarded)).await;
        let exceeded = |_| Err(status::from_error(&Error::DeadlineExceeded));
        decided.unwrap_or_else(exceeded).map_or_else(|status| undecided(&status), told)
    }
}

/// The caller is the proxy, and its credential is not the client's.
fn asked_by(headers: &HeaderMap, deadline: Instant) -> Request<()> {
    let mut own = HeaderMap::new();
    if let Some(credential) = headers.get(PROXY_AUTHORIZATION) {
        own.insert(AUTHORIZATION, credential.clone());
    }
    let mut extensions = Extensions::default();
    extensions.insert(Deadline(deadline));
    Request::from_parts(MetadataMap::from_headers(own), extensions, ())
}

fn told(answer: Answer) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    match answer {
        Answer::Allow { set, remove } => {
            // A proxy that copies one that is not there leaves the client's in place, or copies nonsense: empty, it is gone.
            let gone = remove.into_iter().filter(|name| name.starts_with(IDENTITY_PREFIX));
            let gone = gone.map(|name| (name, String::new()));
            let told = set.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(gone);
            let fit =
                |(name, value)| Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?));
            response.headers_mut().extend(told.filter_map(fit));
        }
        Answer::Deny(denial) => {
            *response.status_mut() = denial.status;
            response.headers_mut().extend(denial.headers);
            *response.body_mut() = Body::from(denial.body);
        }
    }
    response
}

/// Never a verdict on the client, whatever is amiss: with the proxy's own credential, with what it asks, or here.
fn undecided(status: &Status) -> Response<Body> {
    let reason = status::name(status::reason(status).unwrap_or_default());
    let mut response = Response::new(Body::from(format!("{reason}: {}\n", status.message())));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
