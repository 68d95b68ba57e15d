//! What is certain of each token, and when: the log, and the operations that explain its rows.

use std::collections::BTreeMap;

use super::principals::{Held, Principals};
use super::state::{Effect, State};
use crate::history::{Answer, Call, Change, Edit, History, LogRow, Node, Operation, TokenRow};
use crate::moment::Moment;

/// Everything known of every token.
pub(super) struct Tokens<'h> {
    by_id: BTreeMap<&'h str, Token<'h>>,
    /// (when the fleet had confirmed it, the revision), both increasing.
    confirmed: Vec<(Moment, i64)>,
}

#[derive(Default)]
pub(super) struct Token<'h> {
    /// The rows of the log that concern the token, its principal or its workspace, in order.
    pub rows: Vec<Row<'h>>,
    /// When it expires.
    pub expires: Option<Moment>,
    /// When its creation was invoked and had returned, by whom it was acknowledged, and its workspace.
    created: Option<(&'h Operation, &'h str)>,
    /// Who it acts for, after the rows so far.
    pub principal: Option<&'h str>,
    row: Option<&'h TokenRow>,
    /// Acknowledged changes: when, by whom, which revision.
    acknowledged: Vec<(Moment, Node, i64)>,
}

/// One row of the log, and what is known about it.
pub(super) struct Row<'h> {
    pub logged: &'h LogRow,
    /// It was not committed before this.
    pub earliest: Moment,
    /// When it had surely been committed.
    pub latest: Moment,
    pub effect: Effect<'h>,
}

impl<'h> Tokens<'h> {
    pub(super) fn of(history: &'h History) -> Self {
        let mut tokens = Self { by_id: BTreeMap::new(), confirmed: confirmed(history) };
        for operation in &history.operations {
            if let (Call::Create { principal, .. }, Answer::Created { token, expires, workspace }) =
                (&operation.call, &operation.answer)
            {
                let token = tokens.by_id.entry(token).or_default();
                (token.expires, token.principal) = (*expires, principal.as_deref());
                token.created = Some((operation, workspace));
            }
        }
        for row in &history.tokens {
            if let Some(token) = tokens.by_id.get_mut(row.token.as_str()) {
                token.row = Some(row);
            }
        }
        tokens.take_log(history);
        for operation in &history.operations {
            let Call::Change { token, change, .. } = &operation.call else { continue };
            let Some(token) = tokens.by_id.get_mut(token.as_str()) else { continue };
            match operation.answer {
                Answer::Changed { revision, .. } => {
                    token.acknowledged.push((operation.returned, operation.node, revision));
                    token.explain(|row| is_of(operation, row), *change, operation, true);
                }
                Answer::Unknown => token.explain(|_| true, *change, operation, false),
                _ => {}
            }
        }
        tokens
    }

    /// Gives each token the rows that concern it.
    fn take_log(&mut self, history: &'h History) {
        let mut principals = Principals::of(history);
        let mut epochs: BTreeMap<&str, i32> = BTreeMap::new();
        for logged in &history.log {
            match logged.change {
                Change::Revoked
                | Change::SecretReplaced
                | Change::Overlapped
                | Change::OverlapEnded
                | Change::Suspended
                | Change::Resumed
                | Change::Updated(_) => {
                    let effect = match logged.change {
                        Change::Revoked => Effect::Revoked,
                        Change::SecretReplaced | Change::Overlapped => {
                            Effect::Replaced { overlap_end: logged.overlap_end }
                        }
                        Change::OverlapEnded => Effect::OverlapEnded,
                        Change::Suspended => Effect::Suspended(true),
                        Change::Resumed => Effect::Suspended(false),
                        _ => Effect::Updated(None),
                    };
                    let row = Row { logged, earliest: Moment::NEVER, latest: Moment::NEVER, effect };
                    self.by_id.entry(&logged.subject).or_default().rows.push(row);
                }
                Change::PrincipalChanged => self.take_principal(logged, &mut principals),
                Change::WorkspaceInvalidated => {
                    let epoch = epochs.entry(&logged.workspace).or_default();
                    *epoch += 1;
                    let by = principals.made(logged);
                    for token in self.by_id.values_mut() {
                        if token.created.is_some_and(|(_, workspace)| workspace == logged.workspace) {
                            token.invalidate(logged, by, *epoch);
                        }
                    }
                }
                Change::GroupRevoked => {
                    let by = principals.made(logged);
                    for token in &logged.ended {
                        self.by_id.entry(token).or_default().concern(logged, by, Effect::Revoked);
                    }
                }
                Change::ProfileUpdated => {}
            }
        }
    }

    fn take_principal(&mut self, logged: &'h LogRow, principals: &mut Principals<'h>) {
        let by = principals.made(logged);
        let edit = by.and_then(|operation| match &operation.call {
            Call::ChangePrincipal { edit, mark, .. } => Some((edit, *mark)),
            _ => None,
        });
        let effect = match edit {
            Some((Edit::Held { wide, disabled }, mark)) => {
                let held = Held { mark, wide: *wide, disabled: *disabled };
                principals.set(&logged.subject, held);
                Effect::Held(held)
            }
            Some((Edit::Deleted, _)) => Effect::Deleted,
            Some((Edit::HandedOver { to }, _)) => Effect::HandedOver(to, principals.get(to)),
            None => Effect::Nothing,
        };
        for token in self.by_id.values_mut().filter(|token| token.principal == Some(&logged.subject)) {
            token.concern(logged, by, effect);
            match effect {
                Effect::HandedOver(heir, _) => token.principal = Some(heir),
                Effect::Deleted => token.principal = None,
                _ => {}
            }
        }
    }

