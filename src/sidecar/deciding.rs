//! The edge of a sidecar: decides for every proxy that reaches it.

use std::sync::Arc;

use tonic::{Request, Status};

use super::Sidecar;
use crate::edge::{Answer, ClientRequest};
use crate::rpc::{Edge, status};
use crate::service::Error;

impl Edge for Arc<Sidecar> {
    async fn decide<Wire: Send + 'static>(
        &self,
        request: Request<Wire>,
        parse: fn(Wire) -> Result<ClientRequest, Error>,
    ) -> Result<Answer, Status> {
        let asked = parse(request.into_inner()).map_err(|error| status::from_error(&error))?;
        let profile = self.profile(&asked.route.profile).await?;
        match asked.question(&profile) {
            Ok(question) => {
                let judged = self.introspect(&question).await;
                let verdict = judged.map_err(|failure| status::from_failure(&failure))?;
                Ok(asked.answer(&profile, &verdict))
            }
            Err(answer) => Ok(answer),
        }
    }
}
