//! What must be so once every fault is over.

use std::time::Duration;

use super::{Promise, Violation};
use crate::history::History;
use crate::moment::Moment;

/// How soon after the last fault everybody agrees with the database.
pub const SOON: Duration = Duration::from_secs(3);

pub(super) fn check(history: &History) -> Vec<Violation> {
    let limit = SOON + history.aftermath.stalled;
    let late = history.aftermath.converged.iter().filter(|(_, took)| took.is_none_or(|took| took > limit));
    let mut violations: Vec<Violation> = late
        .map(|(node, took)| {
            let story = took.map_or_else(|| "never".to_owned(), |took| format!("after {took:?}"));
            Violation {
                promise: Promise::Converges,
                at: Moment::NEVER,
                story: format!("{node} agreed {story}"),
            }
        })
        .collect();
    if history.aftermath.idle_in_transaction > 0 {
        let story = format!("{} sessions are", history.aftermath.idle_in_transaction);
        violations.push(Violation { promise: Promise::NoneIdle, at: Moment::NEVER, story });
    }
    let misdeeds = history.aftermath.misdeeds.iter().map(|(node, misdeed)| format!("{node}: {misdeed}"));
    violations.extend(misdeeds.map(|story| Violation { promise: Promise::Stands, at: Moment::NEVER, story }));
    violations
}