    pub(super) fn get(&self, token: &str) -> Option<&Token<'h>> {
        self.by_id.get(token)
    }

    /// The last revision that the whole fleet had confirmed before a moment.
    pub(super) fn confirmed_before(&self, moment: Moment) -> i64 {
        let known = self.confirmed.partition_point(|(returned, _)| *returned < moment);
        known.checked_sub(1).map_or(0, |last| self.confirmed[last].1)
    }
}

/// Confirmations as a staircase: each step is later and higher than the one before.
fn confirmed(history: &History) -> Vec<(Moment, i64)> {
    let told = history.operations.iter().filter_map(|operation| match (&operation.call, &operation.answer) {
        (_, Answer::Changed { revision, confirmed: true, .. })
        | (Call::Await { revision }, Answer::Awaited { confirmed: true }) => {
            Some((operation.returned, *revision))
        }
        _ => None,
    });
    let mut steps: Vec<(Moment, i64)> = told.collect();
    steps.sort_unstable();
    let mut highest = 0;
    steps.retain(|(_, revision)| {
        let higher = *revision > highest;
        highest = highest.max(*revision);
        higher
    });
    steps
}

impl<'h> Token<'h> {
    /// A change of what the token belongs to, by an operation.
    fn concern(&mut self, logged: &'h LogRow, by: Option<&'h Operation>, effect: Effect<'h>) {
        let earliest = by.map_or(Moment::NEVER, |by| by.invoke);
        let latest = by.map_or(Moment::NEVER, |by| by.returned);
        self.rows.push(Row { logged, earliest, latest, effect });
        if let Some(Operation { answer: Answer::Changed { revision, .. }, returned, node, .. }) = by {
            self.acknowledged.push((*returned, *node, *revision));
        }
    }

    /// The secret of a new token may be of the epoch before or after, if both happened at once.
    fn invalidate(&mut self, logged: &'h LogRow, by: Option<&'h Operation>, epoch: i32) {
        let replaced = self.rows.iter().any(|row| matches!(row.effect, Effect::Replaced { .. }));
        let first = self.row.filter(|row| row.generation == 1);
        let (begun, done) = self.created.map_or((Moment(0), Moment(0)), |(by, _)| (by.invoke, by.returned));
        let effect = match (replaced, first, by) {
            (true, ..) => Effect::Invalidated { surely: true },
            (_, Some(row), _) if row.epoch < epoch => Effect::Invalidated { surely: true },
            (_, Some(_), _) => Effect::Nothing,
            (_, None, Some(by)) if by.returned < begun => Effect::Nothing,
            (_, None, by) => Effect::Invalidated { surely: by.is_some_and(|by| done < by.invoke) },
        };
        self.concern(logged, by, effect);
    }

    /// An operation may be why rows are there.
    fn explain(&mut self, which: impl Fn(&LogRow) -> bool, change: Change, by: &Operation, surely: bool) {
        for known in
            self.rows.iter_mut().filter(|known| known.logged.change.is_like(change) && which(known.logged))
        {
            known.earliest = known.earliest.min(by.invoke);
            if surely {
                known.latest = known.latest.min(by.returned);
            }
            if let (true, Change::Updated(version)) = (surely, change) {
                known.effect = Effect::Updated(Some(version));
            }
        }
    }

    /// Whether an acknowledgement tells when and for whom it was created.
    pub(super) fn is_known(&self) -> bool {
        self.created.is_some()
    }

    /// Whether it ended at a revision, be it with others.
    pub(super) fn ended_at(&self, revision: i64) -> bool {
        let ends = |row: &Row<'_>| matches!(row.effect, Effect::Deleted | Effect::Revoked);
        self.rows.iter().any(|row| row.logged.revision == revision && ends(row))
    }

    /// The operation that created it, and its workspace.
    pub(super) fn created(&self) -> Option<(&'h Operation, &'h str)> {
        self.created
    }

    /// The last revision that was acknowledged before a moment, by a given node if one is given.
    pub(super) fn acknowledged_before(&self, moment: Moment, by: Option<Node>) -> i64 {
        let before = self
            .acknowledged
            .iter()
            .filter(|(returned, node, _)| *returned < moment && by.is_none_or(|by| by == *node));
        before.map(|(_, _, revision)| *revision).max().unwrap_or(0)
    }

    /// The token's last revision up to a revision of the log.
    pub(super) fn last_up_to(&self, revision: i64) -> i64 {
        let rows = self.rows.iter().map(|known| known.logged.revision);
        rows.take_while(|at| *at <= revision).last().unwrap_or(0)
    }

    /// What the token was at a revision, as far as that is certain.
    pub(super) fn state_at(&self, revision: i64) -> State {
        let held = self.created.and_then(|(operation, _)| match &operation.call {
            Call::Create { principal: Some(_), .. } => Some(Held::BORN),
            _ => None,
        });
        let mut state = State::born(held);
        for row in self.rows.iter().take_while(|row| row.logged.revision <= revision) {
            state.take(row.effect, row.logged.generation);
        }
        state
    }
}

/// Whether a row is the one that an acknowledged change of a token tells of. A new secret is known by its generation, for
/// whoever asks for it again is shown the token as it is by then.
pub(super) fn is_of(operation: &Operation, row: &LogRow) -> bool {
    let (Call::Change { token, change, .. }, Answer::Changed { revision, generation, .. }) =
        (&operation.call, &operation.answer)
    else {
        return false;
    };
    let same = row.subject == *token && row.change.is_like(*change) && row.generation == *generation;
    let replayed = operation.retried && change.is_like(Change::SecretReplaced) && row.revision <= *revision;
    same && (row.revision == *revision || replayed)
}
