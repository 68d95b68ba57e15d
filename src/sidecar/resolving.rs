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
use crate::revocation::{HistoryId, Position};
use crate::rpc::status;
use crate::service::Error;
use crate::token::{Presented, Revision};

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
        let followed = self.followed(link)?;
        let applied = followed.map_or(Revision::ZERO, |applied| applied.revision);
        let (min_revision, strong) = match freshness {
            Freshness::Leased => (applied, false),
            Freshness::AtLeast(revision) => (revision.max(applied), false),
            Freshness::Strong => (applied, true),
        };
        let request = v1::ResolveTokensRequest {
            tokens: tokens.iter().map(|token| token.expose_secret().to_owned()).collect(),
            history: followed.map_or_else(String::new, |applied| applied.history.0.to_string()),
            min_revision: min_revision.0,
            strong,
        };
        self.counts.call_was_made(Call::Resolve);
        let sent = BootTime::now();
        let answer = within(RESOLUTION, link.connections.tokens.clone().resolve_tokens(request)).await?;
        if answer.resolutions.len() != tokens.len() {
            return Err(Failure::Away(Status::internal("some tokens were left out")));
        }
        let taken = asked.into_iter().zip(answer.resolutions);
        let source = followed.map(|applied| applied.history);
        Ok(taken.map(|(asked, told)| self.learn(asked, told, sent, source)).collect())
    }

    fn ask_about(&self, token: &SecretString) -> Option<Asked> {
        let presented = Presented::parse(token.expose_secret()).ok()?;
        let proof = self.cache.prover().proof(presented.text());
        Some(Asked { flight: self.cache.begin(presented.id), proof })
    }

    /// Up to where the log is applied that is followed over a link; `None` if none is.
    pub(super) fn followed(&self, link: &Link) -> Result<Option<Position>, Failure> {
        if !link.is_followed {
            return Ok(None);
        }
        let nothing = || Failure::Away(Status::unavailable("nothing is followed"));
        self.cache.applied().ok_or_else(nothing).map(Some)
    }

    /// Remembers a live token, if it is one that may be told of, and `source` the history that it was found in.
    pub(super) fn learn(
        &self,
        asked: Option<Asked>,
        told: v1::TokenResolution,
        sent: BootTime,
        source: Option<HistoryId>,
    ) -> Resolution {
        let unreadable = || Resolution::Failed(unavailable());
        let resolution = words::resolution(told).unwrap_or_else(unreadable);
        if let (Some(Asked { flight, proof }), Some(source), Resolution::Live(record, left)) =
            (asked, source, &resolution)
            && self.covers(&record.workspace)
        {
            let deadline = left.map(|left| sent.after(left));
            let landed = flight.land(Learned { record: record.clone(), proof, deadline }, source);
            tracing::trace!(token = %record.id, landed, "a token was learned of");
        }
        resolution
    }
}

/// No server can be asked.
pub(super) fn unavailable() -> v1::IntrospectionFailure {
    status::failure(&Error::UpstreamUnavailable)
}
