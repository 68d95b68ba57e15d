//! A watcher's place in the log, and what of a reading is new there.

use crate::clock::BootTime;
use crate::defect::{Defect, seeded};
use crate::feed::Reading;
use crate::revocation::{Event, Head, Position};
use crate::service::Error;
use crate::token::Revision;

/// Everything up to a position is told, and the log held it all at a time.
#[derive(Debug)]
pub(super) struct Place {
    position: Position,
    known: BootTime,
}

/// How a reading continues a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Continuation {
    /// So many of its first events are told already; the others follow, if any.
    After(usize),
    /// It leaves out events that are not told yet.
    Gap,
}

impl Place {
    /// A place in the log as it was just read.
    ///
    /// # Errors
    /// [`Error::CursorForeign`], [`Error::CursorAhead`] or [`Error::RevisionCompacted`] if the log has no such place.
    pub(super) fn begin(position: Position, reading: &Reading) -> Result<Self, Error> {
        let place = Self { position, known: reading.ended };
        place.require_history(reading)?;
        place.require_reached(reading)?;
        place.require_kept(reading)?;
        Ok(place)
    }

    pub(super) const fn position(&self) -> Position {
        self.position
    }

    /// Compares a reading, possibly an old one, with the place.
    ///
    /// # Errors
    /// [`Error::CursorForeign`] if it is of another history, [`Error::CursorAhead`] if it is newer than what is known and
    /// ends before it: the log was replaced, or has lost its end. [`Error::RevisionCompacted`] if what follows is deleted.
    pub(super) fn compare(&mut self, reading: &Reading) -> Result<Continuation, Error> {
        self.require_history(reading)?;
        if reading.begun > self.known {
            self.require_reached(reading)?;
        }
        self.require_kept(reading)?;
        self.known = self.known.max(reading.ended);
        let Revision(revision) = self.position.revision;
        let told = reading.events.partition_point(|event| event.revision.0 <= revision);
        let follows = match reading.events.get(told) {
            Some(event) => self.is_next(event),
            None => reading.head.position.revision.0 <= revision,
        };
        Ok(if follows { Continuation::After(told) } else { Continuation::Gap })
    }

    /// Moves on to the next event.
    ///
    /// # Errors
    /// If it is not the next.
    pub(super) fn advance(&mut self, event: &Event) -> Result<(), Error> {
        if !self.is_next(event) {
            return Err(Error::Internal("the revision log has a gap".into()));
        }
        self.position.revision = event.revision;
        Ok(())
    }

    fn require_history(&self, reading: &Reading) -> Result<(), Error> {
        if reading.head.position.history == self.position.history {
            Ok(())
        } else {
            Err(Error::CursorForeign)
        }
    }

    fn require_reached(&self, reading: &Reading) -> Result<(), Error> {
        if reading.head.position.revision >= self.position.revision {
            Ok(())
        } else {
            Err(Error::CursorAhead)
        }
    }

    fn require_kept(&self, reading: &Reading) -> Result<(), Error> {
        let Head { position: head, compacted } = reading.head;
        if compacted <= self.position.revision {
            return Ok(());
        }
        Err(Error::RevisionCompacted { compacted, head: head.revision })
    }

