//! Messages as JSON: the API's own, by protobuf's mapping, with the fields that are at their defaults written out, so that
//! a message always has the same shape.

use std::sync::OnceLock;

use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};

use super::error::CliError;
use crate::proto::DESCRIPTOR_SET;

/// A message on one line, without its end.
pub(super) fn line<M: Message + Name>(message: &M) -> Result<String, CliError> {
    let failed = |error: Box<dyn std::error::Error + Send + Sync>| CliError::Json(error);
    let pool = pool().ok_or_else(|| failed("the descriptors cannot be read".into()))?;
    let named = pool.get_message_by_name(&M::full_name()).ok_or_else(|| failed(M::full_name().into()))?;
    let dynamic = DynamicMessage::decode(named, message.encode_to_vec().as_slice());
    let dynamic = dynamic.map_err(|error| failed(error.into()))?;
    let mut line = Vec::new();
    let options = SerializeOptions::new().skip_default_fields(false);
    let written = dynamic.serialize_with_options(&mut serde_json::Serializer::new(&mut line), &options);
    written.map_err(|error| failed(error.into()))?;
    String::from_utf8(line).map_err(|error| failed(error.into()))
}

fn pool() -> Option<&'static DescriptorPool> {
    static POOL: OnceLock<Option<DescriptorPool>> = OnceLock::new();
    POOL.get_or_init(|| DescriptorPool::decode(DESCRIPTOR_SET).ok()).as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1;

    #[test]
    fn a_message_has_one_shape_whatever_is_in_it() {
        let line = line(&v1::IntrospectTokenResponse::default()).unwrap();
        let told: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(told["active"], false);
        assert_eq!(told["missingScopes"], serde_json::json!([]));
        assert_eq!(told["revision"], "0");
        assert_eq!(told["decision"], "DECISION_UNSPECIFIED");
        assert!(told.get("exp").is_none(), "what is not there is left out: {line}");
    }
}
