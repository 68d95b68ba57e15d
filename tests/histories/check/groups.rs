//! Tokens that end at once: those that were to, and no other, and no tokens that nobody asked for.

use std::collections::{BTreeMap, BTreeSet};

use super::state::Effect;
use super::tokens::{Token, Tokens};
use super::{Promise, Violation};
use crate::history::{Answer, Call, Change, History, LogRow, Operation};
use crate::moment::Moment;

pub(super) fn check(history: &History, tokens: &Tokens<'_>) -> Vec<Violation> {
    let mut violations: Vec<Violation> =
        history.operations.iter().flat_map(|operation| spared(history, tokens, operation)).collect();
    let rows = history.log.iter().filter(|row| row.change == Change::GroupRevoked);
    violations.extend(rows.flat_map(|row| strange(history, tokens, row)));
    violations.extend(unasked(history));
    violations
}

fn violation(promise: Promise, at: Moment, story: String) -> Violation {
    Violation { promise, at, story }
}

/// Tokens of a group that were there before its end was asked for, and outlived it.
fn spared(history: &History, tokens: &Tokens<'_>, operation: &Operation) -> Vec<Violation> {
    let Call::RevokeGroup { workspace, group, dry: false, .. } = &operation.call else { return Vec::new() };
    let by = match operation.answer {
        Answer::Changed { revision, .. } => revision,
        Answer::Done => i64::MAX,
        _ => return Vec::new(),
    };
    let spared = history.operations.iter().filter_map(|created| {
        let (Call::Create { group: named, .. }, Answer::Created { token, workspace: of, expires: None }) =
            (&created.call, &created.answer)
        else {
            return None;
        };
        let concerned = named == group && of == workspace && created.returned < operation.invoke;
        let known = tokens.get(token).filter(|_| concerned)?;
        (!ended(known, by)).then(|| format!("{token} outlived {operation:?}"))
    });
    spared.map(|story| violation(Promise::Durable, operation.invoke, story)).collect()
}

fn ended(token: &Token<'_>, by: i64) -> bool {
    let ends = token.rows.iter().filter(|row| matches!(row.effect, Effect::Revoked | Effect::Deleted));
    ends.into_iter().any(|row| row.logged.revision <= by)
}

/// Tokens that ended with a group that is not theirs, and events that name others than those that ended.
fn strange(history: &History, tokens: &Tokens<'_>, row: &LogRow) -> Vec<Violation> {
    let marked = |operation: &&Operation| {
        row.mark.is_some_and(|mark| operation.marked() == Some((mark, row.workspace.as_str())))
    };
    let asked = history.operations.iter().find(marked).and_then(|operation| match &operation.call {
        Call::RevokeGroup { group, .. } => Some(group),
        _ => None,
    });
    let of_others = row.ended.iter().filter(|token| {
        let created = tokens.get(token).and_then(Token::created);
        created.is_some_and(|(created, workspace)| {
            let Call::Create { group, .. } = &created.call else { return true };
            workspace != row.workspace || asked.is_some_and(|asked| asked != group)
        })
    });
    let mut stories: Vec<String> = of_others.map(|token| format!("{token} ended by {row:?}")).collect();
    if row.listed.as_ref().is_some_and(|listed| *listed != row.ended) {
        stories.push(format!("others ended than are listed: {row:?}"));
    }
    stories.into_iter().map(|story| violation(Promise::ExactlyOnce, Moment(0), story)).collect()
}

/// No more tokens are there that nobody knows than creations that nobody knows the end of.
fn unasked(history: &History) -> Option<Violation> {
    let mut groups: BTreeMap<&str, usize> = BTreeMap::new();
    let mut known: BTreeSet<&str> = BTreeSet::new();
    let mut doubtful = 0;
    for operation in &history.operations {
        match (&operation.call, &operation.answer) {
            (Call::Create { group, .. }, answer) => {
                groups.entry(group).or_default();
                doubtful += usize::from(*answer == Answer::Unknown);
                if let Answer::Created { token, .. } = answer {
                    known.insert(token);
                }
            }
            // It may have been born with a token.
            (Call::CreatePrincipal { .. }, Answer::Unknown) => doubtful += 1,
            _ => {}
        }
    }
    let strangers = history
        .tokens
        .iter()
        .filter(|row| groups.contains_key(row.name.as_str()) && !known.contains(row.token.as_str()));
    let strangers: Vec<&str> = strangers.map(|row| row.token.as_str()).collect();
    let story = || format!("{doubtful} creations ended in doubt, but nobody knows {strangers:?}");
    (strangers.len() > doubtful).then(|| violation(Promise::ExactlyOnce, Moment(0), story()))
}
