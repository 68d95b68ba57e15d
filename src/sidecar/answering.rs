//! The part of `TokenService` that a sidecar serves, on the serving thread; whatever it does not serve is unimplemented.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::Sidecar;
use super::judging::Judged;
use crate::proto::v1;
use crate::proto::v1::token_service_server::TokenService;
use crate::rpc::{answers, requests, status};

/// Serves introspections.
#[derive(Clone, Debug)]
pub struct SidecarRpc(pub Arc<Sidecar>);

#[tonic::async_trait]
impl TokenService for SidecarRpc {
    async fn introspect_token(
        &self,
        request: Request<v1::IntrospectTokenRequest>,
    ) -> Result<Response<v1::IntrospectTokenResponse>, Status> {
        let words = requests::introspect_token(request.into_inner());
        let (ask, include_metadata) = words.map_err(|error| status::from_error(&error))?;
        let verdict = self.0.introspect(&ask).await.map_err(|failure| status::from_failure(&failure))?;
        Ok(Response::new(answers::verdict(verdict, include_metadata)))
    }

    async fn batch_introspect_tokens(
        &self,
        request: Request<v1::BatchIntrospectTokensRequest>,
    ) -> Result<Response<v1::BatchIntrospectTokensResponse>, Status> {
        let words = requests::batch_introspect_tokens(request.into_inner());
        let words = words.map_err(|error| status::from_error(&error))?;
        let (asks, include_metadata): (Vec<_>, Vec<_>) = words.into_iter().unzip();
        let judged = self.0.introspect_all(&asks).await;
        let outcomes = judged.into_iter().zip(include_metadata).map(outcome).collect();
        Ok(Response::new(v1::BatchIntrospectTokensResponse { outcomes }))
    }
}

fn outcome((judged, include_metadata): (Judged, bool)) -> v1::IntrospectionOutcome {
    use v1::introspection_outcome::Outcome;
    let outcome = match judged {
        Ok(verdict) => Outcome::Answer(answers::verdict(verdict, include_metadata)),
        Err(failure) => Outcome::Failure(failure),
    };
    v1::IntrospectionOutcome { outcome: Some(outcome) }
}
