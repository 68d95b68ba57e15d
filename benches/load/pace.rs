//! When the next call is due.

use std::time::{Duration, Instant};

use super::mix::Random;

/// How calls follow one another, on all connections together.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    /// Closed loop: each of so many streams a connection calls again as soon as it is answered. A server that stalls is asked
    /// less meanwhile, so times say little about it; the rate is what counts.
    Closed { streams: usize },
    /// Open loop: so many calls a second come at random moments, whether or not others are answered, as from many clients who
    /// know nothing of each other. Time counts from the moment at which a call was due, so that one which could not be sent in
    /// time, since the server had not answered others, counts with all its waiting: nothing is omitted.
    Open { a_second: f64 },
}

/// The moments of one connection.
pub(crate) struct Pace {
    random: Random,
    /// The mean time between two calls; none where an answer makes room for the next.
    interval: Option<f64>,
    /// The next moment; where an answer makes room, the first.
    due: Instant,
    end: Instant,
}

impl Pace {
    pub(crate) fn new(load: Load, connections: usize, number: u64, (begin, end): (Instant, Instant)) -> Self {
        let interval = match load {
            Load::Closed { .. } => None,
            #[expect(clippy::cast_precision_loss, reason = "there are few connections")]
            Load::Open { a_second } => Some(connections as f64 / a_second),
        };
        let mut pace = Self { random: Random::new(number + 0x5EED), interval, due: begin, end };
        pace.go_on();
        pace
    }

    /// The moment from which the next call counts, if it is due.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Instant> {
        if self.is_over(now) || now < self.due {
            return None;
        }
        let due = if self.interval.is_none() { now } else { self.due };
        self.go_on();
        Some(due)
    }

    /// When the next call is due of an open loop that has one more.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        (self.interval.is_some() && self.due < self.end).then_some(self.due)
    }

    /// Whether none is due any more. What fell due before the end in an open loop is owed, however late it gets: to drop it
    /// would omit those that waited longest.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        let next = if self.interval.is_none() { now } else { self.due };
        next >= self.end
    }

    /// The times between independent arrivals are distributed exponentially.
    fn go_on(&mut self) {
        if let Some(mean) = self.interval {
            self.due += Duration::from_secs_f64(-self.random.share().ln() * mean);
        }
    }
}
