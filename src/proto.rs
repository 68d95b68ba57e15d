//! The only door to the generated code, and the `Debug` of those messages that carry a secret.

use std::fmt;

use prost::{DecodeError, Message as _};
use prost_types::{FileDescriptorProto, FileDescriptorSet};

/// Package `tokenkeep.v1`, generated from `proto/tokenkeep/v1`; its comments are those of the proto.
#[expect(
    clippy::pedantic,
    clippy::doc_lazy_continuation,
    clippy::large_enum_variant,
    reason = "generated code; the protos are linted and documented"
)]
pub mod v1 {
    tonic::include_proto!("tokenkeep.v1");
}

/// Envoy's packages, generated from `vendor/proto`: as much of them as `envoy.service.auth.v3.Authorization` speaks of.
#[expect(
    clippy::pedantic,
    clippy::large_enum_variant,
    missing_docs,
    reason = "generated code, and compiled without its comments"
)]
pub mod envoy {
    /// Package `envoy.config`.
    pub mod config {
        /// Package `envoy.config.core`.
        pub mod core {
            /// Package `envoy.config.core.v3`.
            pub mod v3 {
                tonic::include_proto!("envoy.config.core.v3");
            }
        }
    }
    /// Package `envoy.service`.
    pub mod service {
        /// Package `envoy.service.auth`.
        pub mod auth {
            /// Package `envoy.service.auth.v3`.
            pub mod v3 {
                tonic::include_proto!("envoy.service.auth.v3");
            }
        }
    }
    /// Package `envoy.type`.
    pub mod r#type {
        /// Package `envoy.type.v3`.
        pub mod v3 {
            tonic::include_proto!("envoy.r#type.v3");
        }
    }
}

/// Package `xds`, which Envoy's messages name.
#[expect(missing_docs, reason = "generated code, and compiled without its comments")]
pub mod xds {
    /// Package `xds.core`.
    pub mod core {
        /// Package `xds.core.v3`.
        pub mod v3 {
            tonic::include_proto!("xds.core.v3");
        }
    }
}

/// The descriptors of all our protos and what they import, for server reflection and for clients without protos.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tokenkeep.binpb"));

/// The descriptors of what Envoy asks by, and what they import.
pub const ENVOY_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/envoy.binpb"));

/// The paths of all methods that a server may offer: ours, Envoy's, and those of health and reflection, like
/// `/tokenkeep.v1.TokenService/GetToken`.
///
/// # Errors
/// None: the descriptors were written by the compiler.
pub fn method_paths() -> Result<Vec<String>, DecodeError> {
    let sets = [
        DESCRIPTOR_SET,
        ENVOY_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let sets: Vec<_> = sets.into_iter().map(FileDescriptorSet::decode).collect::<Result<_, _>>()?;
    Ok(sets.iter().flat_map(|set| &set.file).flat_map(paths_of_file).collect())
}

fn paths_of_file(file: &FileDescriptorProto) -> impl Iterator<Item = String> {
    file.service.iter().flat_map(|service| {
        let path = |method: &str| format!("/{}.{}/{method}", file.package(), service.name());
        service.method.iter().map(move |method| path(method.name()))
    })
}

/// Requests with a request id, which may open a secret, tell their names only.
macro_rules! told_by_name {
    ($($message:ident),* $(,)?) => {
        $(impl fmt::Debug for v1::$message {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.debug_struct(stringify!($message)).finish_non_exhaustive()
            }
        })*
    };
}

told_by_name!(
    CreateTokenRequest,
    UpdateTokenRequest,
    RegenerateTokenRequest,
    EndOverlapRequest,
    SuspendTokenRequest,
    ResumeTokenRequest,
    RevokeTokenRequest,
    BulkRevokeTokensRequest,
    CreateWorkspaceRequest,
    UpdateWorkspaceRequest,
    InvalidateWorkspaceTokensRequest,
    CreatePrincipalRequest,
    UpdatePrincipalRequest,
    DeletePrincipalRequest,
);

impl fmt::Debug for v1::CreateTokenResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CreateTokenResponse").field("token", &self.token).finish_non_exhaustive()
    }
}

impl fmt::Debug for v1::CreatePrincipalResponse {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("CreatePrincipalResponse")
            .field("principal", &self.principal)
            .field("token", &self.token)
            .finish_non_exhaustive()
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
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for v1::ResolveTokensRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tokens = self.tokens.len();
        formatter.debug_struct("ResolveTokensRequest").field("tokens", &tokens).finish_non_exhaustive()
    }
}

impl fmt::Debug for v1::RevokeSecretRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secrets = self.secrets.len();
        formatter.debug_struct("RevokeSecretRequest").field("secrets", &secrets).finish_non_exhaustive()
    }
}

impl fmt::Debug for v1::TagKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TagKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl fmt::Debug for envoy::service::auth::v3::attribute_context::HttpRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("HttpRequest").field("method", &self.method).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_paths_are_those_of_the_api_and_of_what_goes_with_it() {
        let paths = method_paths().unwrap();
        for path in [
            "/tokenkeep.v1.TokenService/IntrospectToken",
            "/tokenkeep.v1.WorkspaceService/ListWorkspaces",
            "/tokenkeep.v1.PrincipalService/CreatePrincipal",
            "/tokenkeep.v1.SidecarService/RenewLease",
            "/envoy.service.auth.v3.Authorization/Check",
            "/grpc.health.v1.Health/Watch",
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        ] {
            assert_eq!(paths.iter().filter(|listed| *listed == path).count(), 1, "{path} in {paths:?}");
        }
    }
}
