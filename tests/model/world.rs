//! The world of a schedule: true time, processes with clocks of their own, a network that delays, loses and is cut.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use tokenkeep::clock::BootTime;
use tokenkeep::proof::Prover;

use super::checks::Checks;
use super::choices::Choices;
use super::database::{Database, TOKENS};
use super::defects::Defect;
use super::server::Server;
use super::sidecar::Sidecar;

/// Microseconds of true time.
pub(crate) type Time = u64;

pub(crate) const MILLISECOND: Time = 1000;

/// How long a lease lasts on the clock of whoever holds it.
pub(crate) const LEASE: Duration = Duration::from_secs(1);

/// The most that a clock is ahead or behind in rate, in millionths: two of them differ by less than a hundredth.
const DRIFT: u64 = 4950;

/// What happens to whom. What is under way to a process that is gone is lost; a paused one finds it later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whom {
    Nature,
    Server(usize, u64),
    Sidecar(usize, u64),
}

pub(crate) type Step = Box<dyn FnOnce(&mut World)>;

struct Planned {
    at: Time,
    number: u64,
    whom: Whom,
    step: Step,
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Planned {}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Planned {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// A process, as far as nature deals with it.
#[derive(Debug)]
pub(crate) struct Process {
    /// Tells one life from the next.
    pub(crate) life: u64,
    pub(crate) up: bool,
    paused_until: Time,
    /// Nothing comes through between it and what it depends on.
    pub(crate) cut_until: Time,
    /// What it follows comes late.
    pub(crate) slow_until: Time,
    offset: u64,
    /// In millionths.
    rate: u64,
}

impl Process {
    pub(crate) fn new(choices: &mut Choices) -> Self {
        let (offset, rate) = (choices.pick(1_000_000_000), 1_000_000 - DRIFT + choices.pick(2 * DRIFT + 1));
        Self { life: 0, up: false, paused_until: 0, cut_until: 0, slow_until: 0, offset, rate }
    }

    pub(crate) fn clock(&self, now: Time) -> BootTime {
        BootTime::from_start(Duration::from_micros(self.offset + now * self.rate / 1_000_000))
    }

    /// Pauses it, never shorter than it is: what waits must come in its order.
    pub(crate) fn pause(&mut self, until: Time) {
        self.paused_until = self.paused_until.max(until);
    }

    fn life_if_up(&self) -> Option<u64> {
        self.up.then_some(self.life)
    }
}

pub(crate) struct World {
    pub(crate) now: Time,
    /// Counts steps: the order of things at one moment.
    pub(crate) number: u64,
    plan: BinaryHeap<Reverse<Planned>>,
    pub(crate) choices: Choices,
    pub(crate) defect: Option<Defect>,
    pub(crate) database: Database,
    pub(crate) servers: Vec<Server>,
    pub(crate) sidecars: Vec<Sidecar>,
    pub(crate) checks: Checks,
    /// Which generation of each token clients know the secret of.
    pub(crate) known: [i32; TOKENS],
    pub(crate) prover: Prover,
    /// Faults are over.
    pub(crate) calm: bool,
    pub(crate) told: bool,
}

impl World {
    pub(crate) fn new(seed: u64, defect: Option<Defect>, prover: Prover) -> Self {
        Self {
            now: 0,
            number: 0,
            plan: BinaryHeap::new(),
            choices: Choices::seeded(seed),
            defect,
            database: Database::new(),
            servers: Vec::new(),
            sidecars: Vec::new(),
            checks: Checks::default(),
            known: [0; TOKENS],
            prover,
            calm: false,
            told: false,
        }
    }

    pub(crate) fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    /// Tells what happens, when one schedule is run to be read.
    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        if self.told {
            println!("{:>9.3} ms  {}", f64::from(u32::try_from(self.now).unwrap()) / 1000.0, what());
        }
    }

    /// Plans a step.
    pub(crate) fn after(&mut self, wait: Time, whom: Whom, step: impl FnOnce(&mut Self) + 'static) {
        self.number += 1;
        let (at, number) = (self.now + wait, self.number);
        self.plan.push(Reverse(Planned { at, number, whom, step: Box::new(step) }));
    }

    /// Lets everything happen until a time, or a violation.
    pub(crate) fn run_until(&mut self, end: Time) {
        while self.checks.violation.is_none() && self.plan.peek().is_some_and(|next| next.0.at <= end) {
            let Some(Reverse(next)) = self.plan.pop() else { return };
            self.now = next.at;
            self.number += 1;
            match self.pause_of(next.whom) {
                Some(until) if until > self.now => {
                    let number = self.number;
                    self.plan.push(Reverse(Planned { at: until, number, ..next }));
                }
                Some(_) => (next.step)(self),
                None => {}
            }
        }
        self.now = self.now.max(end);
    }

    /// Until when somebody is paused; `None` if it is gone.
    fn pause_of(&self, whom: Whom) -> Option<Time> {
        if whom == Whom::Nature {
            return Some(0);
        }
        let (process, life) = self.process(whom);
        (process.life_if_up() == Some(life)).then_some(process.paused_until)
    }

    pub(crate) fn process(&self, whom: Whom) -> (&Process, u64) {
        match whom {
            Whom::Server(index, life) => (&self.servers[index].process, life),
            Whom::Sidecar(index, life) => (&self.sidecars[index].process, life),
            Whom::Nature => unreachable!("nature has no process"),
        }
    }

    pub(crate) fn server(&self, index: usize) -> Whom {
        Whom::Server(index, self.servers[index].process.life)
    }

    pub(crate) fn sidecar(&self, index: usize) -> Whom {
        Whom::Sidecar(index, self.sidecars[index].process.life)
    }

    pub(crate) fn server_clock(&self, index: usize) -> BootTime {
        self.servers[index].process.clock(self.now)
    }

    pub(crate) fn sidecar_clock(&self, index: usize) -> BootTime {
        self.sidecars[index].process.clock(self.now)
    }

    /// Plans what a process does next by itself: at once, unless something comes between.
    pub(crate) fn soon(&mut self, whom: Whom, step: impl FnOnce(&mut Self) + 'static) {
        let wait = match self.choices.pick(24) {
            0 if !self.calm => self.choices.pick(600) * MILLISECOND,
            1..4 => self.choices.pick(30) * MILLISECOND,
            _ => 0,
        };
        self.after(wait, whom, step);
    }

    /// Sends something over a link that `over` is at one end of.
    pub(crate) fn send(&mut self, over: Whom, to: Whom, step: impl FnOnce(&mut Self) + 'static) {
        let cut = self.process(over).0.cut_until > self.now;
        let lost = !self.calm && (cut || self.choices.once_in(50));
        let wait = self.delay();
        if !lost {
            self.after(wait, to, step);
        }
    }

    /// Most messages take no time to speak of, some take long.
    pub(crate) fn delay(&mut self) -> Time {
        match self.choices.pick(40) {
            0 if !self.calm => self.choices.pick(2000) * MILLISECOND,
            1..4 if !self.calm => self.choices.pick(200) * MILLISECOND,
            _ => 200 + self.choices.pick(3000),
        }
    }
}
