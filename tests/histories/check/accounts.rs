//! Holds the log and the tables against what was acknowledged, refused, and left unknown.

use std::collections::{BTreeMap, BTreeSet};

use super::principals::Principals;
use super::state::Effect;
use super::tokens::{Token, Tokens, is_of};
use super::{Promise, Violation};
use super::{groups, uses};
use crate::history::{Answer, Call, Change, Edit, History, LogRow, Operation, PrincipalRow, TokenRow};
use crate::moment::Moment;

pub(super) fn check(history: &History, tokens: &Tokens<'_>) -> Vec<Violation> {
    let mut violations = contiguous(&history.log);
    violations.extend(history.operations.iter().filter_map(|operation| kept(history, tokens, operation)));
    violations.extend(explained(history));
    violations.extend(marked(history));
    violations.extend(groups::check(history, tokens));
    violations.extend(uses::check(history));
    violations.extend(tables(history, tokens));
    violations
}

fn contiguous(log: &[LogRow]) -> Vec<Violation> {
    let pairs = log.windows(2).filter(|pair| pair[1].revision != pair[0].revision + 1);
    let story = |pair: &[LogRow]| format!("{} comes after {}", pair[1].revision, pair[0].revision);
    pairs.map(|pair| Violation { promise: Promise::Contiguous, at: Moment(0), story: story(pair) }).collect()
}

/// What was acknowledged is there.
fn kept(history: &History, tokens: &Tokens<'_>, operation: &Operation) -> Option<Violation> {
    let lost = |story: &str| {
        Some(Violation {
            promise: Promise::Durable,
            at: operation.invoke,
            story: format!("{story}; {operation:?}"),
        })
    };
    match (&operation.call, &operation.answer) {
        (Call::CreatePrincipal { principal }, Answer::Done)
            if !history.principals.iter().any(|row| row.principal == *principal) =>
        {
            lost("the principal is not there")
        }
        (Call::CreatePrincipal { principal }, Answer::Refused(_))
            if history.principals.iter().any(|row| row.principal == *principal) =>
        {
            Some(twice(format!("the principal is there; {operation:?}")))
        }
        (
            Call::ChangePrincipal { .. } | Call::Invalidate { .. } | Call::RevokeGroup { .. },
            Answer::Changed { revision, .. },
        ) => {
            let row = history.log.iter().find(|row| row.revision == *revision);
            if row.is_some_and(|row| made(row, operation)) {
                None
            } else {
                lost(&format!("the log has {row:?} there"))
            }
        }
        (Call::Create { .. }, Answer::Created { token, .. })
            if !history.tokens.iter().any(|row| row.token == *token) =>
        {
            lost("the token is not there")
        }
        (Call::Change { token, change, .. }, Answer::Changed { revision, .. }) => {
            let there = history.log.iter().any(|row| is_of(operation, row));
            let so_already = || tokens.get(token).is_some_and(|token| is_so(token, *change, *revision));
            if there || so_already() {
                None
            } else {
                let row = history.log.iter().find(|row| row.revision == *revision);
                lost(&format!("the log has {row:?} there"))
            }
        }
        _ => None,
    }
}

/// Whether a token is at a revision as a change would make it: then it is told, and nothing is done.
fn is_so(token: &Token<'_>, change: Change, revision: i64) -> bool {
    let state = token.state_at(revision);
    match change {
        Change::Revoked => token.ended_at(revision),
        Change::Suspended => state.suspended,
        Change::Resumed => !state.suspended,
        // It may have ended with time.
        Change::OverlapEnded => true,
        _ => false,
    }
}

/// Each row of the log was done by one operation, and none by one that was refused. A token is revoked once, whoever asks
/// how often.
fn explained(history: &History) -> Vec<Violation> {
    let mut acknowledged: BTreeSet<i64> = BTreeSet::new();
    let mut unknown: BTreeMap<(&str, Change), usize> = BTreeMap::new();
    let mut violations = Vec::new();
    for operation in &history.operations {
        let Call::Change { token, change, .. } = &operation.call else { continue };
        match operation.answer {
            Answer::Changed { .. } => {
                let Some(row) = history.log.iter().find(|row| is_of(operation, row)) else { continue };
                if !acknowledged.insert(row.revision) && !change.may_be_so_already() {
                    let story = format!("two changes of revision {}: {operation:?}", row.revision);
                    violations.push(Violation { promise: Promise::ExactlyOnce, at: operation.invoke, story });
                }
            }
            Answer::Unknown => *unknown.entry((token.as_str(), change.kind())).or_default() += 1,
            _ => {}
        }
    }
    let known: BTreeSet<&str> = history.operations.iter().filter_map(Operation::token).collect();
    let of_tokens = |row: &&LogRow| known.contains(row.subject.as_str());
    for row in history.log.iter().filter(of_tokens).filter(|row| !acknowledged.contains(&row.revision)) {
        let left = unknown.entry((row.subject.as_str(), row.change.kind())).or_default();
        if *left == 0 {
            let story = format!("nobody was left in doubt about {row:?}");
            violations.push(Violation { promise: Promise::ExactlyOnce, at: Moment(0), story });
        }
        *left = left.saturating_sub(1);
    }
    violations
}

