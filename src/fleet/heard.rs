//! Since when it is known that a revision is committed. A lease that was asked for before then has run out a lease's
//! length after it, so whoever waits for an old revision waits for less.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::BootTime;
use crate::revocation::{HistoryId, Position};
use crate::token::Revision;

/// How far apart two entries are at least.
const GRAIN: Duration = Duration::from_millis(100);

/// How many entries are kept: with [`GRAIN`], longer than any lease lasts.
const MOST: usize = 700;

/// Where the log ended at a few moments of the past, in order.
#[derive(Debug, Default)]
pub(super) struct Heard {
    history: Option<HistoryId>,
    entries: VecDeque<(BootTime, Revision)>,
}

impl Heard {
    /// Notes where the log ended, at some time before `now`.
    pub(super) fn note(&mut self, head: Position, now: BootTime) {
        if self.history.replace(head.history) != Some(head.history) {
            self.entries.clear();
        }
        if self.entries.back().is_some_and(|(last, _)| now.since(*last) < GRAIN) {
            return;
        }
        self.entries.push_back((now, head.revision));
        if self.entries.len() > MOST {
            self.entries.pop_front();
        }
    }

    /// A moment at which a change was known to be committed; `None` if it was not known when last noted.
    pub(super) fn known_since(&self, change: Position) -> Option<BootTime> {
        if self.history != Some(change.history) {
            return None;
        }
        let later = self.entries.partition_point(|(_, head)| *head < change.revision);
        self.entries.get(later).map(|(time, _)| *time)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn time(milliseconds: u64) -> BootTime {
        BootTime::from_start(Duration::from_millis(milliseconds))
    }

    fn head(history: u128, revision: i64) -> Position {
        Position { history: HistoryId(Uuid::from_u128(history)), revision: Revision(revision) }
    }

    #[test]
    fn a_revision_is_known_since_it_was_first_noted_and_never_earlier() {
        let mut heard = Heard::default();
        assert_eq!(heard.known_since(head(1, 1)), None);
        heard.note(head(1, 5), time(1_000));
        heard.note(head(1, 9), time(1_050));
        assert_eq!(heard.known_since(head(1, 9)), None, "too soon after the entry before to be kept");
        heard.note(head(1, 9), time(1_100));
        assert_eq!(heard.known_since(head(1, 4)), Some(time(1_000)));
        assert_eq!(heard.known_since(head(1, 5)), Some(time(1_000)));
        assert_eq!(heard.known_since(head(1, 6)), Some(time(1_100)));
        assert_eq!(heard.known_since(head(1, 10)), None);
        heard.note(head(2, 9), time(1_200));
        assert_eq!(heard.known_since(head(2, 4)), Some(time(1_200)));
        assert_eq!(heard.known_since(head(1, 4)), None, "another history");
    }

    #[test]
    fn it_remembers_longer_than_a_lease_lasts_and_not_for_ever() {
        let mut heard = Heard::default();
        for number in 0..2_000 {
            heard.note(head(1, number), time(u64::try_from(number).unwrap() * 100));
        }
        assert_eq!(heard.entries.len(), MOST);
        let first = heard.known_since(head(1, 0)).unwrap();
        assert!(time(199_900).since(first) > Duration::from_secs(61));
    }
}
