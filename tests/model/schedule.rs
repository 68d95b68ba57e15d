//! A schedule: who there is, what is asked and changed, what fails, and at the end that everybody agrees.

use tokenkeep::proof::Prover;

use super::checks::{Asked, Checks};
use super::client::{Reply, Verdict};
use super::database::{Mutation, TOKENS};
use super::defects::Defect;
use super::world::{MILLISECOND, Time, Whom, World};

const STORM: Time = 5000 * MILLISECOND;
const CALM: Time = 4500 * MILLISECOND;

const AGAIN: Time = 1000 * MILLISECOND;

/// What may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    ServerCrashes(usize),
    ServerPauses(usize),
    ServerIsCut(usize),
    ServerDrains(usize),
    SidecarCrashes(usize),
    SidecarPauses(usize),
    SidecarIsCut(usize),
    /// It reads the log late, though it can be reached.
    ServerIsSlow(usize),
    SidecarIsSlow(usize),
    SidecarMoves(usize),
    StandbyIsPromoted,
}

/// Runs the schedule of a seed.
pub(crate) fn run(seed: u64, defect: Option<Defect>, prover: &Prover, told: bool) -> Checks {
    let mut world = World::new(seed, defect, prover.clone());
    world.told = told;
    let (servers, sidecars) = (2 + world.choices.index(2), 1 + world.choices.index(3));
    world.people(servers, sidecars);
    world.plan_questions();
    world.plan_changes();
    world.plan_faults();
    world.run_until(STORM);
    world.finish()
}

/// Everything that can happen to two servers and a sidecar, and nothing.
pub(crate) fn faults() -> Vec<Option<Fault>> {
    let servers = [
        Fault::ServerCrashes,
        Fault::ServerPauses,
        Fault::ServerIsCut,
        Fault::ServerIsSlow,
        Fault::ServerDrains,
    ];
    let sidecars = [
        Fault::SidecarCrashes,
        Fault::SidecarPauses,
        Fault::SidecarIsCut,
        Fault::SidecarIsSlow,
        Fault::SidecarMoves,
    ];
    let servers = servers.into_iter().flat_map(|fault| [fault(0), fault(1)]);
    let single = sidecars.map(|fault| fault(0)).into_iter().chain([Fault::StandbyIsPromoted]);
    servers.chain(single).map(Some).chain([None]).collect()
}

/// Runs a schedule of two servers and a sidecar with these faults, one after another, and a change around each.
pub(crate) fn run_with(faults: &[Option<Fault>], prover: &Prover) -> Checks {
    let mut world = World::new(1, None, prover.clone());
    world.people(2, 1);
    world.plan_questions();
    for (place, fault) in (1..).zip(faults.iter().copied()) {
        let at = place * 600 * MILLISECOND;
        world.after(at, Whom::Nature, move |world| {
            if let Some(fault) = fault {
                world.fail(fault, 900 * MILLISECOND);
            }
        });
        for wait in [50, 350] {
            world.after(at + wait * MILLISECOND, Whom::Nature, |world| world.change(0, Mutation::Regenerate));
        }
    }
    world.run_until(STORM);
    world.finish()
}

impl World {
    pub(crate) fn people(&mut self, servers: usize, sidecars: usize) {
        (0..servers).for_each(|index| self.start_server(index));
        (0..sidecars).for_each(|index| self.start_sidecar(index));
        for token in 0..TOKENS {
            let at = if token == 0 { 100 } else { 100 + self.choices.pick(4000) };
            self.after(at * MILLISECOND, Whom::Nature, move |world| world.change(token, Mutation::Create));
        }
    }

    /// Somebody who is up.
    fn anybody(&mut self) -> Whom {
        let index = self.choices.index(self.servers.len() + self.sidecars.len());
        match index.checked_sub(self.servers.len()) {
            Some(sidecar) => self.sidecar(sidecar),
            None => self.server(index),
        }
    }

    fn plan_questions(&mut self) {
        for _ in 0..40 {
            let at = self.choices.pick(STORM);
            self.after(at, Whom::Nature, |world| {
                let (whom, token) = (world.anybody(), world.choices.index(TOKENS));
                world.ask(whom, token);
            });
        }
    }

    fn plan_changes(&mut self) {
        for _ in 0..6 {
            let at = 300 * MILLISECOND + self.choices.pick(STORM - 300 * MILLISECOND);
            self.after(at, Whom::Nature, Self::change_something);
        }
    }

    fn change_something(&mut self) {
        let token = self.choices.index(TOKENS);
        let mutation = match self.choices.pick(8) {
            0 => Mutation::Revoke,
            1 | 2 => Mutation::Update,
            _ => Mutation::Regenerate,
        };
        self.change(token, mutation);
    }

    /// Has a token changed that everybody was just asked about.
    fn change(&mut self, token: usize, mutation: Mutation) {
        let (server, fleet) = (self.choices.index(self.servers.len()), !self.choices.once_in(4));
        for place in 0..self.everybody().len() {
            let wait = self.choices.pick(60) * MILLISECOND;
            self.after(wait, Whom::Nature, move |world| world.ask(world.everybody()[place], token));
        }
        let wait = self.choices.pick(60) * MILLISECOND;
        self.after(wait, Whom::Nature, move |world| world.mutate(server, token, mutation, fleet));
    }

    fn plan_faults(&mut self) {
        for _ in 0..self.choices.pick(9) {
            let at = self.choices.pick(STORM);
            self.after(at, Whom::Nature, |world| {
                let fault = world.any_fault();
                let time = world.choices.pick(2500) * MILLISECOND;
                // What goes wrong goes wrong around a fault, or around its end.
                for begin in [0, time] {
                    let wait = begin + world.choices.pick(300) * MILLISECOND;
                    world.after(wait, Whom::Nature, |world| {
                        if !world.calm {
                            world.change_something();
                        }
                    });
                }
                world.fail(fault, time);
            });
        }
    }