/// Whether a row is what an operation was to do.
fn made(row: &LogRow, operation: &Operation) -> bool {
    let subject = match row.change {
        Change::PrincipalChanged if matches!(operation.call, Call::ChangePrincipal { .. }) => &row.subject,
        Change::WorkspaceInvalidated if matches!(operation.call, Call::Invalidate { .. }) => &row.workspace,
        Change::GroupRevoked if matches!(operation.call, Call::RevokeGroup { .. }) => &row.workspace,
        _ => return false,
    };
    row.mark.map(|mark| (mark, subject.as_str())) == operation.marked()
}

/// Each change of a principal or a workspace was done by one operation, once, and not by one that was refused.
fn marked(history: &History) -> Vec<Violation> {
    let principals = Principals::of(history);
    let mut seen = BTreeSet::new();
    let wrong = |row: &&LogRow| {
        let by = principals.made(row).filter(|by| made(row, by));
        let fine = by.is_some_and(|by| match by.answer {
            Answer::Changed { revision, .. } => revision == row.revision,
            Answer::Unknown => true,
            _ => false,
        });
        !fine || !seen.insert(row.mark)
    };
    let is_marked = |row: &&LogRow| {
        matches!(row.change, Change::PrincipalChanged | Change::WorkspaceInvalidated | Change::GroupRevoked)
    };
    history
        .log
        .iter()
        .filter(is_marked)
        .filter(wrong)
        .map(|row| twice(format!("nobody was to make this, or it was made before: {row:?}")))
        .collect()
}

fn twice(story: String) -> Violation {
    Violation { promise: Promise::ExactlyOnce, at: Moment(0), story }
}

/// The tables say what the log says.
fn tables(history: &History, tokens: &Tokens<'_>) -> Vec<Violation> {
    let of_tokens = history.tokens.iter().filter_map(|row| {
        let token = tokens.get(&row.token).filter(|token| token.is_known())?;
        let (log, table) = (Ended::of(token), Ended::from(row));
        let fits = log.fits(&table);
        (!fits).then(|| format!("of {} the log says {log:?}, its row {table:?}", row.token))
    });
    let of_principals = history.principals.iter().filter_map(|row| {
        let log = principal(history, row);
        (format!("{log:?}") != format!("{row:?}")).then(|| format!("the log says {log:?}, the row {row:?}"))
    });
    let of_workspaces = history.workspaces.iter().filter_map(|row| {
        let mut invalidations = history.log.iter().filter(|logged| {
            logged.change == Change::WorkspaceInvalidated && logged.workspace == row.workspace
        });
        let epoch = i32::try_from(invalidations.clone().count()).unwrap_or(i32::MAX);
        let revision = invalidations.next_back().map_or(0, |logged| logged.revision);
        ((epoch, revision) != (row.epoch, row.revision))
            .then(|| format!("the log says epoch {epoch} since {revision}, the row {row:?}"))
    });
    of_tokens.chain(of_principals).chain(of_workspaces).map(twice).collect()
}

/// What became of a token.
#[derive(Debug, PartialEq, Eq)]
struct Ended<'h> {
    generation: i32,
    revoked: bool,
    revision: i64,
    heir: Option<&'h str>,
    /// Of its present secret; not certain of the first.
    epoch: Option<i32>,
}

impl<'h> Ended<'h> {
    fn of(token: &Token<'h>) -> Self {
        let mut ended = Self { generation: 1, revoked: false, revision: 0, heir: None, epoch: None };
        let mut epoch = 0;
        for row in &token.rows {
            epoch += i32::from(row.logged.change == Change::WorkspaceInvalidated);
            if ended.revoked {
                continue;
            }
            match row.effect {
                Effect::Revoked | Effect::Deleted => ended.revoked = true,
                Effect::Replaced { .. } => {
                    (ended.generation, ended.epoch) = (row.logged.generation, Some(epoch));
                }
                Effect::HandedOver(heir, _) => ended.heir = Some(heir),
                Effect::Updated(_) | Effect::OverlapEnded | Effect::Suspended(_) => {}
                Effect::Held(_) | Effect::Invalidated { .. } | Effect::Nothing => continue,
            }
            ended.revision = row.logged.revision;
        }
        ended
    }

    fn from(row: &'h TokenRow) -> Self {
        let TokenRow { generation, revoked, revision, .. } = *row;
        Self { generation, revoked, revision, heir: row.principal.as_deref(), epoch: Some(row.epoch) }
    }

    /// Whether a row is so, where the log tells.
    fn fits(&self, row: &Self) -> bool {
        (self.generation, self.revoked, self.revision) == (row.generation, row.revoked, row.revision)
            && (self.heir.is_none() || self.heir == row.heir)
            && (self.epoch.is_none() || self.epoch == row.epoch)
    }
}

/// A principal's row as the log makes it.
fn principal(history: &History, row: &PrincipalRow) -> PrincipalRow {
    let principals = Principals::of(history);
    let mut log = PrincipalRow {
        principal: row.principal.clone(),
        revision: 0,
        wide: true,
        held: 0,
        disabled: false,
        deleted: false,
    };
    let is_of =
        |logged: &&LogRow| logged.change == Change::PrincipalChanged && logged.subject == row.principal;
    for logged in history.log.iter().filter(is_of) {
        log.revision = logged.revision;
        match principals.made(logged).map(|by| &by.call) {
            Some(Call::ChangePrincipal { edit: Edit::Held { wide, disabled }, mark, .. }) => {
                (log.wide, log.held, log.disabled) = (*wide, *mark, *disabled);
            }
            _ => log.deleted = true,
        }
    }
    log
}
