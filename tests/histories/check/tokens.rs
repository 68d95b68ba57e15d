//! What is certain of each token, and when: the log, and the operations that explain its rows.

use std::collections::BTreeMap;

use crate::history::{Answer, Call, Change, History, LogRow, Node};
use crate::moment::Moment;

/// Everything known of every token.
pub(super) struct Tokens<'h> {
    by_id: BTreeMap<&'h str, Token<'h>>,
    /// (when the fleet had confirmed it, the revision), both increasing.
    confirmed: Vec<(Moment, i64)>,
}

#[derive(Default)]
pub(super) struct Token<'h> {
    /// The token's rows of the log, in order.
    pub rows: Vec<Row<'h>>,
    /// When it expires.
    pub expires: Option<Moment>,
    /// Acknowledged changes: when, by whom, which revision.
    acknowledged: Vec<(Moment, Node, i64)>,
}

/// One row of the log, and what is known about it.
pub(super) struct Row<'h> {
    pub logged: &'h LogRow,
    /// It was not committed before this.
    pub earliest: Moment,
    /// The version of the scopes that it set, if an acknowledgement tells.
    pub scopes: Option<u32>,
}

impl<'h> Tokens<'h> {
    pub(super) fn of(history: &'h History) -> Self {
        let mut tokens = Self { by_id: BTreeMap::new(), confirmed: confirmed(history) };
        for operation in &history.operations {
            if let (Call::Create, Answer::Created { token, expires, .. }) =
                (&operation.call, &operation.answer)
            {
                tokens.by_id.entry(token).or_default().expires = *expires;
            }
        }
        for row in &history.log {
            let known = Row { logged: row, earliest: Moment::NEVER, scopes: None };
            tokens.by_id.entry(&row.token).or_default().rows.push(known);
        }
        for operation in &history.operations {
            let Call::Change { token, change, .. } = &operation.call else { continue };
            let Some(token) = tokens.by_id.get_mut(token.as_str()) else { continue };
            match operation.answer {
                Answer::Changed { revision, .. } => {
                    token.acknowledged.push((operation.returned, operation.node, revision));
                    token.explain(|row| row.revision == revision, *change, operation.invoke, true);
                }
                Answer::Unknown => token.explain(|_| true, *change, operation.invoke, false),
                _ => {}
            }
        }
        tokens
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
        (Call::Change { .. }, Answer::Changed { revision, confirmed: true, .. })
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

impl Token<'_> {
    /// An operation that was invoked at a moment may be why rows are there.
    fn explain(&mut self, which: impl Fn(&LogRow) -> bool, change: Change, invoke: Moment, surely: bool) {
        for known in
            self.rows.iter_mut().filter(|known| known.logged.change.is_like(change) && which(known.logged))
        {
            known.earliest = known.earliest.min(invoke);
            if let (true, Change::Updated(version)) = (surely, change) {
                known.scopes = Some(version);
            }
        }
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

    /// The rows that the token had at a revision.
    pub(super) fn rows_up_to(&self, revision: i64) -> impl DoubleEndedIterator<Item = &Row<'_>> {
        self.rows.iter().filter(move |known| known.logged.revision <= revision)
    }

    /// The earliest moment at which a secret of a generation may have died.
    pub(super) fn earliest_end(&self, generation: i32) -> Moment {
        let ends = self.rows.iter().filter(|known| known.ends(generation));
        ends.map(|known| known.earliest).min().unwrap_or(Moment::NEVER)
    }
}

impl Row<'_> {
    /// Whether a secret of a generation is dead by this row.
    pub(super) fn ends(&self, generation: i32) -> bool {
        match self.logged.change {
            Change::Revoked => true,
            Change::SecretReplaced => self.logged.generation > generation,
            Change::Updated(_) => false,
        }
    }
}
