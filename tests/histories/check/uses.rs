//! How often tokens are said to have been used: never more often than they were. What is not written yet is not known.

use std::collections::BTreeMap;

use super::{Promise, Violation};
use crate::history::{Answer, Call, History};
use crate::moment::Moment;

pub(super) fn check(history: &History) -> Vec<Violation> {
    let mut uses: BTreeMap<&str, i64> = BTreeMap::new();
    for operation in &history.operations {
        if let Answer::Created { token, .. } = &operation.answer {
            uses.entry(token).or_default();
        }
        if let (Call::Introspect { token, .. }, Answer::Active { .. } | Answer::Unknown) =
            (&operation.call, &operation.answer)
        {
            *uses.entry(token).or_default() += 1;
        }
    }
    let wrong = history.tokens.iter().filter_map(|row| {
        let most = uses.get(row.token.as_str()).copied().filter(|most| row.uses > *most)?;
        Some(format!("{} uses are counted of {}, which had {most}", row.uses, row.token))
    });
    wrong.map(|story| Violation { promise: Promise::ExactlyOnce, at: Moment(0), story }).collect()
}
