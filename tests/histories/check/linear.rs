//! The same judgement of strong answers in another way, which trusts neither the log nor any revision: for each token an
//! exhaustive search for an order of its operations, and those of its principal and its workspace, that explains every
//! answer (Wing and Gong, with Lowe's memory). Tokens that expire, or may have been handed over, are left to the other
//! judgement.

use std::collections::HashSet;

use super::principals::Held;
use super::{Promise, Violation};
use crate::history::{Answer, Call, Change, Edit, Freshness, History, Operation};
use crate::moment::Moment;

/// The most operations of one token that are searched: each is one bit.
const MOST: usize = 128;

/// The most places that are searched for one token. Operations of which nobody knows the end may come at any time, so that
/// a few of them double the places with each.
const PLACES: usize = 500_000;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is so or not whatever the others are")]
struct State {
    is_there: bool,
    generation: i32,
    revoked: bool,
    suspended: bool,
    invalidated: bool,
    version: u32,
    held: Option<Held>,
}

/// An operation that may have taken effect, once, between two moments.
struct Step<'h> {
    operation: &'h Operation,
    /// Whether it surely has.
    surely: bool,
}

pub(super) fn check(history: &History) -> Vec<Violation> {
    let lives = history.operations.iter().filter_map(|operation| Life::of(operation, history));
    let wrong = lives.filter(|life| !Search::of(&life.steps).explains(life.begin()));
    wrong.map(|life| life.unexplained()).collect()
}

/// Everything that may have become of one token.
struct Life<'h> {
    token: &'h str,
    principal: Option<&'h str>,
    steps: Vec<Step<'h>>,
}

impl<'h> Life<'h> {
    /// That of a token that an operation created, if it can be searched.
    fn of(created: &'h Operation, history: &'h History) -> Option<Self> {
        let Call::Create { principal, group } = &created.call else { return None };
        let Answer::Created { token, workspace, expires: None } = &created.answer else { return None };
        let concerns = |operation: &Operation| match &operation.call {
            Call::ChangePrincipal { principal: changed, .. } => Some(changed) == principal.as_ref(),
            Call::Invalidate { workspace: invalidated, dry, .. } => invalidated == workspace && !dry,
            Call::RevokeGroup { workspace: of, group: named, dry, .. } => {
                of == workspace && named == group && !dry
            }
            _ => operation.token() == Some(token),
        };
        let operations = history.operations.iter().filter(|operation| concerns(operation));
        let steps: Vec<Step<'_>> = operations.filter_map(Step::of).collect();
        let searched = steps.len() <= MOST && !steps.iter().any(|step| step.hands_over() || step.overlaps());
        searched.then_some(Self { token, principal: principal.as_deref(), steps })
    }

    /// Before it is created, and before anybody has changed its principal.
    fn begin(&self) -> State {
        let held = self.principal.map(|_| Held::BORN);
        let (suspended, invalidated) = (false, false);
        State { is_there: false, generation: 1, revoked: false, suspended, invalidated, version: 0, held }
    }

    fn unexplained(&self) -> Violation {
        let steps: Vec<String> = self.steps.iter().map(|step| format!("{:?}", step.operation)).collect();
        let story = format!("no order of these explains {}: {}", self.token, steps.join("; "));
        Violation { promise: Promise::Linearizable, at: Moment(0), story }
    }
}

impl<'h> Step<'h> {
    fn of(operation: &'h Operation) -> Option<Self> {
        let strong = matches!(operation.call, Call::Introspect { freshness: Freshness::Strong, .. });
        let surely = match operation.answer {
            Answer::Active { .. } | Answer::Inactive(_) if strong => true,
            Answer::Changed { .. } | Answer::Created { .. } => true,
            Answer::Done if matches!(operation.call, Call::RevokeGroup { .. }) => true,
            Answer::Unknown if !matches!(operation.call, Call::Introspect { .. }) => false,
            _ => return None,
        };
        Some(Self { operation, surely })
    }

    fn hands_over(&self) -> bool {
        matches!(self.operation.call, Call::ChangePrincipal { edit: Edit::HandedOver { .. }, .. })
    }

    fn overlaps(&self) -> bool {
        matches!(self.operation.call, Call::Change { change: Change::Overlapped, .. })
    }

