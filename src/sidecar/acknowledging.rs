//! Acknowledging: the server that granted the lease is told at once what was applied, so that whoever waits for the fleet
//! need not wait for the lease to run out. One call at a time tells of everything that came before it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::Sidecar;
use super::failure::Failure;
use super::upstream::{Connections, within};
use crate::proto::v1;
use crate::revocation::Position;

/// How long an acknowledgement may take.
const ACKNOWLEDGEMENT: Duration = Duration::from_secs(1);

/// The pause after one that failed.
const PAUSE: Duration = Duration::from_millis(50);

/// Tells the server whenever something was applied.
pub(super) async fn acknowledge(sidecar: Arc<Sidecar>, connections: Arc<Connections>) -> Failure {
    let mut places = sidecar.place.subscribe();
    let mut told = None;
    loop {
        let position = places.borrow_and_update().as_ref().map(|place| place.position);
        if let Some(applied) = position.filter(|_| told != position) {
            match sidecar.tell(&connections, applied, false).await {
                Ok(()) => told = position,
                Err(Failure::Away(_)) => {
                    sleep(PAUSE).await;
                    continue;
                }
                Err(failure) => return failure,
            }
        }
        if places.changed().await.is_err() {
            return Failure::silent();
        }
    }
}

impl Sidecar {
    pub(super) async fn tell(
        &self,
        connections: &Connections,
        applied: Position,
        released: bool,
    ) -> Result<(), Failure> {
        let request = v1::AcknowledgeRevisionRequest {
            sidecar_id: self.id.to_string(),
            history: applied.history.0.to_string(),
            applied_revision: applied.revision.0,
            released,
        };
        within(ACKNOWLEDGEMENT, connections.lease.clone().acknowledge_revision(request)).await?;
        Ok(())
    }
}
