//! Requests that change something, and so may have an id that makes a retry safe.

use prost::Message;

use crate::proto::v1;

/// A request that changes something.
pub(in crate::rpc) trait Mutating: Message {
    /// Its name, by which requests of two RPCs that look alike are told apart.
    const NAME: &'static str;

    /// Takes the request id out, which is no part of what is asked for; empty if there is none.
    fn take_request_id(&mut self) -> String;
}

macro_rules! mutating {
    ($($message:ident),* $(,)?) => {
        $(impl Mutating for v1::$message {
            const NAME: &'static str = stringify!($message);

            fn take_request_id(&mut self) -> String {
                std::mem::take(&mut self.request_id)
            }
        })*
    };
}

mutating!(
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

#[cfg(test)]
mod tests {
    use super::*;

    /// So that the same words are the same request however they were put on the wire.
    #[test]
    fn the_id_is_no_part_of_what_is_asked_for() {
        let request = |request_id: &str| v1::RevokeTokenRequest {
            id: "one".to_owned(),
            request_id: request_id.to_owned(),
            ..Default::default()
        };
        let (mut one, mut other) = (request("first"), request("second"));
        assert_eq!((one.take_request_id(), other.take_request_id()), ("first".into(), "second".into()));
        assert_eq!(one.encode_to_vec(), other.encode_to_vec());
    }
}
