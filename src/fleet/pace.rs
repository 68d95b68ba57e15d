//! When a server's row is written next: what is due, what was asked for, and how soon each may come.

use std::time::Duration;

use tokio::time::Instant;

/// How often the heart beats when nobody asks. A lease of a second survives the loss of two beats.
const INTERVAL: Duration = Duration::from_millis(250);

/// The shortest and the longest time that a beat which is asked for waits for since the last one began: in between, twice
/// as long as that one took, so that beats take up half of the heart's time at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(10));

/// How soon a beat that failed is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// The shortest time between two acknowledgements.
const ACKNOWLEDGE: Duration = Duration::from_millis(5);

/// What to write when.
#[derive(Debug)]
pub(super) struct Pace {
    due: Instant,
    earliest: Instant,
    /// A beat was asked for since the last one began.
    pub(super) asked: bool,
    earliest_acknowledgement: Instant,
    /// Somebody waits for an acknowledgement.
    pub(super) owed: bool,
}

impl Pace {
    /// Everything is due.
    pub(super) const fn new(now: Instant) -> Self {
        Self { due: now, earliest: now, asked: false, earliest_acknowledgement: now, owed: false }
    }

    /// When to beat.
    pub(super) const fn beat(&self) -> Instant {
        if self.asked { self.earliest } else { self.due }
    }

    /// When to acknowledge, if that is owed.
    pub(super) const fn acknowledgement(&self) -> Instant {
        self.earliest_acknowledgement
    }

    /// A beat begins. What is asked for from now on is asked of the next.
    pub(super) const fn begin_beat(&mut self) {
        self.asked = false;
    }

    /// A beat that began at a moment has ended after a time.
    pub(super) fn end_beat(&mut self, begun: Instant, took: Duration, confirmed: bool) {
        let (shortest, longest) = PAUSE;
        self.earliest = begun + if confirmed { (2 * took).clamp(shortest, longest) } else { RETRY };
        self.due = if confirmed { begun + INTERVAL } else { self.earliest };
    }

    /// There is nothing to acknowledge.
    pub(super) const fn owe_nothing(&mut self) {
        self.owed = false;
    }

    /// An acknowledgement begins.
    pub(super) fn begin_acknowledgement(&mut self, now: Instant) {
        (self.owed, self.earliest_acknowledgement) = (false, now + ACKNOWLEDGE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beat_comes_four_times_a_second_and_sooner_if_it_is_asked_for_or_failed() {
        let begun = Instant::now();
        let mut pace = Pace::new(begun);
        assert_eq!(pace.beat(), begun);
        pace.end_beat(begun, Duration::from_millis(3), true);
        assert_eq!(pace.beat() - begun, Duration::from_millis(250));
        pace.asked = true;
        assert_eq!(pace.beat() - begun, Duration::from_millis(6), "half of the time at most");
        pace.begin_beat();
        assert_eq!(pace.beat() - begun, Duration::from_millis(250));
        pace.end_beat(begun, Duration::ZERO, false);
        assert_eq!(pace.beat() - begun, Duration::from_millis(100));
        pace.asked = true;
        assert_eq!(pace.beat() - begun, Duration::from_millis(100), "nobody hurries a database that is away");
        for (took, pause) in [(0, 2), (1, 2), (7, 10), (900, 10)] {
            pace.end_beat(begun, Duration::from_millis(took), true);
            assert_eq!(pace.beat() - begun, Duration::from_millis(pause));
        }
    }

    #[test]
    fn what_is_written_is_followed_by_a_pause_and_what_is_only_looked_for_is_not() {
        let begun = Instant::now();
        let mut pace = Pace::new(begun);
        pace.owed = true;
        pace.owe_nothing();
        assert!(!pace.owed, "or it would be looked for again at once, and again");
        assert_eq!(pace.acknowledgement(), begun);
        pace.owed = true;
        pace.begin_acknowledgement(begun);
        assert!(!pace.owed);
        assert_eq!(pace.acknowledgement() - begun, Duration::from_millis(5));
    }
}
