//! Holds the log and the tables against what was acknowledged, refused, and left unknown.

use std::collections::{BTreeMap, BTreeSet};

use super::{Promise, Violation};
use crate::history::{Answer, Call, Change, History, LogRow, Operation};
use crate::moment::Moment;

pub(super) fn check(history: &History) -> Vec<Violation> {
    let mut violations = contiguous(&history.log);
    violations.extend(history.operations.iter().filter_map(|operation| kept(history, operation)));
    violations.extend(explained(history));
    violations.extend(tables(history));
    violations
}

fn contiguous(log: &[LogRow]) -> Vec<Violation> {
    let pairs = log.windows(2).filter(|pair| pair[1].revision != pair[0].revision + 1);
    let story = |pair: &[LogRow]| format!("{} comes after {}", pair[1].revision, pair[0].revision);
    pairs.map(|pair| Violation { promise: Promise::Contiguous, at: Moment(0), story: story(pair) }).collect()
}

/// What was acknowledged is there.
fn kept(history: &History, operation: &Operation) -> Option<Violation> {
    let lost = |story: &str| {
        Some(Violation {
            promise: Promise::Durable,
            at: operation.invoke,
            story: format!("{story}; {operation:?}"),
        })
    };
    match (&operation.call, &operation.answer) {
        (Call::Create, Answer::Created { token, .. })
            if !history.tokens.iter().any(|row| row.token == *token) =>
        {
            lost("the token is not there")
        }
        (Call::Change { token, change, .. }, Answer::Changed { revision, generation, .. }) => {
            let row = history.log.iter().find(|row| row.revision == *revision);
            let fits = |row: &LogRow| {
                row.token == *token && row.change.is_like(*change) && row.generation == *generation
            };
            if row.is_some_and(fits) { None } else { lost(&format!("the log has {row:?} there")) }
        }
        _ => None,
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
            Answer::Changed { revision, .. }
                if !acknowledged.insert(revision) && *change != Change::Revoked =>
            {
                let story = format!("two changes of revision {revision}: {operation:?}");
                violations.push(Violation { promise: Promise::ExactlyOnce, at: operation.invoke, story });
            }
            Answer::Unknown => *unknown.entry((token.as_str(), kind(*change))).or_default() += 1,
            _ => {}
        }
    }
    let known: BTreeSet<&str> = history.operations.iter().filter_map(Operation::token).collect();
    for row in history.log.iter().filter(|row| !acknowledged.contains(&row.revision)) {
        let left = unknown.entry((row.token.as_str(), kind(row.change))).or_default();
        if *left == 0 && known.contains(row.token.as_str()) {
            let story = format!("nobody was left in doubt about {row:?}");
            violations.push(Violation { promise: Promise::ExactlyOnce, at: Moment(0), story });
        }
        *left = left.saturating_sub(1);
    }
    violations
}

const fn kind(change: Change) -> Change {
    match change {
        Change::Updated(_) => Change::Updated(0),
        Change::Revoked | Change::SecretReplaced => change,
    }
}

/// The tables say of each token what the log says.
fn tables(history: &History) -> Vec<Violation> {
    let mut logged: BTreeMap<&str, (i32, bool, i64)> = BTreeMap::new();
    for row in &history.log {
        let state = logged.entry(&row.token).or_insert((1, false, 0));
        *state = (row.generation, state.1 || row.change == Change::Revoked, row.revision);
    }
    let differ = history.tokens.iter().filter_map(|row| {
        let log = logged.get(row.token.as_str()).copied().unwrap_or((row.generation, false, 0));
        let table = (row.generation, row.revoked, row.revision);
        (log != table).then(|| format!("of {} the log says {log:?}, its row {table:?}", row.token))
    });
    differ.map(|story| Violation { promise: Promise::ExactlyOnce, at: Moment(0), story }).collect()
}
