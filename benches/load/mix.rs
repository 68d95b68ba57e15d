//! Which call comes next: a choice at random, or each once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::call::Call;

/// Calls to make. Clones share the calls; each makes choices of its own, unless each call is to be made once.
#[derive(Debug, Clone)]
pub(crate) struct Mix {
    calls: Arc<[Call]>,
    order: Order,
}

#[derive(Debug, Clone)]
enum Order {
    Random(Random),
    Once(Arc<AtomicUsize>),
}

impl Mix {
    /// Any of them, as often as is asked.
    pub(crate) fn any(calls: Vec<Call>) -> Self {
        Self { calls: calls.into(), order: Order::Random(Random::new(1)) }
    }

    /// Each once, in order, over all connections.
    pub(crate) fn each(calls: Vec<Call>) -> Self {
        Self { calls: calls.into(), order: Order::Once(Arc::default()) }
    }

    /// The same for another connection.
    pub(crate) fn for_connection(&self, number: u64) -> Self {
        let order = match &self.order {
            Order::Random(_) => Order::Random(Random::new(number + 1)),
            Order::Once(next) => Order::Once(Arc::clone(next)),
        };
        Self { calls: Arc::clone(&self.calls), order }
    }

    /// The number of the next call; `None` when each was made.
    pub(crate) fn next(&mut self) -> Option<usize> {
        let number = match &mut self.order {
            Order::Random(random) => random.below(self.calls.len()),
            Order::Once(next) => next.fetch_add(1, Ordering::Relaxed),
        };
        (number < self.calls.len()).then_some(number)
    }

    pub(crate) fn call(&self, number: usize) -> Option<&Call> {
        self.calls.get(number)
    }
}

/// Numbers that look random (xorshift64*), the same in every run.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// From 0 up to below `end`.
    #[expect(clippy::cast_possible_truncation, reason = "what is left is below a length")]
    pub(crate) fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }

    /// Above 0, up to 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    pub(crate) fn share(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }
}