    fn any_fault(&mut self) -> Fault {
        let (server, sidecar) =
            (self.choices.index(self.servers.len()), self.choices.index(self.sidecars.len()));
        match self.choices.pick(15) {
            0 => Fault::ServerCrashes(server),
            1 | 2 => Fault::ServerPauses(server),
            3 => Fault::ServerIsCut(server),
            4 => Fault::ServerDrains(server),
            5 => Fault::SidecarCrashes(sidecar),
            6 => Fault::SidecarPauses(sidecar),
            7 => Fault::SidecarIsCut(sidecar),
            8 => Fault::SidecarMoves(sidecar),
            9 | 10 => Fault::SidecarIsSlow(sidecar),
            11 | 12 => Fault::ServerIsSlow(server),
            _ => Fault::StandbyIsPromoted,
        }
    }

    /// Has something fail for a time.
    pub(crate) fn fail(&mut self, fault: Fault, time: Time) {
        self.tell(|| format!("{fault:?} for {} ms", time / MILLISECOND));
        let until = self.now + time;
        match fault {
            Fault::ServerCrashes(index) => {
                self.stop_server(index);
                self.after(time, Whom::Nature, move |world| world.raise_server(index));
            }
            Fault::ServerDrains(index) => {
                self.drain(index);
                self.after(time, Whom::Nature, move |world| world.raise_server(index));
            }
            Fault::SidecarCrashes(index) => {
                self.sidecars[index].process.up = false;
                self.after(time, Whom::Nature, move |world| world.raise_sidecar(index));
            }
            Fault::ServerPauses(index) => self.servers[index].process.pause(until),
            Fault::ServerIsCut(index) => self.servers[index].process.cut_until = until,
            Fault::SidecarPauses(index) => self.sidecars[index].process.pause(until),
            Fault::SidecarIsCut(index) => self.sidecars[index].process.cut_until = until,
            Fault::ServerIsSlow(index) => self.servers[index].process.slow_until = until,
            Fault::SidecarIsSlow(index) => self.sidecars[index].process.slow_until = until,
            Fault::SidecarMoves(index) => {
                let whom = self.sidecar(index);
                self.after(0, whom, move |world| world.connect(index));
                let token = self.choices.index(TOKENS);
                self.ask(whom, token);
            }
            Fault::StandbyIsPromoted => self.promote(),
        }
    }

    /// Some connections are lost with it and made anew; the others go on leading to the old primary.
    fn promote(&mut self) {
        self.database.promote();
        let primary = self.database.primary();
        for index in 0..self.servers.len() {
            let moved = [0; 4].map(|_| self.choices.once_in(2));
            let connections = &mut self.servers[index].connections;
            for (connection, moved) in connections.all().into_iter().zip(moved) {
                *connection = if moved { primary } else { *connection };
            }
        }
    }

    fn raise_server(&mut self, index: usize) {
        if !self.servers[index].process.up {
            self.start_server(index);
        }
    }

    fn raise_sidecar(&mut self, index: usize) {
        if !self.sidecars[index].process.up {
            self.start_sidecar(index);
        }
    }

    /// Heals everything but pauses, which end by themselves, and has everybody asked about everything once it had time to.
    pub(crate) fn finish(mut self) -> Checks {
        self.calm = true;
        for index in 0..self.servers.len() {
            self.raise_server(index);
            self.servers[index].process.cut_until = 0;
        }
        for index in 0..self.sidecars.len() {
            self.raise_sidecar(index);
            self.sidecars[index].process.cut_until = 0;
        }
        self.run_until(STORM + CALM);
        // A connection that nobody has used since is found to be no good by the first who does.
        self.ask_everybody(Self::ask);
        self.run_until(STORM + CALM + AGAIN);
        self.ask_everybody(Self::settle);
        self.run_until(STORM + CALM + 2 * AGAIN);
        if self.checks.open > 0 && self.checks.violation.is_none() {
            self.checks.violation = Some("not everybody answers".to_owned());
        }
        self.checks
    }

    pub(crate) fn everybody(&self) -> Vec<Whom> {
        let servers = (0..self.servers.len()).map(|index| self.server(index));
        servers.chain((0..self.sidecars.len()).map(|index| self.sidecar(index))).collect()
    }

    fn ask_everybody(&mut self, ask: fn(&mut Self, Whom, usize)) {
        for whom in self.everybody() {
            for token in (0..TOKENS).filter(|token| self.known[*token] > 0).collect::<Vec<_>>() {
                ask(self, whom, token);
            }
        }
    }

    /// By now everybody knows what is true, and says so.
    fn settle(&mut self, whom: Whom, token: usize) {
        let row = self.database.nodes[self.database.primary()].tokens[token];
        let asked = Asked { token, generation: self.known[token], invoked: self.now };
        let lives = !row.revoked && row.generation == asked.generation;
        self.checks.open += 1;
        let reply: Reply = Box::new(move |world, verdict| {
            world.checks.open -= 1;
            match verdict {
                Verdict::Active { .. } if lives => {}
                Verdict::Inactive if !lives => {}
                Verdict::Active { .. } | Verdict::Inactive | Verdict::Unavailable => {
                    world.checks.violate(&format!("{whom:?} has not converged: {verdict:?}"), asked);
                }
            }
        });
        self.put(whom, asked, reply);
    }
}
