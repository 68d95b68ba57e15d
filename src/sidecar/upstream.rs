//! The connections to a server: one for what keeps the lease alive, one for what clients wait for, so that a flood of misses
//! delays no heartbeat.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tonic::service::interceptor::InterceptedService;
use tonic::{Response, Status};

use super::failure::Failure;
use crate::proto::v1::sidecar_service_client::SidecarServiceClient;
use crate::proto::v1::token_service_client::TokenServiceClient;
use crate::upstream::{Authorize, Authorized, CONNECT, Credential, Upstream};

/// The largest answer: 256 records with all their fields at their limits, in the longest characters.
const LARGEST_ANSWER: usize = 32 * 1024 * 1024;

/// Connections to one server.
pub(super) struct Connections {
    /// Follows the log.
    pub(super) log: TokenServiceClient<Authorized>,
    /// Keeps the lease, on the connection of the log.
    pub(super) lease: SidecarServiceClient<Authorized>,
    /// Asks about tokens.
    pub(super) tokens: SidecarServiceClient<Authorized>,
}

impl Connections {
    /// Connects to a server.
    pub(super) async fn to(upstream: &Upstream, credential: &Credential) -> Result<Arc<Self>, Failure> {
        let authorize = Authorize::with(credential);
        let authorize = authorize.map_err(|_| Failure::Refused(Status::unauthenticated("not a token")))?;
        let connect = || async { Ok::<_, Failure>(upstream.connect().await?) };
        let both = async { tokio::try_join!(connect(), connect()) };
        let (control, data) = tokio::time::timeout(CONNECT, both).await.map_err(|_| Failure::silent())??;
        let control = InterceptedService::new(control, authorize.clone());
        let data = InterceptedService::new(data, authorize);
        let tokens = SidecarServiceClient::new(data).max_decoding_message_size(LARGEST_ANSWER);
        let log = TokenServiceClient::new(control.clone());
        Ok(Arc::new(Self { log, lease: SidecarServiceClient::new(control), tokens }))
    }
}

/// Makes a call that must be answered within a time.
pub(super) async fn within<Message>(
    time: Duration,
    call: impl Future<Output = Result<Response<Message>, Status>>,
) -> Result<Message, Failure> {
    let answered = tokio::time::timeout(time, call).await.map_err(|_| Failure::silent())?;
    Ok(answered?.into_inner())
}
