//! Introspection: a verdict on each presented token.

use super::proving::{Proved, Question, Sight};
use super::{Caller, Error, Permission, Service};
use crate::clock::BootTime;
use crate::defect::{Defect, seeded};
use crate::introspection::{Freshness, InactiveReason, Introspection, Verdict};
use crate::metrics::IntrospectionResult;
use crate::token::Revision;

impl Service {
    /// Judges a presented token.
    ///
    /// # Errors
    /// [`Error::WorkspaceDenied`] for a workspace that the caller does not act on; [`Error::ScopeRequired`] for an address
    /// that it may not tell; else only that it cannot be decided.
    pub async fn introspect(&self, caller: &Caller, ask: &Introspection) -> Result<Verdict, Error> {
        let proved = self.prove(Question::of(caller, ask)?).await;
        Ok(self.verdict(caller, ask, self.decided(proved)?))
    }

    /// Judges presented tokens, each as [`Service::introspect`] does.
    pub async fn introspect_all(
        &self,
        caller: &Caller,
        asks: &[&Introspection],
    ) -> Vec<Result<Verdict, Error>> {
        let questions: Vec<_> = asks.iter().map(|ask| Question::of(caller, ask)).collect();
        let allowed: Vec<_> =
            questions.iter().filter_map(|question| question.as_ref().ok()).copied().collect();
        let mut proved = self.prove_all(&allowed).await.into_iter();
        let verdicts = questions.into_iter().zip(asks).map(|(question, ask)| {
            question?;
            let proved = proved.next().unwrap_or(Err(Error::DeadlineExceeded));
            Ok(self.verdict(caller, ask, self.decided(proved)?))
        });
        verdicts.collect()
    }

    /// Judges a presented token by what is at hand, at once and without asking anybody; `None` if that is not enough.
    #[must_use]
    pub fn introspect_at_hand(&self, caller: &Caller, ask: &Introspection) -> Option<Verdict> {
        let now = BootTime::now();
        let (question, proved) = self.prove_at_hand(caller, ask, now)?;
        self.note_at_hand(&question, &proved, now);
        Some(self.verdict(caller, ask, proved))
    }

    /// Judges presented tokens so; `None` unless what is at hand is enough for all of them.
    #[must_use]
    pub fn introspect_all_at_hand(&self, caller: &Caller, asks: &[&Introspection]) -> Option<Vec<Verdict>> {
        let now = BootTime::now();
        let proved: Option<Vec<_>> = asks.iter().map(|ask| self.prove_at_hand(caller, ask, now)).collect();
        let verdicts = proved?.into_iter().zip(asks).map(|((question, proved), ask)| {
            self.note_at_hand(&question, &proved, now);
            self.verdict(caller, ask, proved)
        });
        Some(verdicts.collect())
    }

    fn prove_at_hand<'ask>(
        &self,
        caller: &'ask Caller,
        ask: &'ask Introspection,
        now: BootTime,
    ) -> Option<(Question<'ask>, Proved)> {
        let question = Question::of(caller, ask).ok()?;
        let floor = match ask.freshness {
            Freshness::Leased => Revision::ZERO,
            Freshness::AtLeast(revision) => revision,
            Freshness::Strong => return None,
        };
        match self.at_hand(&question, floor, now) {
            Ok(Sight::Proved(proved)) => Some((question, proved)),
            Ok(Sight::Unseen(_)) | Err(_) => None,
        }
    }

    /// Counts what could not be decided.
    pub(super) fn decided(&self, proved: Result<Proved, Error>) -> Result<Proved, Error> {
        if proved.is_err() && seeded(Defect::UnavailableIsInactive) {
            return Ok(Err(InactiveReason::Unknown));
        }
        proved.inspect_err(|_| self.metrics.introspected(IntrospectionResult::Undecided))
    }

    fn verdict(&self, caller: &Caller, ask: &Introspection, proved: Proved) -> Verdict {
        match proved {
            Err(reason) => Verdict::Inactive(self.tell_inactive(caller, reason)),
            Ok(live) => {
                let verdict = Verdict::on(live.record, &ask.required_scopes);
                self.metrics.introspected(result_of_live(&verdict));
                verdict
            }
        }
    }

    /// Counts a dead token, and gives the reason if the caller may know it.
    pub(super) fn tell_inactive(&self, caller: &Caller, reason: InactiveReason) -> Option<InactiveReason> {
        self.metrics.introspected(result_of(reason));
        caller.may(Permission::LearnInactiveReason).then_some(reason)
    }
}

impl<'ask> Question<'ask> {
    fn of(caller: &'ask Caller, ask: &'ask Introspection) -> Result<Self, Error> {
        ask.workspace.as_ref().map_or(Ok(()), |workspace| caller.require_workspace(workspace))?;
        if ask.place.address.is_some() {
            caller.require(Permission::TellAddress)?;
        }
        let Introspection { presented, workspace, place, freshness, .. } = ask;
        Ok(Self {
            text: presented.into(),
            caller: Some(caller),
            workspace: workspace.as_ref(),
            place: Some(place),
            freshness: *freshness,
        })
    }
}

const fn result_of(reason: InactiveReason) -> IntrospectionResult {
    match reason {
        InactiveReason::Malformed => IntrospectionResult::Malformed,
        InactiveReason::Forged => IntrospectionResult::Forged,
        InactiveReason::Unknown => IntrospectionResult::Unknown,
        InactiveReason::OtherWorkspace => IntrospectionResult::OtherWorkspace,
        InactiveReason::Expired => IntrospectionResult::Expired,
        InactiveReason::Revoked => IntrospectionResult::Revoked,
        InactiveReason::Superseded => IntrospectionResult::Superseded,
        InactiveReason::Invalidated => IntrospectionResult::Invalidated,
        InactiveReason::PrincipalDisabled => IntrospectionResult::PrincipalDisabled,
        InactiveReason::Suspended => IntrospectionResult::Suspended,
        InactiveReason::OtherAudience => IntrospectionResult::OtherAudience,
        InactiveReason::OtherAddress => IntrospectionResult::OtherAddress,
    }
}

fn result_of_live(verdict: &Verdict) -> IntrospectionResult {
    match verdict {
        Verdict::Active { missing, .. } if missing.is_empty() => IntrospectionResult::Active,
        Verdict::Active { .. } | Verdict::Inactive(_) => IntrospectionResult::DeniedScope,
    }
}
