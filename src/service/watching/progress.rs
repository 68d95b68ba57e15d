//! What a watcher is told besides events: how far it has got, so that it can come back there, and whether the database
//! has confirmed that this is all.

use std::time::Duration;

use crate::clock::BootTime;
use crate::feed::Confirmed;
use crate::revocation::Position;

/// The shortest time between two frames that only say that events were left out.
const PAUSE: Duration = Duration::from_millis(20);

/// The progress that a watcher was told, and what it is owed.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// When it was last told of a heartbeat.
    last_confirmed: Option<BootTime>,
    /// When it was last told anything of this.
    last: Option<BootTime>,
    /// A heartbeat that it shall be told of once it has come that far.
    confirmed: Option<Confirmed>,
    /// Whether its last frame is from before events that it may not see.
    left_out: bool,
}

impl Progress {
    /// Hears of a heartbeat. One that waits to be told is not replaced, or a watcher that is always a little behind would
    /// never be told of any.
    pub(super) fn hear(&mut self, confirmed: Confirmed) {
        let news = self.last_confirmed.is_none_or(|last| last < confirmed.sent);
        if news && self.confirmed.is_none() {
            self.confirmed = Some(confirmed);
        }
    }

    /// An event was left out.
    pub(super) const fn leave_out(&mut self) {
        self.left_out = true;
    }

    /// A frame with an event was told, which says how far the watcher is too.
    pub(super) const fn told_event(&mut self) {
        self.left_out = false;
    }

    /// Whether to tell the watcher now how far it is, and if so whether that is confirmed. The first progress, which
    /// needs no reason, waits until all is told that is known.
    pub(super) fn take(&mut self, position: Position, behind: bool, now: BootTime) -> Option<bool> {
        let confirmed = self.confirmed.take_if(|confirmed| position.reaches(confirmed.head)).is_some();
        let first = self.last.is_none() && !behind;
        if !confirmed && !first && self.wake().is_none_or(|wake| wake > now) {
            return None;
        }
        if confirmed {
            self.last_confirmed = Some(now);
        }
        (self.last, self.left_out) = (Some(now), false);
        Some(confirmed)
    }

    /// When it is to be told that events were left out; `None` if none were.
    pub(super) fn wake(&self) -> Option<BootTime> {
        let wake = self.last.map_or(BootTime::ZERO, |last| last.after(PAUSE));
        self.left_out.then_some(wake)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::revocation::HistoryId;
    use crate::token::Revision;

    fn at(revision: i64) -> Position {
        Position { history: HistoryId(Uuid::from_u128(1)), revision: Revision(revision) }
    }

    fn time(milliseconds: u64) -> BootTime {
        BootTime::from_start(Duration::from_millis(milliseconds))
    }

    fn beat(sent: u64, head: i64) -> Confirmed {
        Confirmed { sent: time(sent), head: at(head) }
    }

    /// Has been told, at a second, that it is at revision 10.
    fn begun() -> Progress {
        let mut progress = Progress::default();
        assert_eq!(progress.take(at(10), true, time(900)), None, "not all is told");
        assert_eq!(progress.take(at(10), false, time(1_000)), Some(false));
        assert_eq!(progress.take(at(10), false, time(9_000)), None, "nothing is owed");
        progress
    }

    #[test]
    fn a_heartbeat_confirms_what_is_told_and_not_what_is_still_to_come() {
        let mut progress = begun();
        progress.hear(beat(1_100, 12));
        assert_eq!(progress.take(at(11), false, time(1_200)), None);
        progress.hear(beat(1_150, 13));
        assert_eq!(progress.take(at(12), false, time(1_200)), Some(true), "the first is not replaced");
        assert_eq!(progress.take(at(12), false, time(1_200)), None);
    }

    #[test]
    fn a_heartbeat_from_before_the_last_one_told_confirms_nothing_new() {
        let mut progress = begun();
        progress.hear(beat(1_100, 10));
        assert_eq!(progress.take(at(10), false, time(1_200)), Some(true));
        progress.hear(beat(1_200, 10));
        assert_eq!(progress.take(at(10), false, time(1_300)), None);
        progress.hear(beat(1_201, 10));
        assert_eq!(progress.take(at(10), false, time(1_300)), Some(true));
    }

    #[test]
    fn a_heartbeat_of_another_history_confirms_nothing() {
        let mut progress = begun();
        let other = Position { history: HistoryId(Uuid::from_u128(2)), revision: Revision(1) };
        progress.hear(Confirmed { sent: time(1_100), head: other });
        assert_eq!(progress.take(at(10), false, time(1_200)), None);
    }

    #[test]
    fn what_was_left_out_is_told_of_at_once_but_not_too_often() {
        let mut progress = begun();
        progress.leave_out();
        assert_eq!(progress.take(at(11), true, time(1_020)), Some(false));
        progress.leave_out();
        assert_eq!(progress.take(at(12), false, time(1_039)), None);
        assert_eq!(progress.wake(), Some(time(1_040)));
        assert_eq!(progress.take(at(13), false, time(1_040)), Some(false));
        assert_eq!(progress.wake(), None);
        progress.leave_out();
        progress.told_event();
        assert_eq!(progress.take(at(15), false, time(9_000)), None, "the event said it");
    }
}
