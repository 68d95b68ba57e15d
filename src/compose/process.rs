//! What a server and a sidecar have in common as processes: how they begin, the parts that must never end, and why they fail.

use std::future::Future;

use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

use super::beside::BesideError;
use crate::metrics::Metrics;
use crate::server::limits::raise_descriptor_limit;
use crate::server::serving::{Serving, ServingError};

/// Why a process did not start or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// Our own descriptors cannot be read.
    #[error("cannot read the descriptors of the API")]
    Descriptors(#[from] prost::DecodeError),
    /// The operating system has no randomness to give.
    #[error("cannot get random bytes from the operating system")]
    Randomness(#[from] rand::rngs::SysError),
    /// Clients cannot be served.
    #[error("cannot serve")]
    Serving(#[from] ServingError),
    /// What is served beside the API cannot be.
    #[error(transparent)]
    Beside(#[from] BesideError),
    /// Reflection cannot be built from our own descriptors.
    #[error("cannot build server reflection")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// A part that must never end has ended.
    #[error("{0} has ended, and without it nothing may be served")]
    PartEnded(String),
}

/// Makes room for connections, and gives the metrics that all is counted in.
pub(super) fn begin() -> Result<Metrics, ProcessError> {
    if let Err(error) = raise_descriptor_limit() {
        tracing::warn!(error = crate::telemetry::chain(&error), "the limit on open files stays as it is");
    }
    Ok(Metrics::new(crate::proto::method_paths()?))
}

/// Tasks that must never end of themselves, by name. They end with this.
#[derive(Default)]
pub(super) struct Parts(Vec<(&'static str, AbortOnDropHandle<()>)>);

impl Parts {
    pub(super) fn add(&mut self, name: &'static str, task: JoinHandle<()>) {
        self.0.push((name, AbortOnDropHandle::new(task)));
    }

    /// Waits until `shutdown` comes back, or a part has ended, which none should.
    pub(super) async fn run(
        &mut self,
        serving: &Serving,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), ProcessError> {
        tokio::select! {
            () = shutdown => Ok(()),
            part = serving.failed() => Err(ProcessError::PartEnded(format!("{part:?}"))),
            name = self.first_to_end() => Err(ProcessError::PartEnded(name.to_owned())),
        }
    }

    async fn first_to_end(&mut self) -> &'static str {
        std::future::poll_fn(|context| {
            for (name, part) in &mut self.0 {
                if std::pin::Pin::new(part).poll(context).is_ready() {
                    return std::task::Poll::Ready(*name);
                }
            }
            std::task::Poll::Pending
        })
        .await
    }
}
