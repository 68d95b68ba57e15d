//! The part of `TokenService` that a sidecar serves, on the serving thread; whatever it does not serve is unimplemented.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::Sidecar;
use super::judging::Judged;
use crate::proto::v1;
use crate::proto::v1::introspection_outcome::Outcome;
use crate::proto::v1::token_service_server::TokenService;
use crate::rpc::{Batch, fitting, introspect_token, introspect_tokens, status, verdict};
use crate::service::Error;

/// Serves introspections.
#[derive(Clone, Debug)]
pub struct SidecarRpc(pub Arc<Sidecar>);

#[tonic::async_trait]
impl TokenService for SidecarRpc {
    async fn introspect_token(
        &self,
        request: Request<v1::IntrospectTokenRequest>,
    ) -> Result<Response<v1::IntrospectTokenResponse>, Status> {
        let asked = introspect_token(request.into_inner()).map_err(refuse)?;
        let judged = self.0.introspect(&asked.introspection).await;
        let judged = judged.map_err(|failure| status::from_failure(&failure))?;
        Ok(Response::new(verdict(judged, asked.include_metadata)))
    }

    async fn batch_introspect_tokens(
        &self,
        request: Request<v1::BatchIntrospectTokensRequest>,
    ) -> Result<Response<v1::BatchIntrospectTokensResponse>, Status> {
        let batch = introspect_tokens(request.into_inner()).map_err(refuse)?;
        let judged = self.0.introspect_all(&batch.introspections()).await;
        Ok(Response::new(v1::BatchIntrospectTokensResponse { outcomes: outcomes(batch, judged) }))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is mapped over errors")]
fn refuse(error: Error) -> Status {
    status::from_error(&error)
}

/// The outcomes of a batch, of which `judged` is what could be taken, in order.
fn outcomes(batch: Batch, judged: Vec<Judged>) -> Vec<v1::IntrospectionOutcome> {
    let mut judged = judged.into_iter();
    let items = batch.0.into_iter().map(|asked| {
        let include_metadata = asked.map_err(|error| status::failure(&error))?.include_metadata;
        let nothing = || Err(status::failure(&Error::UpstreamUnavailable));
        Ok((judged.next().unwrap_or_else(nothing)?, include_metadata))
    });
    let outcome = |outcome| v1::IntrospectionOutcome { outcome: Some(outcome) };
    let answer = |(judged, include_metadata)| outcome(Outcome::Answer(verdict(judged, include_metadata)));
    fitting(items, answer, |failure| outcome(Outcome::Failure(failure)))
}
