//! The course of a run: what came of its calls, by when they were due.

use std::time::Duration;

use super::tally::{Done, Tally};

/// A count for each step of a run.
pub(crate) struct Course {
    step: Duration,
    tallies: Vec<Tally>,
}

impl Course {
    /// Steps that are so long, of which none has begun.
    pub(crate) fn new(step: Duration) -> Self {
        Self { step, tallies: Vec::new() }
    }

    /// Counts a call that was due so long after calls began to count.
    pub(crate) fn add(&mut self, at: Duration, done: Done) {
        let step = usize::try_from(at.as_nanos() / self.step.as_nanos()).unwrap_or_default();
        if self.tallies.len() <= step {
            self.tallies.resize_with(step + 1, Tally::default);
        }
        if let Some(tally) = self.tallies.get_mut(step) {
            tally.add(done);
        }
    }

    /// Step by step, each whole if the run was as long as a number of them.
    pub(crate) fn steps(&self) -> &[Tally] {
        &self.tallies
    }

    /// All steps together.
    pub(crate) fn whole(&self) -> Tally {
        let mut whole = Tally::default();
        self.tallies.iter().for_each(|tally| whole.merge(tally));
        whole
    }
}
