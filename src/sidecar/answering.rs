//! The part of `TokenService` that a sidecar serves, on the serving thread; whatever it does not serve is unimplemented.

use std::sync::Arc;

use prost::bytes::Bytes;
use tonic::{Request, Response, Status};

use super::Sidecar;
use crate::introspection::Verdict;
use crate::proto::v1;
use crate::proto::v1::token_service_server::TokenService;
use crate::rpc::introspection::{self, encoded, introspect_token, introspect_tokens, judged};
use crate::rpc::{DirectCalls, Encoded, Introspecting, decoded, status};
use crate::service::Error;

/// Serves introspections.
#[derive(Clone, Debug)]
pub struct SidecarRpc(pub Arc<Sidecar>);

impl SidecarRpc {
    async fn introspect(&self, request: v1::IntrospectTokenRequest) -> Result<(Verdict, bool), Status> {
        let asked = introspect_token(request).map_err(refuse)?;
        let judged = self.0.introspect(&asked.introspection).await;
        let verdict = judged.map_err(|failure| status::from_failure(&failure))?;
        Ok((verdict, asked.include_metadata))
    }

    async fn introspect_all(
        &self,
        request: v1::BatchIntrospectTokensRequest,
    ) -> Result<impl Iterator<Item = Result<(Verdict, bool), v1::IntrospectionFailure>>, Status> {
        let batch = introspect_tokens(request).map_err(refuse)?;
        let verdicts = self.0.introspect_all(&batch.introspections()).await;
        Ok(judged(batch, verdicts, |error| status::failure(&error)))
    }
}

#[tonic::async_trait]
impl TokenService for SidecarRpc {
    async fn introspect_token(
        &self,
        request: Request<v1::IntrospectTokenRequest>,
    ) -> Result<Response<v1::IntrospectTokenResponse>, Status> {
        let (verdict, include_metadata) = self.introspect(request.into_inner()).await?;
        Ok(Response::new(introspection::verdict(&verdict, include_metadata)))
    }

    async fn batch_introspect_tokens(
        &self,
        request: Request<v1::BatchIntrospectTokensRequest>,
    ) -> Result<Response<v1::BatchIntrospectTokensResponse>, Status> {
        Ok(Response::new(introspection::batch(self.introspect_all(request.into_inner()).await?)))
    }
}

impl DirectCalls for SidecarRpc {
    type Method = Introspecting;

    fn method(path: &str) -> Option<Introspecting> {
        Introspecting::of(path)
    }

    async fn answer(&self, method: Introspecting, request: Request<Bytes>) -> Result<Encoded, Status> {
        match method {
            Introspecting::One => {
                let (verdict, include_metadata) = self.introspect(decoded(request)?.into_inner()).await?;
                Ok(encoded::verdict(&verdict, include_metadata))
            }
            Introspecting::Several => {
                Ok(encoded::outcomes(self.introspect_all(decoded(request)?.into_inner()).await?))
            }
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is mapped over errors")]
fn refuse(error: Error) -> Status {
    status::from_error(&error)
}
