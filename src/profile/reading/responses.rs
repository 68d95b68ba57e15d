//! What a product answers to whom it turns away.

use http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};
use serde::de::IgnoredAny;

use super::header_name;
use super::section::{Section, Taken, Value, all};
use crate::profile::{Response, Responses};

/// More than any message, and little enough for a proxy to hold.
const LARGEST_BODY: usize = 16_384;
const MOST_HEADERS: usize = 16;
const LONGEST_VALUE: usize = 1_024;

pub(super) const RESPONSES: [&str; 3] = ["missing", "invalid", "forbidden"];
pub(super) const RESPONSE: [&str; 3] = ["status", "headers", "body"];

pub(super) fn responses(root: &Section<'_>) -> Taken<Responses> {
    let section = root.required("responses", "[responses.missing]")?.section(&RESPONSES)?;
    let response = |name: &str| response(&section.required(name, &format!("[responses.{name}]"))?);
    let (missing, invalid, forbidden) = (response("missing"), response("invalid"), response("forbidden"));
    Ok(Responses { missing: missing?, invalid: invalid?, forbidden: forbidden? })
}

fn response(value: &Value<'_>) -> Taken<Response> {
    let section = value.section(&RESPONSE)?;
    let status = section.required("status", "status = 401").and_then(|value| status(&value));
    let headers = section.optional("headers").map_or(Ok(Vec::new()), |value| headers(&value));
    let body = section.required("body", "body = \"\"").and_then(|value| body(&value));
    let (status, headers, body) = (status?, headers?, body?);
    let content_type = header(&headers, &CONTENT_TYPE);
    if status == StatusCode::UNAUTHORIZED && header(&headers, &WWW_AUTHENTICATE).is_none() {
        // RFC 9110, section 15.5.2.
        return Err(section.note("needs the header www-authenticate, like `headers = { www-authenticate = \"Bearer\" }`: a 401 must say how to authenticate"));
    }
    if !body.is_empty() && content_type.is_none() {
        return Err(section.note("needs the header content-type, like `headers = { content-type = \"application/json\" }`, for its body"));
    }
    refuse_broken_json(&section, content_type, &body)?;
    Ok(Response { status, headers, body })
}

fn header<'headers>(
    headers: &'headers [(HeaderName, HeaderValue)],
    wanted: &HeaderName,
) -> Option<&'headers HeaderValue> {
    headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value)
}

fn status(value: &Value<'_>) -> Taken<StatusCode> {
    let status = value.number::<u16>(400..=499)?;
    StatusCode::from_u16(status).map_err(|invalid| value.note(invalid.to_string()))
}

fn headers(value: &Value<'_>) -> Taken<Vec<(HeaderName, HeaderValue)>> {
    let fields: Vec<_> = value.table()?.fields().collect();
    if fields.len() > MOST_HEADERS {
        return Err(value.note(format!("must have at most {MOST_HEADERS} entries")));
    }
    all(fields.into_iter().map(|(name, value)| {
        let name = header_name(&value, name);
        let value = header_value(&value);
        Ok((name?, value?))
    }))
}

fn header_value(value: &Value<'_>) -> Taken<HeaderValue> {
    let text = value.text()?;
    let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let right = (1..=LONGEST_VALUE).contains(&text.len()) && printable && text.trim() == text;
    let parsed = Some(text).filter(|_| right).and_then(|text| HeaderValue::from_str(text).ok());
    let wanted = "must be 1 to 1024 printable ASCII characters, with no space at either end";
    parsed.ok_or_else(|| value.note(wanted))
}

fn body(value: &Value<'_>) -> Taken<String> {
    let text = value.text()?;
    if text.len() > LARGEST_BODY {
        return Err(value.note(format!("must be at most {LARGEST_BODY} bytes long")));
    }
    Ok(text.to_owned())
}

fn refuse_broken_json(section: &Section<'_>, content_type: Option<&HeaderValue>, body: &str) -> Taken<()> {
    let is_json = content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    if !is_json || body.is_empty() {
        return Ok(());
    }
    let read = serde_json::from_str::<IgnoredAny>(body);
    let field = section.required("body", "body = \"\"")?;
    read.map(drop).map_err(|error| field.note(format!("must be JSON, as its content-type says: {error}")))
}
