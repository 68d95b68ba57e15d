//! Verdicts as the bytes of their messages, written from what is known without making the messages first.
//!
//! A test holds them to be the bytes that `introspection` makes by way of the generated types.

use prost::Message as _;
use prost::bytes::{BufMut as _, BytesMut};
use prost::encoding::{self, WireType, encode_key, encode_varint, encoded_len_varint};
use uuid::Uuid;

use super::introspection::inactive_reason;
use super::{external_id, token_type, unix_seconds};
use crate::introspection::{Record, Verdict};
use crate::proto::v1;
use crate::rpc::direct::Encoded;
use crate::rpc::outcomes::MOST_BYTES;
use crate::rpc::status;
use crate::service::Error;
use crate::token::Scope;

/// An `IntrospectTokenResponse`.
pub(crate) fn verdict(verdict: &Verdict, include_metadata: bool) -> Encoded {
    Encoded::of(|buffer| write(verdict, include_metadata, buffer))
}

/// A `BatchIntrospectTokensResponse` of these outcomes, in order. What does not fit any more becomes a failure to ask for
/// again.
pub(crate) fn outcomes<Outcomes>(outcomes: Outcomes) -> Encoded
where
    Outcomes: Iterator<Item = Result<(Verdict, bool), v1::IntrospectionFailure>>,
{
    use v1::introspection_outcome::Outcome::Failure;
    let failed = |failure| v1::IntrospectionOutcome { outcome: Some(Failure(failure)) };
    let too_large = || failed(status::failure(&Error::AnswerTooLarge)).encode_to_vec();
    let (mut bytes, mut answer, mut outcome) = (0, BytesMut::new(), BytesMut::new());
    Encoded::of(|buffer| {
        for item in outcomes {
            outcome.clear();
            match item {
                Ok((verdict, include_metadata)) => {
                    answer.clear();
                    write(&verdict, include_metadata, &mut answer);
                    nested(1, &answer, &mut outcome);
                }
                Err(failure) => outcome.put_slice(&failed(failure).encode_to_vec()),
            }
            bytes += outcome.len();
            if bytes <= MOST_BYTES { nested(1, &outcome, buffer) } else { nested(1, &too_large(), buffer) }
        }
    })
}

fn write(verdict: &Verdict, include_metadata: bool, buffer: &mut BytesMut) {
    let (record, missing) = match verdict {
        Verdict::Active { record, missing } => (record, missing),
        Verdict::Inactive(reason) => {
            number(2, i32::from(v1::Decision::DenyInactive).into(), buffer);
            number(4, i32::from(inactive_reason(*reason)).into(), buffer);
            return nested(15, &[], buffer);
        }
    };
    let decision = if missing.is_empty() { v1::Decision::Allow } else { v1::Decision::DenyScope };
    number(1, 1, buffer);
    number(2, i32::from(decision).into(), buffer);
    for scope in missing {
        nested(3, scope.as_str().as_bytes(), buffer);
    }
    write_record(record, include_metadata, buffer);
}

fn write_record(record: &Record, include_metadata: bool, buffer: &mut BytesMut) {
    joined(5, || record.scopes.iter(), buffer);
    text(6, "Bearer", buffer);
    if let Some(time) = record.expire_time {
        optional(7, unix_seconds(time.into()), buffer);
    }
    optional(8, unix_seconds(record.create_time.into()), buffer);
    text(9, record.principal.as_ref().map_or("", |principal| principal.as_str()), buffer);
    text(10, record.id.as_uuid().hyphenated().encode_lower(&mut Uuid::encode_buffer()), buffer);
    text(11, record.workspace.as_str(), buffer);
    text(12, record.name.as_str(), buffer);
    number(13, record.generation.0.into(), buffer);
    number(14, record.revision.0, buffer);
    // Always set, and always zero.
    nested(15, &[], buffer);
    if include_metadata {
        let metadata = record.extras.metadata.entries();
        let (write, length) = (encoding::string::encode, encoding::string::encoded_len);
        encoding::btree_map::encode(write, length, write, length, 16, metadata, buffer);
    }
    number(17, i32::from(token_type(record.token_type)).into(), buffer);
    for audience in record.extras.audiences.as_slice() {
        nested(18, audience.as_str().as_bytes(), buffer);
    }
    text(19, record.username.as_ref().map_or("", |username| username.as_str()), buffer);
    number(20, external_id(record.external_id), buffer);
}

/// A number, unless it is 0, which is what a reader takes for one that is left out.
fn number(field: u32, number: i64, buffer: &mut BytesMut) {
    if number != 0 {
        optional(field, number, buffer);
    }
}

/// A number whatever it is, of a field that tells 0 from nothing. A negative one has the bits of 64.
fn optional(field: u32, number: i64, buffer: &mut BytesMut) {
    encode_key(field, WireType::Varint, buffer);
    encode_varint(number.cast_unsigned(), buffer);
}

/// A text, unless it is empty.
fn text(field: u32, text: &str, buffer: &mut BytesMut) {
    if !text.is_empty() {
        nested(field, text.as_bytes(), buffer);
    }
}

/// Anything that has a length: a message, or one of several texts.
fn nested(field: u32, bytes: &[u8], buffer: &mut BytesMut) {
    begin(field, bytes.len(), buffer);
    buffer.put_slice(bytes);
}

fn begin(field: u32, length: usize, buffer: &mut BytesMut) {
    let length = length as u64;
    buffer.reserve(encoding::key_len(field) + encoded_len_varint(length));
    encode_key(field, WireType::LengthDelimited, buffer);
    encode_varint(length, buffer);
}

/// Scopes separated by spaces, unless there are none.
fn joined<'scopes, Scopes>(field: u32, scopes: impl Fn() -> Scopes, buffer: &mut BytesMut)
where
    Scopes: Iterator<Item = &'scopes Scope>,
{
    let length: usize = scopes().map(|scope| scope.as_str().len() + 1).sum();
    let Some(length) = length.checked_sub(1) else { return };
    begin(field, length, buffer);
    for (place, scope) in scopes().enumerate() {
        if place > 0 {
            buffer.put_u8(b' ');
        }
        buffer.put_slice(scope.as_str().as_bytes());
    }
}

#[cfg(test)]
mod tests;
