//! What principals are, and which operation made each change of a principal or a workspace: its mark tells.

use std::collections::BTreeMap;

use crate::history::{History, LogRow, Operation};

/// What a principal lets its tokens do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Held {
    pub mark: u32,
    pub wide: bool,
    pub disabled: bool,
}

impl Held {
    /// As a principal is created.
    pub(super) const BORN: Self = Self { mark: 0, wide: true, disabled: false };
}

/// Principals as the log makes them, row by row.
pub(super) struct Principals<'h> {
    made: BTreeMap<(u32, &'h str), &'h Operation>,
    held: BTreeMap<&'h str, Held>,
}

impl<'h> Principals<'h> {
    pub(super) fn of(history: &'h History) -> Self {
        let marked = history.operations.iter();
        let made = marked.filter_map(|operation| operation.marked().map(|key| (key, operation)));
        Self { made: made.collect(), held: BTreeMap::new() }
    }

    /// The operation that made a change.
    pub(super) fn made(&self, row: &LogRow) -> Option<&'h Operation> {
        let subject = if row.subject.is_empty() { &row.workspace } else { &row.subject };
        self.made.get(&(row.mark?, subject.as_str())).copied()
    }

    pub(super) fn get(&self, principal: &str) -> Held {
        self.held.get(principal).copied().unwrap_or(Held::BORN)
    }

    pub(super) fn set(&mut self, principal: &'h str, held: Held) {
        self.held.insert(principal, held);
    }
}
