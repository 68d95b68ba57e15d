//! Introspections by a server: what it knows at hand it answers on the serving thread, whichever way the request comes.

use std::future::Future;
use std::ops::ControlFlow::{Break, Continue};
use std::vec;

use prost::bytes::Bytes;
use tonic::{Request, Response, Status};

use super::answers::encoded;
use super::answers::introspection::judged;
use super::direct::{DirectCalls, Encoded, decoded};
use super::outcomes::told;
use super::requests::introspection::{Batch, introspect_token, introspect_tokens};
use super::token_service::{Answer, TokenRpc};
use crate::introspection::Verdict;
use crate::proto::v1;
use crate::service::{Error, Permission};

/// The RPCs that introspect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Introspecting {
    /// One token.
    One,
    /// Several.
    Several,
}

impl Introspecting {
    /// That of this path.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        match path {
            "/tokenkeep.v1.TokenService/IntrospectToken" => Some(Self::One),
            "/tokenkeep.v1.TokenService/BatchIntrospectTokens" => Some(Self::Several),
            _ => None,
        }
    }
}

/// What came of each question of a batch, and whether it shall carry metadata.
type Judged = vec::IntoIter<Result<(Verdict, bool), Error>>;

impl TokenRpc {
    /// Judges a token.
    pub(super) fn introspect<Rendered: Send + 'static>(
        &self,
        request: Request<v1::IntrospectTokenRequest>,
        render: fn(&Verdict, bool) -> Rendered,
    ) -> impl Future<Output = Answer<Rendered>> + Send {
        self.0.answer_at_hand(
            request,
            Permission::Introspect,
            introspect_token,
            move |service, caller, asked| match service.introspect_at_hand(caller, &asked.introspection) {
                Some(verdict) => Break(Ok(render(&verdict, asked.include_metadata))),
                None => Continue(asked),
            },
            move |service, caller, asked| async move {
                let verdict = service.introspect(&caller, &asked.introspection).await?;
                Ok(render(&verdict, asked.include_metadata))
            },
        )
    }

    /// Judges several.
    pub(super) fn introspect_all<Rendered: Send + 'static>(
        &self,
        request: Request<v1::BatchIntrospectTokensRequest>,
        render: fn(Judged) -> Rendered,
    ) -> impl Future<Output = Answer<Rendered>> + Send {
        let render = move |batch: Batch, verdicts: Vec<_>| {
            render(judged(batch, verdicts, |error| error).collect::<Vec<_>>().into_iter())
        };
        self.0.answer_at_hand(
            request,
            Permission::Introspect,
            introspect_tokens,
            move |service, caller, batch| match service
                .introspect_all_at_hand(caller, &batch.introspections())
            {
                Some(known) => Break(Ok(render(batch, known.into_iter().map(Ok).collect()))),
                None => Continue(batch),
            },
            move |service, caller, batch| async move {
                let verdicts = service.introspect_all(&caller, &batch.introspections()).await;
                Ok(render(batch, verdicts))
            },
        )
    }
}

impl DirectCalls for TokenRpc {
    type Method = Introspecting;

    fn method(path: &str) -> Option<Introspecting> {
        Introspecting::of(path)
    }

    async fn answer(&self, method: Introspecting, request: Request<Bytes>) -> Result<Encoded, Status> {
        let answer = match method {
            Introspecting::One => self.introspect(decoded(request)?, encoded::verdict).await,
            Introspecting::Several => {
                self.introspect_all(decoded(request)?, |judged| encoded::outcomes(told(judged))).await
            }
        };
        answer.map(Response::into_inner)
    }
}
