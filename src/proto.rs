//! The only door to the generated code, and the `Debug` of those messages that carry a secret.

use std::fmt;

/// Package `tokenkeep.v1`, generated from `proto/tokenkeep/v1`; its comments are those of the proto.
#[expect(
    clippy::pedantic,
    clippy::doc_lazy_continuation,
    reason = "generated code; the protos are linted and documented"
)]
pub mod v1 {
    tonic::include_proto!("tokenkeep.v1");
}

/// The descriptors of all our protos and what they import, for server reflection and for clients without protos.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tokenkeep.binpb"));

impl fmt::Debug for v1::CreateTokenResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CreateTokenResponse").field("token", &self.token).finish_non_exhaustive()
    }
}

impl fmt::Debug for v1::RegenerateTokenResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RegenerateTokenResponse").field("token", &self.token).finish_non_exhaustive()
    }
}

impl fmt::Debug for v1::IntrospectTokenRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("IntrospectTokenRequest")
            .field("workspace", &self.workspace)
            .field("required_scopes", &self.required_scopes)
            .finish_non_exhaustive()
    }
}
