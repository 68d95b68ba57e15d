//! The same judgement of strong answers in another way, which trusts neither the log nor any revision: for each token an
//! exhaustive search for an order of its operations that explains every answer (Wing and Gong, with Lowe's memory). Tokens
//! that change with something else are left to the other judgement.

use std::collections::{BTreeMap, HashSet};

use super::{Promise, Violation};
use crate::history::{Answer, Call, Change, Freshness, History, Operation};
use crate::moment::Moment;

/// The most operations of one token that are searched: each is one bit.
const MOST: usize = 64;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    generation: i32,
    revoked: bool,
    scopes: u32,
}

/// An operation that may have taken effect, once, between two moments.
struct Step<'h> {
    operation: &'h Operation,
    /// Whether it surely has.
    surely: bool,
}

pub(super) fn check(history: &History) -> Vec<Violation> {
    let mut tokens: BTreeMap<&str, Vec<Step<'_>>> = BTreeMap::new();
    let mut left_out = HashSet::new();
    let invalidated: HashSet<&str> = history.operations.iter().filter_map(|operation| match &operation.call {
        Call::Invalidate { workspace, .. } => Some(workspace.as_str()),
        _ => None,
    }).collect();
    for operation in &history.operations {
        let Some(token) = operation.token() else { continue };
        if let (Call::Create { principal }, Answer::Created { expires, workspace, .. }) =
            (&operation.call, &operation.answer)
            && (expires.is_some() || principal.is_some() || invalidated.contains(workspace.as_str()))
        {
            left_out.insert(token);
        }
        tokens.entry(token).or_default().extend(step(operation));
    }
    tokens.retain(|token, steps| steps.len() <= MOST && !left_out.contains(token));
    let wrong = tokens.into_iter().filter(|(_, steps)| !Search::of(steps).finds(0, BEGIN));
    wrong.map(|(token, steps)| told(token, &steps)).collect()
}

/// A token as it is created.
const BEGIN: State = State { generation: 1, revoked: false, scopes: 0 };

fn told(token: &str, steps: &[Step<'_>]) -> Violation {
    let steps: Vec<String> = steps.iter().map(|step| format!("{:?}", step.operation)).collect();
    let story = format!("no order of these explains {token}: {}", steps.join("; "));
    Violation { promise: Promise::Linearizable, at: Moment(0), story }
}

fn step(operation: &Operation) -> Option<Step<'_>> {
    let strong = matches!(operation.call, Call::Introspect { freshness: Freshness::Strong, .. });
    let surely = match operation.answer {
        Answer::Active { .. } | Answer::Inactive(_) if strong => true,
        Answer::Changed { .. } => true,
        Answer::Unknown if matches!(operation.call, Call::Change { .. }) => false,
        _ => return None,
    };
    Some(Step { operation, surely })
}

impl Step<'_> {
    /// What the token is after this, if this can come now.
    fn after(&self, state: State) -> Option<State> {
        let Operation { call, answer, .. } = self.operation;
        match (call, answer) {
            (Call::Introspect { generation, .. }, Answer::Active { scopes, .. }) => {
                let alive = State { generation: *generation, revoked: false, scopes: (*scopes)?.version? };
                (state == alive).then_some(state)
            }
            (Call::Introspect { generation, .. }, _) => {
                (state.revoked || state.generation != *generation).then_some(state)
            }
            (Call::Change { change, .. }, answer) => changed(state, *change, answer),
            _ => None,
        }
    }
}

fn changed(state: State, change: Change, answer: &Answer) -> Option<State> {
    let after = match change {
        Change::Revoked => State { revoked: true, ..state },
        _ if state.revoked => return None,
        Change::SecretReplaced => State { generation: state.generation + 1, ..state },
        Change::Updated(scopes) => State { scopes, ..state },
        Change::PrincipalChanged | Change::WorkspaceInvalidated | Change::ProfileUpdated => return None,
    };
    match answer {
        Answer::Changed { generation, .. } if *generation != after.generation => None,
        _ => Some(after),
    }
}

struct Search<'s, 'h> {
    steps: &'s [Step<'h>],
    /// Those that must have come.
    must: u64,
    /// Where it has been: what had come, and what the token was then.
    been: HashSet<(u64, State)>,
}

impl<'s, 'h> Search<'s, 'h> {
    fn of(steps: &'s [Step<'h>]) -> Self {
        let sure = steps.iter().enumerate().filter(|(_, step)| step.surely);
        Self { steps, must: sure.fold(0, |must, (number, _)| must | 1 << number), been: HashSet::new() }
    }

    /// Whether all that must come can, after what has come.
    fn finds(&mut self, come: u64, state: State) -> bool {
        if come & self.must == self.must {
            return true;
        }
        if !self.been.insert((come, state)) {
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