    /// What the token is after this, if this can come now.
    fn after(&self, state: State) -> Option<State> {
        let Operation { call, answer, .. } = self.operation;
        match (call, answer) {
            (Call::Create { .. }, _) => {
                let held_back = state.held.is_some_and(|held| held.disabled);
                (!held_back && !state.revoked).then_some(State { is_there: true, ..state })
            }
            (Call::Introspect { generation, .. }, Answer::Active { scopes, .. }) => {
                let (version, held) = (Some(state.version), state.held);
                let told = (*scopes)?;
                let alive = state.lives(*generation)
                    && told.held == held.map(|held| held.mark)
                    && told.version == version.filter(|_| held.is_none_or(|held| held.wide));
                alive.then_some(state)
            }
            (Call::Introspect { generation, .. }, _) => (!state.lives(*generation)).then_some(state),
            (Call::Change { change, .. }, answer) => state.changed(*change, answer),
            (Call::ChangePrincipal { edit, mark, .. }, _) => Some(state.held_by(edit, *mark)),
            (Call::RevokeGroup { .. }, Answer::Done) => (state.revoked || !state.is_there).then_some(state),
            (Call::RevokeGroup { .. }, _) => {
                Some(State { revoked: state.revoked || state.is_there, ..state })
            }
            (Call::Invalidate { .. }, _) => {
                Some(State { invalidated: state.invalidated || state.is_there, ..state })
            }
            _ => None,
        }
    }
}

impl State {
    /// Whether a secret of a generation lives.
    fn lives(self, generation: i32) -> bool {
        let held_back = self.held.is_some_and(|held| held.disabled);
        let dead = self.revoked || self.suspended || self.invalidated || held_back;
        self.is_there && !dead && self.generation == generation
    }

    fn changed(self, change: Change, answer: &Answer) -> Option<Self> {
        let after = match change {
            Change::Revoked => Self { revoked: true, ..self },
            Change::OverlapEnded => self,
            _ if self.revoked => return None,
            Change::SecretReplaced => Self { generation: self.generation + 1, invalidated: false, ..self },
            Change::Updated(version) => Self { version, ..self },
            Change::Suspended => Self { suspended: true, ..self },
            Change::Resumed => Self { suspended: false, ..self },
            Change::Overlapped
            | Change::PrincipalChanged
            | Change::WorkspaceInvalidated
            | Change::GroupRevoked
            | Change::ProfileUpdated => return None,
        };
        match answer {
            Answer::Changed { generation, .. } if *generation != after.generation => None,
            _ => Some(after),
        }
    }

    fn held_by(self, edit: &Edit, mark: u32) -> Self {
        match edit {
            Edit::Held { wide, disabled } => {
                Self { held: Some(Held { mark, wide: *wide, disabled: *disabled }), ..self }
            }
            // It is not there yet for a token that is still to come, which then cannot.
            Edit::Deleted | Edit::HandedOver { .. } => Self { revoked: true, ..self },
        }
    }
}

struct Search<'s, 'h> {
    steps: &'s [Step<'h>],
    /// Those that must have come.
    must: u128,
    /// Where it has been: what had come, and what the token was then.
    been: HashSet<(u128, State)>,
}

impl<'s, 'h> Search<'s, 'h> {
    fn of(steps: &'s [Step<'h>]) -> Self {
        let sure = steps.iter().enumerate().filter(|(_, step)| step.surely);
        Self { steps, must: sure.fold(0, |must, (number, _)| must | 1 << number), been: HashSet::new() }
    }

    /// Whether there is an order, or there are too many to tell.
    fn explains(mut self, begin: State) -> bool {
        self.finds(0, begin) || self.been.len() > PLACES
    }

    /// Whether all that must come can, after what has come.
    fn finds(&mut self, come: u128, state: State) -> bool {
        if come & self.must == self.must {
            return true;
        }
        if self.been.len() > PLACES || !self.been.insert((come, state)) {
            return false;
        }
        let left = || self.steps.iter().enumerate().filter(|(number, _)| come & (1 << number) == 0);
        // Nothing comes before something that had returned before it was invoked.
        let first = left().map(|(_, step)| step.operation.returned).min().unwrap_or(Moment::NEVER);
        let next: Vec<(usize, State)> = left()
            .filter(|(_, step)| step.operation.invoke <= first)
            .filter_map(|(number, step)| Some((number, step.after(state)?)))
            .collect();
        next.into_iter().any(|(number, after)| self.finds(come | 1 << number, after))
    }
}