    fn is_next(&self, event: &Event) -> bool {
        event.revision.0 == self.position.revision.0 + 1 || seeded(Defect::LaggedIgnored)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use uuid::Uuid;

    use super::*;
    use crate::revocation::{Change, HistoryId, NewEvent, TokenChange};
    use crate::text::Initiator;
    use crate::token::{Generation, TokenId};
    use crate::workspace::WorkspaceId;

    fn at(history: u128, revision: i64) -> Position {
        Position { history: HistoryId(Uuid::from_u128(history)), revision: Revision(revision) }
    }

    fn event(revision: i64) -> Event {
        let change = Change::Token {
            what: TokenChange::Updated,
            workspace: WorkspaceId::parse("acme".to_owned()).unwrap(),
            token: TokenId::generate(),
            generation: Generation::FIRST,
        };
        let event = NewEvent { change, initiator: Initiator::parse("test".to_owned()).unwrap() };
        Event { revision: Revision(revision), time: SystemTime::UNIX_EPOCH, event, awaited: false }
    }

    /// A reading of the history 1 that begins at a second and takes half of one.
    fn reading(second: u64, head: i64, events: std::ops::RangeInclusive<i64>) -> Reading {
        let begun = BootTime::from_start(Duration::from_secs(second));
        let head = Head { position: at(1, head), compacted: Revision(0) };
        let ended = begun.after(Duration::from_millis(500));
        Reading { begun, ended, head, events: events.map(event).map(Into::into).collect(), confirmed: None }
    }

    /// Stands at revision 10, as read in second 5.
    fn place() -> Place {
        Place::begin(at(1, 10), &reading(5, 10, NOTHING)).unwrap()
    }

    #[expect(clippy::reversed_empty_ranges, reason = "a reading without events")]
    const NOTHING: std::ops::RangeInclusive<i64> = 1..=0;

    #[test]
    fn what_follows_is_new_and_what_is_told_is_not() {
        for (events, told) in [(11..=13, 0), (9..=13, 2), (10..=10, 1), (NOTHING, 0)] {
            let head = *events.end().max(&10);
            let found = place().compare(&reading(6, head, events.clone())).unwrap();
            assert_eq!(found, Continuation::After(told), "{events:?}");
        }
    }

    #[test]
    fn what_is_left_out_is_noticed_whether_or_not_events_are_told() {
        for (head, events) in [(13, 12..=13), (13, NOTHING), (13, 9..=10)] {
            let found = place().compare(&reading(6, head, events.clone())).unwrap();
            assert_eq!(found, Continuation::Gap, "{events:?}");
        }
    }

    #[test]
    fn a_place_that_the_log_does_not_have_is_refused() {
        let now = reading(5, 10, NOTHING);
        assert!(matches!(Place::begin(at(1, 11), &now), Err(Error::CursorAhead)));
        assert!(matches!(Place::begin(at(2, 10), &now), Err(Error::CursorForeign)));
        assert!(Place::begin(at(1, 0), &now).is_ok());
    }

    #[test]
    fn a_log_that_is_shorter_than_it_was_has_lost_its_end() {
        let shorter = reading(6, 9, NOTHING);
        assert!(matches!(place().compare(&shorter), Err(Error::CursorAhead)));
    }

    #[test]
    fn a_reading_from_before_may_be_shorter() {
        let older = reading(4, 9, NOTHING);
        assert_eq!(place().compare(&older).unwrap(), Continuation::After(0));
        // What is newer than the older one but not than the place is no proof either.
        let mut place = place();
        place.compare(&older).unwrap();
        assert_eq!(place.compare(&reading(5, 9, NOTHING)).unwrap(), Continuation::After(0));
        assert!(place.compare(&reading(6, 9, NOTHING)).is_err());
    }

    #[test]
    fn another_history_ends_it_whatever_it_holds() {
        let other =
            Reading { head: Head { position: at(2, 11), compacted: Revision(0) }, ..reading(6, 11, 11..=11) };
        assert!(matches!(place().compare(&other), Err(Error::CursorForeign)));
    }

    #[test]
    fn what_was_deleted_is_missed_only_by_those_who_were_not_told() {
        let compacted_to = |revision| Reading {
            head: Head { position: at(1, 20), compacted: Revision(revision) },
            ..reading(6, 20, NOTHING)
        };
        for (compacted, kept) in [(9, true), (10, true), (11, false)] {
            let reading = compacted_to(compacted);
            assert_eq!(Place::begin(at(1, 10), &reading).is_ok(), kept, "{compacted}");
            assert_eq!(place().compare(&reading).is_ok(), kept, "{compacted}");
        }
        let refused = place().compare(&compacted_to(15));
        let told = (Revision(15), Revision(20));
        assert!(
            matches!(refused, Err(Error::RevisionCompacted { compacted, head }) if (compacted, head) == told)
        );
    }

    #[test]
    fn only_the_next_event_moves_it() {
        let mut place = place();
        for wrong in [9, 10, 12] {
            assert!(matches!(place.advance(&event(wrong)), Err(Error::Internal(_))), "{wrong}");
        }
        place.advance(&event(11)).unwrap();
        assert_eq!(place.position(), at(1, 11));
    }
}
