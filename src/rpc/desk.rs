//! The way of every request: who calls, may they, what do they ask, do it, and the one place where failures are logged.

use std::future::Future;
use std::sync::Arc;

use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

use crate::crossing::{Crossing, CrossingError, Deadline};
use crate::metrics::CallerRejection;
use crate::rpc::status;
use crate::service::{Caller, Error, Permission, Service};

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

    /// Answers a request: authenticates the caller, then parses, then works, in this order, so that whoever may not ask
    /// learns nothing about what they asked.
    pub(super) async fn answer<Wire, Words, Answer, Work>(
        &self,
        request: Request<Wire>,
        permission: Permission,
        parse: fn(Wire) -> Result<Words, Error>,
        work: impl FnOnce(Arc<Service>, Caller, Words) -> Work + Send + 'static,
    ) -> Result<Response<Answer>, Status>
    where
        Wire: Send + 'static,
        Words: Send + 'static,
        Answer: Send + 'static,
        Work: Future<Output = Result<Answer, Error>> + Send,
    {
        let (metadata, extensions, message) = request.into_parts();
        let deadline = extensions.get::<Deadline>().copied();
        let service = Arc::clone(&self.service);
        let done = self.crossing.run(Box::pin(async move {
            let missing = |_: &Error| service.metrics().caller_rejected(CallerRejection::Missing);
            let credential = credential(&metadata).inspect_err(missing)?;
            let caller = service.authenticate(&credential, permission).await?;
            // Nobody waits any more, and nothing is begun yet.
            if deadline.is_some_and(|deadline| deadline.remaining().is_zero()) {
                return Err(Error::DeadlineExceeded);
            }
            work(service, caller, parse(message)?).await
        }));
        let done = done.await.unwrap_or_else(|error| Err(uncrossed(error)));
        done.map(Response::new).map_err(|error| refuse(&error))
    }
}

fn uncrossed(error: CrossingError) -> Error {
    match error {
        CrossingError::Full => Error::Overloaded,
        CrossingError::Panicked => Error::Internal(Box::new(error)),
    }
}

/// Turns a failure into a status, and logs it here, once, if it is ours.
pub(super) fn refuse(error: &Error) -> Status {
    if matches!(error, Error::Internal(_)) {
        tracing::error!(error = crate::telemetry::chain(error), "a request failed");
    } else if matches!(error, Error::DatabaseUnavailable(_) | Error::OutcomeUnknown(_)) {
        tracing::warn!(error = crate::telemetry::chain(error), "a request could not be decided");
    } else {
        tracing::debug!(error = crate::telemetry::chain(error), "a request was refused");
    }
    status::from_error(error)
}

/// Takes the caller's token from the metadata, into a type that does not print it.
fn credential(metadata: &MetadataMap) -> Result<SecretString, Error> {
    let header = metadata.get("authorization").ok_or(Error::CredentialMissing)?;
    let header = header.to_str().map_err(|_| Error::CredentialInvalid)?;
    let (scheme, token) = header.split_once(' ').ok_or(Error::CredentialMissing)?;
    if !scheme.eq_ignore_ascii_case("bearer") || token.trim().is_empty() {
        return Err(Error::CredentialMissing);
    }
    Ok(SecretString::from(token.trim()))
}
