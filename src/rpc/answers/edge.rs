//! What a proxy is told to do.

use http::StatusCode;
use tonic::Code;
use tonic_types::Status as RpcStatus;

use crate::edge::Answer;
use crate::profile::Response;
use crate::proto::envoy::config::core::v3::header_value_option::HeaderAppendAction;
use crate::proto::envoy::config::core::v3::{HeaderValue, HeaderValueOption};
use crate::proto::envoy::service::auth::v3::check_response::HttpResponse;
use crate::proto::envoy::service::auth::v3::{CheckResponse, DeniedHttpResponse, OkHttpResponse};
use crate::proto::envoy::r#type::v3::HttpStatus;

/// Tells Envoy.
pub(in crate::rpc) fn checked(answer: Answer) -> CheckResponse {
    let (code, response) = match answer {
        Answer::Allow { set, remove } => (Code::Ok, allowed(set, remove)),
        Answer::Deny(response) => (code(response.status), denied(response)),
    };
    let status = RpcStatus { code: code.into(), ..RpcStatus::default() };
    CheckResponse { status: Some(status), http_response: Some(response), dynamic_metadata: None }
}

/// Envoy only asks whether it is OK; the code is for whoever reads along.
fn code(status: StatusCode) -> Code {
    if status == StatusCode::UNAUTHORIZED { Code::Unauthenticated } else { Code::PermissionDenied }
}

fn allowed(set: Vec<(&'static str, String)>, remove: Vec<String>) -> HttpResponse {
    let headers = set.into_iter().map(|(name, value)| header(name, value)).collect();
    HttpResponse::OkResponse(OkHttpResponse {
        headers,
        headers_to_remove: remove,
        ..OkHttpResponse::default()
    })
}

fn denied(response: Response) -> HttpResponse {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = response.headers.iter().map(|(name, value)| header(name.as_str(), text(value))).collect();
    HttpResponse::DeniedResponse(DeniedHttpResponse {
        status: Some(HttpStatus { code: response.status.as_u16().into() }),
        headers,
        body: response.body,
    })
}

/// A header that takes the place of any of its name.
fn header(name: &str, value: String) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue { key: name.to_owned(), value, ..HeaderValue::default() }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..HeaderValueOption::default()
    }
}
