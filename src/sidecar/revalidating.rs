//! Revalidating: after a part of the log was missed, what was known is asked for again, by id and generation. No secret
//! travels, none is proved again, and the server is not asked faster than it can well bear.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tonic::Status;

use super::Sidecar;
use super::counts::Call;
use super::failure::Failure;
use super::links::Link;
use super::resolving::Asked;
use super::upstream::within;
use super::words::Resolution;
use crate::clock::BootTime;
use crate::proof::Proof;
use crate::proto::v1;
use crate::token::{Generation, TokenId};

/// How many tokens go into one request.
const BATCH: usize = 256;

/// The pause between two requests: at most about 5,000 tokens a second.
const PAUSE: Duration = Duration::from_millis(50);

/// How long an answer may take.
const REVALIDATION: Duration = Duration::from_millis(2_500);

/// Revalidates everything, then has nothing more to do for as long as the session lasts.
pub(super) async fn revalidate(sidecar: Arc<Sidecar>, link: Link) -> Failure {
    let mut after = None;
    loop {
        let batch = sidecar.cache.unverified(after, BATCH);
        let Some((id, generation, _)) = batch.last() else { return std::future::pending().await };
        match sidecar.revalidate(&link, &batch).await {
            Ok(()) => after = Some((*id, *generation)),
            Err(Failure::Away(status)) => {
                tracing::debug!(reason = status.message(), "tokens were not revalidated; trying on");
            }
            Err(failure) => return failure,
        }
        sleep(PAUSE).await;
    }
}

impl Sidecar {
    async fn revalidate(&self, link: &Link, batch: &[(TokenId, Generation, Proof)]) -> Result<(), Failure> {
        let ask = |(id, _, proof): &(TokenId, Generation, Proof)| Asked {
            flight: self.cache.begin(*id),
            proof: *proof,
        };
        let asked: Vec<Asked> = batch.iter().map(ask).collect();
        let nothing = || Failure::Away(Status::unavailable("nothing is followed"));
        let floor = self.cache.applied().ok_or_else(nothing)?;
        let tokens = batch.iter().map(|(id, generation, _)| v1::TokenGeneration {
            token_id: id.to_string(),
            generation: generation.0,
        });
        let request = v1::RevalidateTokensRequest {
            tokens: tokens.collect(),
            history: floor.history.0.to_string(),
            min_revision: floor.revision.0,
        };
        self.counts.call_was_made(Call::Revalidate);
        let sent = BootTime::now();
        let answer = within(REVALIDATION, link.connections.tokens.clone().revalidate_tokens(request)).await?;
        for ((id, generation, _), (asked, told)) in
            batch.iter().zip(asked.into_iter().zip(answer.resolutions))
        {
            if let Resolution::Inactive(_) = self.learn(Some(asked), told, sent, Some(floor.history)) {
                self.cache.forget(*id, *generation);
            }
        }
        Ok(())
    }
}
