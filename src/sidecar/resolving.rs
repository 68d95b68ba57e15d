//! Asking a server about presented tokens, and remembering what it says.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use tonic::Status;

use super::Sidecar;
use super::counts::Call;
use super::failure::Failure;
use super::links::Link;
use super::upstream::within;
use super::words::{self, Resolution};
use crate::cache::{Flight, Learned};
use crate::clock::BootTime;
use crate::introspection::Freshness;
use crate::proof::Proof;
use crate::proto::v1;
use crate::revocation::Position;
use crate::rpc::status;
use crate::service::Error;
use crate::token::Presented;

/// How long a server may take: it waits for a revision for at most a second, and then there may be a row to read and
/// argon2 to run.
const RESOLUTION: Duration = Duration::from_millis(2_500);

/// A token that a server is asked about, and what its secret will be recognised by.
pub(super) struct Asked {
    pub(super) flight: Flight,
    pub(super) proof: Proof,
}

impl Sidecar {
    /// Has a server judge presented tokens, in their order. When the connection is lost meanwhile, another server is
    /// asked, once.
    pub(super) async fn resolve(
        &self,
        tokens: &[&SecretString],
        freshness: Freshness,
    ) -> Result<Vec<Resolution>, v1::IntrospectionFailure> {
        let mut lost = None;
        loop {
            let Some(link) = self.links.other_than(lost).await else { return Err(unavailable()) };
            match self.resolve_over(&link, tokens, freshness).await {
                Ok(resolutions) => return Ok(resolutions),
                Err(Failure::Away(status)) if status::reason(&status).is_some() => {
                    return Err(status::passed_on(&status));
                }
                Err(Failure::Away(_)) if lost.is_none() => lost = Some(link.number),
                Err(Failure::Away(_)) => return Err(unavailable()),
                Err(failure) => {
                    link.fails(failure);
                    return Err(unavailable());
                }
            }
        }
    }

    async fn resolve_over(
        &self,
        link: &Link,
        tokens: &[&SecretString],
        freshness: Freshness,
    ) -> Result<Vec<Resolution>, Failure> {
        // What is applied from here on counts against what is found.
        let asked: Vec<Option<Asked>> = tokens.iter().map(|token| self.ask_about(token)).collect();
        let floor = self.floor(link, freshness).await?;
        let request = v1::ResolveTokensRequest {
            tokens: tokens.iter().map(|token| token.expose_secret().to_owned()).collect(),
            history: floor.history.0.to_string(),
            min_revision: floor.revision.0,
        };
        self.counts.call_was_made(Call::Resolve);
        let sent = BootTime::now();
        let answer = within(RESOLUTION, link.connections.tokens.clone().resolve_tokens(request)).await?;
        if answer.resolutions.len() != tokens.len() {
            return Err(Failure::Away(Status::internal("some tokens were left out")));
        }
        let taken = asked.into_iter().zip(answer.resolutions);
        Ok(taken.map(|(asked, told)| self.learn(asked, told, sent, floor)).collect())
    }

    fn ask_about(&self, token: &SecretString) -> Option<Asked> {
        let presented = Presented::parse(token.expose_secret()).ok()?;
        let proof = self.cache.prover().proof(&presented.secret);
        Some(Asked { flight: self.cache.begin(presented.id), proof })
    }

    /// What the answer must not be older than.
    async fn floor(&self, link: &Link, freshness: Freshness) -> Result<Position, Failure> {
        let applied = self.cache.applied();
        let applied = applied.ok_or_else(|| Failure::Away(Status::unavailable("nothing is followed")))?;
        let wanted = match freshness {
            Freshness::Leased => applied.revision,
            Freshness::AtLeast(revision) => revision,
            // A lease names where the log ended at some moment after it was asked for.
            Freshness::Strong => self.renew(&link.connections).await?.offer.needs.revision,
        };
        Ok(Position { revision: wanted.max(applied.revision), ..applied })
    }

    /// Remembers a live token, if it is one that may be told of.
    pub(super) fn learn(
        &self,
        asked: Option<Asked>,
        told: v1::TokenResolution,
        sent: BootTime,
        source: Position,
    ) -> Resolution {
        let unreadable = || Resolution::Failed(unavailable());
        let resolution = words::resolution(told).unwrap_or_else(unreadable);
        if let (Some(Asked { flight, proof }), Resolution::Live(record, left)) = (asked, &resolution)
            && self.covers(&record.workspace)
        {
            let deadline = left.map(|left| sent.after(left));
            let landed = flight.land(Learned { record: record.clone(), proof, deadline }, source.history);
            tracing::trace!(token = %record.id, landed, "a token was learned of");
        }
        resolution
    }
}

/// No server can be asked.
pub(super) fn unavailable() -> v1::IntrospectionFailure {
    status::failure(&Error::UpstreamUnavailable)
}
