//! The way of every request: who calls, may they, what do they ask, do it, and the one place where failures are logged.

use std::future::{Future, ready};
use std::ops::ControlFlow::{self, Break, Continue};
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName};
use secrecy::SecretString;
use tokio::time::Instant;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use super::requests::mutating::Mutating;
use crate::audit::{Origin, TraceId};
use crate::crossing::{Crossing, CrossingError, Deadline};
use crate::metrics::CallerRejection;
use crate::peer::Peer;
use crate::rpc::status;
use crate::service::{Caller, Error, Permission, Refusal, Service};
use crate::token::{PresentedText, TokenId};

/// Made beforehand, since a name in a text is parsed anew for each look.
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What every RPC needs. Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    pub(super) service: Arc<Service>,
    pub(super) crossing: Crossing,
    pub(super) drain: CancellationToken,
}

impl Desk {
    /// Serves `service`, whose work is done on the other side of `crossing`; streams end when `drain` is cancelled.
    #[must_use]
    pub const fn new(service: Arc<Service>, crossing: Crossing, drain: CancellationToken) -> Self {
        Self { service, crossing, drain }
    }

    /// The same desk with places of its own for work under way.
    #[must_use]
    pub fn with_own_places(&self, limit: usize) -> Self {
        Self { crossing: self.crossing.with_own_places(limit), ..self.clone() }
    }

    /// Answers a request: authenticates the caller, then parses, then works, in this order, so that whoever may not ask
    /// learns nothing about what they asked.
    pub(super) fn answer<Wire, Words, Answer, Work>(
        &self,
        request: Request<Wire>,
        permission: Permission,
        parse: fn(Wire) -> Result<Words, Error>,
        work: impl FnOnce(Arc<Service>, Caller, Words) -> Work + Send + 'static,
    ) -> impl Future<Output = Result<Response<Answer>, Status>> + Send
    where
        Wire: Send + 'static,
        Words: Send + 'static,
        Answer: Send + 'static,
        Work: Future<Output = Result<Answer, Error>> + Send,
    {
        self.answer_at_hand(request, permission, parse, |_, _, words| Continue(words), work)
    }

    /// The same for a request that changes something, and so may have an id.
    pub(super) fn change<Wire, Words, Answer, Work>(
        &self,
        request: Request<Wire>,
        permission: Permission,
        parse: fn(Wire) -> Result<Words, Error>,
        work: impl FnOnce(Arc<Service>, Caller, Words) -> Work + Send + 'static,
    ) -> impl Future<Output = Result<Response<Answer>, Status>> + Send
    where
        Wire: Mutating + Send + 'static,
        Words: Send + 'static,
        Answer: Send + 'static,
        Work: Future<Output = Result<Answer, Error>> + Send,
    {
        let parse = move |service: &Service, caller: Caller, mut message: Wire| {
            let id = message.take_request_id();
            let caller = service.recognise(caller, Wire::NAME, &id, || message.encode_to_vec())?;
            Ok((caller, parse(message)?))
        };
        self.ask(request, permission, parse, |_, _, words| Continue(words), work)
    }

    /// The same as [`Desk::answer`], but what `at_hand` breaks off with an answer to does not leave this thread, if the
    /// caller is known here too.
    pub(super) fn answer_at_hand<Wire, Words, Answer, Work>(
        &self,
        request: Request<Wire>,
        permission: Permission,
        parse: fn(Wire) -> Result<Words, Error>,
        at_hand: impl FnOnce(&Service, &Caller, Words) -> ControlFlow<Result<Answer, Error>, Words>,
        work: impl FnOnce(Arc<Service>, Caller, Words) -> Work + Send + 'static,
    ) -> impl Future<Output = Result<Response<Answer>, Status>> + Send
    where
        Wire: Send + 'static,
        Words: Send + 'static,
        Answer: Send + 'static,
        Work: Future<Output = Result<Answer, Error>> + Send,
    {
        let parse = move |_: &Service, caller: Caller, message: Wire| Ok((caller, parse(message)?));
        self.ask(request, permission, parse, at_hand, work)
    }

    fn ask<Wire, Words, Answer, Work>(
        &self,
        request: Request<Wire>,
        permission: Permission,
        parse: impl Parse<Wire, Words>,
        at_hand: impl FnOnce(&Service, &Caller, Words) -> ControlFlow<Result<Answer, Error>, Words>,
        work: impl FnOnce(Arc<Service>, Caller, Words) -> Work + Send + 'static,
    ) -> impl Future<Output = Result<Response<Answer>, Status>> + Send
    where
        Wire: Send + 'static,
        Words: Send + 'static,
        Answer: Send + 'static,
        Work: Future<Output = Result<Answer, Error>> + Send,
    {
        let (deadline, origin) = (request.extensions().get::<Deadline>().copied(), origin(&request));
        let door = Door { service: &self.service, permission, origin };
        let asked = match Asked::by(&door, request, &parse) {
            Ok(Asked::Admitted(caller, words)) => match at_hand(&self.service, &caller, words) {
                Break(answer) => return Either::Left(ready(told(answer))),
                Continue(words) => Asked::Admitted(caller, words),
            },
            Ok(unknown) => unknown,
            Err(error) => return Either::Left(ready(told(Err(error)))),
        };
        let service = Arc::clone(&self.service);
        let crossed = self.crossing.run(Box::pin(async move {
            let door = Door { service: &service, permission, origin };
            let (caller, words) = asked.admitted(&door, &parse, deadline).await?;
            let token = caller.token();
            let done = work(Arc::clone(&service), caller, words).await;
            done.inspect_err(|error| {
                Door { service: &service, permission, origin }.refused(Some(token), error);
            })
        }));
        // Apart, so that an answer at hand, which does not go this way, is not moved about with room for it.
        Either::Right(Box::pin(async { told(crossed.await.unwrap_or_else(|error| Err(uncrossed(error)))) }))
    }
}

