//! Judges each introspection by itself: what it must have known, what it says, and whether that was true.

use std::time::Duration;

use super::tokens::{Token, Tokens};
use super::{Promise, Violation};
use crate::history::{Answer, Call, Freshness, History, Operation, Reason, Scopes};

/// How exactly the clocks of the database and of the checker are known to agree on one machine.
const CLOCKS: Duration = Duration::from_millis(20);

pub(super) fn check(history: &History, tokens: &Tokens<'_>) -> Vec<Violation> {
    let mut violations = Vec::new();
    for operation in &history.operations {
        match &operation.answer {
            Answer::Refused(reason) => violations.extend(refusal(operation, reason)),
            Answer::Same(false) => {
                let story = "a request that was repeated was carried out again";
                violations.push(told(operation, Promise::ExactlyOnce, story));
            }
            _ => {}
        }
        let Call::Introspect { token, generation, freshness, .. } = &operation.call else { continue };
        let Some(token) = tokens.get(token) else { continue };
        let judged = Judged { operation, token, generation: *generation, freshness: *freshness };
        let found = match operation.answer {
            Answer::Active { revision, generation, scopes } => {
                let stale = judged.stale(revision, tokens, history.lease);
                stale
                    .or_else(|| judged.untrue(revision, generation, scopes))
                    .or_else(|| judged.expired())
                    .or_else(|| judged.overlapped(revision))
            }
            Answer::Inactive(reason) => judged.denied(reason),
            _ => None,
        };
        violations.extend(found.map(|(promise, story)| told(operation, promise, &story)));
    }
    violations
}

fn refusal(operation: &Operation, reason: &str) -> Option<Violation> {
    let never = [
        "CREDENTIAL_MISSING",
        "CREDENTIAL_INVALID",
        "SCOPE_REQUIRED",
        "WORKSPACE_DENIED",
        "REQUEST_ID_REUSED",
        "SECRET_UNAVAILABLE",
        "INTERNAL",
    ];
    never.contains(&reason).then(|| told(operation, Promise::Served, &format!("refused by {reason}")))
}

fn told(operation: &Operation, promise: Promise, story: &str) -> Violation {
    Violation { promise, at: operation.invoke, story: format!("{story}; {operation:?}") }
}

struct Judged<'a, 'h> {
    operation: &'a Operation,
    token: &'a Token<'h>,
    /// Of the secret that was presented.
    generation: i32,
    freshness: Freshness,
}

type Found = Option<(Promise, String)>;

impl Judged<'_, '_> {
    /// An answer that takes less into account than it had to.
    fn stale(&self, revision: i64, tokens: &Tokens<'_>, lease: Duration) -> Found {
        let invoke = self.operation.invoke;
        let confirmed = self.token.last_up_to(tokens.confirmed_before(invoke));
        let asked = match self.freshness {
            Freshness::AtLeast(revision) => self.token.last_up_to(revision),
            Freshness::Leased | Freshness::Strong => 0,
        };
        let strong = match self.freshness {
            Freshness::Strong => self.token.acknowledged_before(invoke, None),
            Freshness::Leased | Freshness::AtLeast(_) => 0,
        };
        let musts = [
            (Promise::Confirmed, confirmed),
            (Promise::AtLeast, asked),
            (Promise::Strong, strong),
            (Promise::OwnChanges, self.token.acknowledged_before(invoke, Some(self.operation.node))),
            (Promise::WithinLease, self.token.acknowledged_before(invoke.before(lease), None)),
        ];
        let (promise, must) = *musts.iter().find(|(_, must)| revision < *must)?;
        Some((promise, format!("active as of revision {revision}, but {must} had to be known")))
    }

    /// An answer that was never true of the token at its revision.
    fn untrue(&self, revision: i64, generation: i32, scopes: Option<Scopes>) -> Found {
        let untrue = |story: String| Some((Promise::True, story));
        if generation != self.generation {
            return untrue(format!("generation {generation} for a secret of {}", self.generation));
        }
        let state = self.token.state_at(revision);
        if let Some(end) = state.end_of(generation) {
            return untrue(format!("active as of {revision}, but {end} by then"));
        }
        if revision != self.token.last_up_to(revision) {
            return untrue(format!("nothing happened to the token at {revision}"));
        }
        let Some(told) = scopes else { return untrue("scopes that it never had".to_owned()) };
        let wide = state.held.is_none_or(|held| held.wide);
        let version = if wide { state.version } else { None };
        // Where nobody was told the version, any may be told.
        let right = told.held == state.held.map(|held| held.mark)
            && told.version.is_some() == wide
            && (version.is_none() || version == told.version);
        if right { None } else { untrue(format!("{told:?}, but it was {state:?}")) }
    }

    fn expired(&self) -> Found {
        let expires = self.token.expires?;
        let late = self.operation.invoke > expires.after(CLOCKS);
        late.then(|| (Promise::Expiry, format!("active after its expiry at {}", expires.0)))
    }

    /// A secret that was replaced works up to the end of its overlap.
    fn overlapped(&self, revision: i64) -> Found {
        let until = self.token.state_at(revision).overlapping(self.generation)?.until;
        let late = self.operation.invoke > until.after(CLOCKS);
        late.then(|| (Promise::Expiry, format!("active after its overlap had ended at {}", until.0)))
    }

    /// A denial of what could not be dead yet.
    fn denied(&self, reason: Reason) -> Found {
        let by = self.operation.returned;
        let (token, generation) = (self.token, self.generation);
        let expired = || token.expires.is_some_and(|expires| expires.before(CLOCKS) < by);
        let ended = || token.earliest_end(generation) < by.after(CLOCKS);
        let invalidated = || token.earliest_invalidation(generation) < by;
        let disabled = || token.may_be_disabled(self.operation.invoke, by);
        let suspended = || token.may_be_suspended(self.operation.invoke, by);
        let fine = match reason {
            Reason::NotOurs => false,
            Reason::Expired => expired(),
            Reason::Revoked | Reason::Superseded => ended(),
            Reason::Invalidated => invalidated(),
            Reason::PrincipalDisabled => disabled(),
            Reason::Suspended => suspended(),
            Reason::Untold => ended() || expired() || invalidated() || disabled() || suspended(),
        };
        (!fine).then(|| (Promise::NeverDeniedAlive, format!("inactive ({reason:?}) while it was alive")))
    }
}
