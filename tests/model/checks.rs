//! What must hold, checked as answers are given.

use std::collections::HashMap;

use tokenkeep::lease::stretched;

use super::database::{Mutation, TOKENS};
use super::world::{LEASE, Time};

/// What a client asked, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) token: usize,
    pub(crate) generation: i32,
    pub(crate) invoked: Time,
}

/// What really happened, in true time.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    created: [Option<Time>; TOKENS],
    /// When each secret died, by the commit.
    died: HashMap<(usize, i32), Time>,
    /// When a fleet-confirmed end of a secret had returned.
    confirmed: HashMap<(usize, i32), Time>,
    pub(crate) violation: Option<String>,
    pub(crate) accepts: u64,
    pub(crate) denials: u64,
    pub(crate) refusals: u64,
    /// What was asked at the end and is not answered.
    pub(crate) open: u64,
}

impl Checks {
    /// A mutation was committed.
    pub(crate) fn committed(&mut self, token: usize, mutation: Mutation, generation: i32, now: Time) {
        match mutation {
            Mutation::Create => self.created[token] = Some(now),
            Mutation::Revoke => drop(self.died.insert((token, generation), now)),
            Mutation::Regenerate => drop(self.died.insert((token, generation - 1), now)),
            Mutation::Update => {}
        }
    }

    /// A wait for the fleet has returned, of a mutation after which a token has this generation; gives
    /// which it ended.
    pub(crate) fn returned(
        &mut self,
        token: usize,
        mutation: Mutation,
        generation: i32,
        now: Time,
    ) -> Option<i32> {
        let ended = match mutation {
            Mutation::Revoke => generation,
            Mutation::Regenerate => generation - 1,
            Mutation::Create | Mutation::Update => return None,
        };
        self.confirmed.entry((token, ended)).or_insert(now);
        Some(ended)
    }

    pub(crate) fn accepted(&mut self, asked: Asked) {
        self.accepts += 1;
        let Asked { token, generation, invoked } = asked;
        if self.confirmed.get(&(token, generation)).is_some_and(|returned| *returned < invoked) {
            self.violate("accepted after the fleet had confirmed its end", asked);
        }
        let bound = u64::try_from(stretched(LEASE).as_micros()).unwrap();
        if self.died.get(&(token, generation)).is_some_and(|died| died + bound < invoked) {
            self.violate("accepted more than a lease after its end", asked);
        }
    }

    pub(crate) fn denied(&mut self, asked: Asked) {
        self.denials += 1;
        let Asked { token, generation, invoked } = asked;
        let lived = self.created[token].is_some_and(|created| created < invoked);
        if lived && generation > 0 && !self.died.contains_key(&(token, generation)) {
            self.violate("called inactive though it lives", asked);
        }
    }

    pub(crate) fn violate(&mut self, what: &str, asked: Asked) {
        self.violation.get_or_insert_with(|| format!("{what}: {asked:?}"));
    }
}
