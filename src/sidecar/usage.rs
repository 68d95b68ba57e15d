//! Uses that were seen here: counted in memory, reported now and then with their ages, so that no clocks are compared. A
//! report is repeated, at whatever server, until one has written it, and counts once.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tonic::Code;

use super::Sidecar;
use super::counts::Call;
use super::failure::Failure;
use super::upstream::within;
use crate::clock::BootTime;
use crate::proto::v1;
use crate::uses::{Report, Use, Used};

/// How long a report may take.
const REPORT: Duration = Duration::from_secs(2);

/// Reports at intervals, and never ends.
pub async fn report_usage(sidecar: Arc<Sidecar>, interval: Duration) {
    loop {
        sleep(interval).await;
        sidecar.report().await;
    }
}

impl Sidecar {
    /// Reports what was counted. What cannot be reported is kept for the next time.
    pub async fn report(&self) {
        let mut handing = self.usage.open().await;
        while let Some(report) = handing.report() {
            match self.report_to_server(report).await {
                Ok(()) => handing.arrived(),
                Err(Failure::Away(status)) if status.code() == Code::InvalidArgument => {
                    tracing::warn!(reason = status.message(), "uses are lost, since no server takes them");
                    handing.refused();
                }
                Err(failure) => {
                    tracing::debug!(reason = failure.reason(), "uses were not reported; keeping them");
                    return;
                }
            }
        }
    }

    async fn report_to_server(&self, report: &Report<BootTime>) -> Result<(), Failure> {
        let link = self.links.get().ok_or_else(Failure::silent)?;
        let now = BootTime::now();
        let request = v1::ReportUsageRequest {
            sidecar_id: report.reporter.to_string(),
            sequence: report.sequence,
            uses: report.uses.iter().filter_map(|used| token_use(*used, now)).collect(),
        };
        self.counts.call_was_made(Call::ReportUsage);
        within(REPORT, link.connections.tokens.clone().report_usage(request)).await?;
        Ok(())
    }
}

/// A use as it is told; of dead secrets the servers know that judge them.
fn token_use(used: Use<BootTime>, now: BootTime) -> Option<v1::TokenUse> {
    let Used::Live(generation) = used.secret else { return None };
    Some(v1::TokenUse {
        token_id: used.token.to_string(),
        // At most a lifetime of this process, which fits.
        age: prost_types::Duration::try_from(now.since(used.last)).ok(),
        generation: generation.0,
        count: used.count,
    })
}
