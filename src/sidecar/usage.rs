//! When tokens were last used here: gathered in memory, reported now and then as ages, so that no clocks are compared.
//! A report that is lost is repeated, and one that comes twice changes nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use super::Sidecar;
use super::counts::Call;
use super::failure::Failure;
use super::upstream::within;
use crate::clock::BootTime;
use crate::proto::v1;
use crate::token::TokenId;

/// Parts with a lock of their own each, so that threads seldom meet.
const PARTS: usize = 16;

/// The most tokens remembered in one part between two reports. Uses of further ones are lost; it takes an outage to get
/// there.
const CAPACITY: usize = 200_000 / PARTS;

/// How many uses go into one report.
const BATCH: usize = 1_000;

/// How long a report may take.
const REPORT: Duration = Duration::from_secs(2);

type Uses = HashMap<TokenId, BootTime>;

/// The uses that are not reported yet.
#[derive(Debug, Default)]
pub(super) struct Usage([Mutex<Uses>; PARTS]);

impl Usage {
    /// Notes that a token was found active.
    pub(super) fn note(&self, token: TokenId, time: BootTime) {
        // The last byte of an id is random.
        let number = token.as_uuid().as_bytes().last().map_or(0, |byte| usize::from(*byte) % PARTS);
        let Some(part) = self.0.get(number) else { return };
        let mut uses = part.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = uses.get_mut(&token) {
            *known = time.max(*known);
        } else if uses.len() < CAPACITY {
            uses.insert(token, time);
        }
    }

    fn take(&self) -> Vec<(TokenId, BootTime)> {
        let take =
            |part: &Mutex<Uses>| std::mem::take(&mut *part.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.iter().flat_map(take).collect()
    }
}

/// Reports at intervals, and never ends.
pub async fn report_usage(sidecar: Arc<Sidecar>, interval: Duration) {
    loop {
        sleep(interval).await;
        sidecar.report().await;
    }
}

impl Sidecar {
    /// Reports what was noted. What cannot be reported is kept for the next time.
    pub async fn report(&self) {
        let noted = self.usage.take();
        let mut batches = noted.chunks(BATCH);
        while let Some(batch) = batches.next() {
            if let Err(failure) = self.report_batch(batch).await {
                tracing::debug!(reason = failure.reason(), "uses were not reported; keeping them");
                batch
                    .iter()
                    .chain(batches.flatten())
                    .for_each(|(token, time)| self.usage.note(*token, *time));
                return;
            }
        }
    }

    async fn report_batch(&self, batch: &[(TokenId, BootTime)]) -> Result<(), Failure> {
        let link = self.links.get().ok_or_else(Failure::silent)?;
        let now = BootTime::now();
        let use_of = |(token, time): &(TokenId, BootTime)| v1::TokenUse {
            token_id: token.to_string(),
            // At most a lifetime of this process, which fits.
            age: prost_types::Duration::try_from(now.since(*time)).ok(),
            ..v1::TokenUse::default()
        };
        let request =
            v1::ReportUsageRequest { uses: batch.iter().map(use_of).collect(), ..Default::default() };
        self.counts.call_was_made(Call::ReportUsage);
        within(REPORT, link.connections.tokens.clone().report_usage(request)).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_latest_use_of_a_token_counts_and_none_is_taken_twice() {
        let (usage, token) = (Usage::default(), TokenId::generate());
        let at = |seconds| BootTime::from_start(Duration::from_secs(seconds));
        for seconds in [2, 3, 1] {
            usage.note(token, at(seconds));
        }
        assert_eq!(usage.take(), [(token, at(3))]);
        assert_eq!(usage.take(), []);
    }
}
