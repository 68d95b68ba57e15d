//! Judging: from what is known here, if it may be; else by asking a server.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use super::Sidecar;
use super::counts::Source;
use super::resolving::unavailable;
use super::words::Resolution;
use crate::clock::BootTime;
use crate::introspection::{Freshness, InactiveReason, Introspection, Record, Verdict};
use crate::keyring::Origin;
use crate::proto::v1::IntrospectionFailure;
use crate::rpc::status;
use crate::service::Error;
use crate::token::{Presented, Revision};
use crate::uses::Used;
use crate::workspace::WorkspaceId;

/// A verdict, or why there is none.
pub(super) type Judged = Result<Verdict, IntrospectionFailure>;

impl Sidecar {
    /// Judges one token.
    pub(super) async fn introspect(&self, ask: &Introspection) -> Judged {
        match self.judge_here(ask) {
            Some(judged) => judged,
            None => self.judge_there(&[ask], ask.freshness).await.pop().unwrap_or_else(|| Err(unavailable())),
        }
    }

    /// Judges many; those that a server must be asked about go there together, by how fresh they must be.
    pub(super) async fn introspect_all(&self, asks: &[&Introspection]) -> Vec<Judged> {
        let mut judged: Vec<Option<Judged>> = asks.iter().map(|ask| self.judge_here(ask)).collect();
        let first_open = |judged: &[Option<Judged>]| judged.iter().position(Option::is_none);
        while let Some(freshness) =
            first_open(&judged).and_then(|open| asks.get(open)).map(|ask| ask.freshness)
        {
            let mut open = Vec::new();
            for (ask, place) in asks.iter().zip(&mut judged) {
                if place.is_none() && ask.freshness == freshness {
                    open.push((ask, place));
                }
            }
            let (asked, places): (Vec<_>, Vec<_>) = open.into_iter().unzip();
            let told = self.judge_there(&asked, freshness).await;
            places.into_iter().zip(told).for_each(|(place, told)| *place = Some(told));
        }
        judged.into_iter().flatten().collect()
    }

    /// Judges from what is known here; `None` if a server must be asked.
    fn judge_here(&self, ask: &Introspection) -> Option<Judged> {
        if let Some(denied) = ask.workspace.as_ref().filter(|workspace| !self.covers(workspace)) {
            let denied = Error::WorkspaceDenied(denied.clone());
            return Some(Err(status::failure(&denied)));
        }
        if let Some(verdict) = self.judge_known(ask) {
            return Some(Ok(verdict));
        }
        let Ok(presented) = Presented::parse(ask.presented.expose_secret()) else {
            return Some(Ok(self.not_ours(InactiveReason::Malformed)));
        };
        match self.origin(&presented) {
            Origin::Forged => Some(Ok(self.not_ours(InactiveReason::Forged))),
            // The key may be one that servers have got since.
            Origin::Issued | Origin::UnknownKey => None,
        }
    }

    fn judge_known(&self, ask: &Introspection) -> Option<Verdict> {
        // The request has arrived before.
        let now = BootTime::now();
        let floor = match ask.freshness {
            Freshness::Leased => Revision::ZERO,
            Freshness::AtLeast(revision) => revision,
            Freshness::Strong => return None,
        };
        let known = self.cache.look_up((&ask.presented).into(), now);
        let known = known.filter(|known| known.applied.revision >= floor)?;
        self.counts.answer_was_given(Source::Cache);
        Some(self.judge(ask, known.record, now))
    }

    /// Has a server judge.
    async fn judge_there(&self, asks: &[&Introspection], freshness: Freshness) -> Vec<Judged> {
        let tokens: Vec<&SecretString> = asks.iter().map(|ask| &ask.presented).collect();
        let resolved = self.resolve(&tokens, freshness).await;
        let source = if resolved.is_ok() { Source::Server } else { Source::Nobody };
        self.counts.answers_were_given(source, asks.len());
        match resolved {
            Ok(resolutions) => asks
                .iter()
                .zip(resolutions)
                .map(|(ask, resolution)| self.judge_told(ask, resolution))
                .collect(),
            Err(failure) => asks.iter().map(|_| Err(failure.clone())).collect(),
        }
    }

    fn judge_told(&self, ask: &Introspection, resolution: Resolution) -> Judged {
        match resolution {
            Resolution::Live(record, _) => Ok(self.judge(ask, record, BootTime::now())),
            Resolution::Inactive(reason) => Ok(Verdict::Inactive(reason)),
            Resolution::Failed(failure) => Err(failure),
        }
    }

    /// Judges a live token, and takes note of its use if it is one. One of a workspace that is not ours to tell of is as unknown as one that never was.
    fn judge(&self, ask: &Introspection, record: Arc<Record>, now: BootTime) -> Verdict {
        if !self.covers(&record.workspace) {
            self.inactive(InactiveReason::Unknown)
        } else if ask.workspace.as_ref().is_some_and(|wanted| *wanted != *record.workspace) {
            self.inactive(InactiveReason::OtherWorkspace)
        } else if let Err(reason) = record.suits(&ask.place) {
            self.inactive(reason)
        } else {
            self.usage.note(record.id, Used::Live(record.generation), now);
            Verdict::on(record, &ask.required_scopes)
        }
    }

    fn not_ours(&self, reason: InactiveReason) -> Verdict {
        self.counts.answer_was_given(Source::Tag);
        self.inactive(reason)
    }

    fn inactive(&self, reason: InactiveReason) -> Verdict {
        Verdict::Inactive(self.trust().tells_reasons.then_some(reason))
    }

    /// Whether a workspace is one that the sidecar answers for.
    pub(super) fn covers(&self, workspace: &WorkspaceId) -> bool {
        self.workspaces.is_empty() || self.workspaces.contains(workspace)
    }
}