/// How a message becomes words, once its caller is known.
trait Parse<Wire, Words>:
    Fn(&Service, Caller, Wire) -> Result<(Caller, Words), Error> + Send + Sync + 'static
{
}

impl<Wire, Words, Parser> Parse<Wire, Words> for Parser where
    Parser: Fn(&Service, Caller, Wire) -> Result<(Caller, Words), Error> + Send + Sync + 'static
{
}

/// Where a request comes in.
struct Door<'service> {
    service: &'service Service,
    permission: Permission,
    origin: Origin,
}

impl Door<'_> {
    /// Notes for the audit that a caller was refused, if it was.
    fn refused(&self, caller: Option<TokenId>, error: &Error) {
        if let Some(reason) = status::refusal(error) {
            let (action, origin) = (self.permission.action(), self.origin);
            self.service.refusals().note(Refusal { action, caller, origin, reason, error });
        }
    }

    /// The same for one whose token was not proved; who was proved and lacks a scope is noted where that is found.
    fn turned_away(&self, error: &Error) {
        if !matches!(error, Error::ScopeRequired(_)) {
            self.refused(None, error);
        }
    }
}

/// Where a request comes from.
fn origin<Message>(request: &Request<Message>) -> Origin {
    let headers: &HeaderMap = request.metadata().as_ref();
    let trace = headers.get(&TRACEPARENT).and_then(|header| header.to_str().ok());
    Origin {
        address: request.extensions().get::<Peer>().and_then(Peer::address),
        trace: trace.and_then(TraceId::of_traceparent),
    }
}

fn told<Answer>(answer: Result<Answer, Error>) -> Result<Response<Answer>, Status> {
    answer.map(Response::new).map_err(|error| refuse(&error))
}

/// A request on its way in.
enum Asked<Wire, Words> {
    /// By a caller that is known here, and so it is parsed.
    Admitted(Caller, Words),
    /// By whoever presents this.
    Unknown(SecretString, Wire),
}

impl<Wire, Words> Asked<Wire, Words> {
    fn by(door: &Door<'_>, request: Request<Wire>, parse: &impl Parse<Wire, Words>) -> Result<Self, Error> {
        let (metadata, _, message) = request.into_parts();
        let credential = credential(&metadata).inspect_err(|error| {
            door.service.metrics().caller_rejected(CallerRejection::Missing);
            door.turned_away(error);
        })?;
        let known = door.service.authenticate_at_hand(credential, door.permission, door.origin);
        match known.inspect_err(|error| door.turned_away(error))? {
            Some(caller) => {
                let (caller, words) = parse(door.service, caller, message)?;
                Ok(Self::Admitted(caller, words))
            }
            None => Ok(Self::Unknown(credential.to_secret(), message)),
        }
    }

    async fn admitted(
        self,
        door: &Door<'_>,
        parse: &impl Parse<Wire, Words>,
        deadline: Option<Deadline>,
    ) -> Result<(Caller, Words), Error> {
        let (credential, message) = match self {
            Self::Admitted(caller, words) => return Ok((caller, words)),
            Self::Unknown(credential, message) => (credential, message),
        };
        let caller = door.service.authenticate(&credential, door.permission, door.origin).await;
        let caller = caller.inspect_err(|error| door.turned_away(error))?;
        // Nobody waits any more, and nothing is begun yet.
        if deadline.is_some_and(|deadline| deadline.remaining().is_zero()) {
            return Err(Error::DeadlineExceeded);
        }
        parse(door.service, caller, message)
    }
}

/// When the answer must be there.
pub(super) fn deadline<Message>(request: &Request<Message>) -> Option<Instant> {
    request.extensions().get::<Deadline>().map(|deadline| deadline.0)
}

fn uncrossed(error: CrossingError) -> Error {
    match error {
        CrossingError::Full => Error::Overloaded,
        CrossingError::Panicked => Error::Internal(Box::new(error)),
    }
}

/// Turns a failure into a status, and logs it here, once.
pub(super) fn refuse(error: &Error) -> Status {
    log(error);
    status::from_error(error)
}

/// Logs a failure, loudly if it is ours.
pub(super) fn log(error: &Error) {
    if matches!(error, Error::Internal(_)) {
        tracing::error!(error = crate::telemetry::chain(error), "a request failed");
    } else if matches!(error, Error::DatabaseUnavailable(_) | Error::OutcomeUnknown(_)) {
        tracing::warn!(error = crate::telemetry::chain(error), "a request could not be decided");
    } else {
        tracing::debug!(error = crate::telemetry::chain(error), "a request was refused");
    }
}

/// Finds the caller's token in the metadata, as a type that does not print it.
fn credential(metadata: &MetadataMap) -> Result<PresentedText<'_>, Error> {
    let headers: &HeaderMap = metadata.as_ref();
    let header = headers.get(AUTHORIZATION).ok_or(Error::CredentialMissing)?;
    let header = header.to_str().map_err(|_| Error::CredentialInvalid)?;
    let (scheme, token) = header.split_once(' ').ok_or(Error::CredentialMissing)?;
    let token = token.trim();
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() {
        return Err(Error::CredentialMissing);
    }
    Ok(PresentedText::new(token))
}
