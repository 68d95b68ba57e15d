//! The edge of a server or of a sidecar, as proxies ask it: here Envoy, by `envoy.service.auth.v3.Authorization/Check`.

use std::future::Future;
use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::answers::edge::checked;
use super::{Desk, requests};
use crate::edge::{Answer, ClientRequest};
use crate::proto::envoy::service::auth::v3::authorization_server::Authorization;
use crate::proto::envoy::service::auth::v3::{CheckRequest, CheckResponse};
use crate::service::{Caller, Error, Permission, Service};
use crate::text::Invalid;

/// Whoever decides what a proxy shall do: a server, for callers that may introspect, or a sidecar, for all that reach it.
pub trait Edge: Clone + Send + Sync + 'static {
    /// Decides, having parsed what the caller asks.
    ///
    /// # Errors
    /// The status of whatever keeps it from deciding, which is never about the client.
    fn decide<Wire: Send + 'static>(
        &self,
        request: Request<Wire>,
        parse: fn(Wire) -> Result<ClientRequest, Error>,
    ) -> impl Future<Output = Result<Answer, Status>> + Send;
}

/// Serves `Authorization`.
#[derive(Debug, Clone)]
pub struct CheckRpc<Edge>(pub Edge);

#[tonic::async_trait]
impl<Decides: Edge> Authorization for CheckRpc<Decides> {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let answer = self.0.decide(request, requests::edge::check).await?;
        Ok(Response::new(checked(answer)))
    }
}

impl Edge for Desk {
    async fn decide<Wire: Send + 'static>(
        &self,
        request: Request<Wire>,
        parse: fn(Wire) -> Result<ClientRequest, Error>,
    ) -> Result<Answer, Status> {
        let work =
            |service: Arc<Service>, caller, asked| async move { decided(&service, &caller, asked).await };
        let answer = self.answer_at_hand(request, Permission::Introspect, parse, at_hand, work).await?;
        Ok(answer.into_inner())
    }
}

/// A route leads to no profile that there is: a mistake in the proxy's configuration.
pub(crate) fn unknown_profile() -> Error {
    Error::field("profile", Invalid::Malformed("the name of a profile that there is"))
}

/// Proxies always tell an address; it is believed of those that may tell one.
fn as_told_by(caller: &Caller, asked: ClientRequest) -> ClientRequest {
    let address = asked.address.filter(|_| caller.may(Permission::TellAddress));
    ClientRequest { address, ..asked }
}

/// Decides by what is known on this thread.
fn at_hand(
    service: &Service,
    caller: &Caller,
    asked: ClientRequest,
) -> ControlFlow<Result<Answer, Error>, ClientRequest> {
    let asked = as_told_by(caller, asked);
    let Some(profile) = service.profile_at_hand(&asked.route.profile) else { return Continue(asked) };
    let question = match asked.question(&profile) {
        Ok(question) => question,
        Err(answer) => return Break(Ok(answer)),
    };
    match service.introspect_at_hand(caller, &question) {
        Some(verdict) => Break(Ok(asked.answer(&profile, &verdict))),
        None => Continue(asked),
    }
}

async fn decided(service: &Service, caller: &Caller, asked: ClientRequest) -> Result<Answer, Error> {
    let asked = as_told_by(caller, asked);
    let profile = service.profile(&asked.route.profile).await?.ok_or_else(unknown_profile)?;
    match asked.question(&profile) {
        Ok(question) => Ok(asked.answer(&profile, &service.introspect(caller, &question).await?)),
        Err(answer) => Ok(answer),
    }
}
