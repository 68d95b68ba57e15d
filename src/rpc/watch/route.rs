//! The way to `WatchRevocations`, whose frames are bytes already. All else goes to the generated server.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use prost::bytes::{BufMut as _, Bytes};
use tonic::Status;
use tonic::body::Body;
use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};
use tonic::codegen::{Body as HttpBody, Service, StdError};
use tonic::server::{Grpc, NamedService};
use tonic_prost::{ProstCodec, ProstDecoder};

use super::Watch;
use crate::proto::v1;
use crate::proto::v1::token_service_server::TokenServiceServer;
use crate::rpc::{Desk, TokenRpc};

/// The bytes that every watcher holds for frames on their way: enough for a common one. The library would hold 8 KiB.
const BUFFER: usize = 512;

/// So many bytes of frames are sent together, if there are as many: the library's own choice.
const TOGETHER: usize = 32 * 1024;

const PATH: &str = "/tokenkeep.v1.TokenService/WatchRevocations";

/// Serves `TokenService` whole.
#[derive(Clone)]
pub struct TokenRoute {
    rest: TokenServiceServer<TokenRpc>,
    watch: Watch,
    largest_request: usize,
}

impl TokenRoute {
    /// Refuses requests above and answers beyond these sizes in bytes.
    #[must_use]
    pub fn new(desk: &Desk, largest_request: usize, largest_answer: usize) -> Self {
        let rest = TokenServiceServer::new(TokenRpc(desk.clone()))
            .max_decoding_message_size(largest_request)
            .max_encoding_message_size(largest_answer);
        Self { rest, watch: Watch::new(desk.clone()), largest_request }
    }
}

impl NamedService for TokenRoute {
    const NAME: &'static str = <TokenServiceServer<TokenRpc> as NamedService>::NAME;
}

type Answer = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

impl<Content> Service<http::Request<Content>> for TokenRoute
where
    Content: HttpBody + Send + 'static,
    Content::Error: Into<StdError> + Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Content>) -> Answer {
        if request.uri().path() != PATH {
            return self.rest.call(request);
        }
        let (watch, largest) = (self.watch.clone(), self.largest_request);
        Box::pin(async move {
            let mut grpc = Grpc::new(Encoded).max_decoding_message_size(largest);
            Ok(grpc.server_streaming(watch, request).await)
        })
    }
}

/// Takes answers that are encoded.
#[derive(Debug, Clone, Copy, Default)]
struct Encoded;

impl Codec for Encoded {
    type Encode = Bytes;
    type Decode = v1::WatchRevocationsRequest;
    type Encoder = Self;
    type Decoder = ProstDecoder<v1::WatchRevocationsRequest>;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<v1::WatchRevocationsResponse, v1::WatchRevocationsRequest>::default().decoder()
    }
}

impl Encoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER, TOGETHER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The generated server would answer UNIMPLEMENTED.
    #[test]
    fn the_path_is_the_one_of_the_proto() {
        assert!(crate::proto::method_paths().unwrap().contains(&PATH.to_owned()));
    }
}
