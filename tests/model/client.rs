//! Clients: they ask servers and sidecars about tokens, and change them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokenkeep::cache::{Cache, Flight, Learned};
use tokenkeep::clock::BootTime;
use tokenkeep::introspection::Record;
use tokenkeep::profile::TokenType;
use tokenkeep::revocation::{Change, Event, HistoryId, NewEvent, Position, TokenChange};
use tokenkeep::text::{Initiator, Name};
use tokenkeep::token::{Generation, PresentedText, Revision, TokenId};
use tokenkeep::workspace::WorkspaceId;
use uuid::Uuid;

use super::checks::Asked;
use super::database::{Mutation, Row};
use super::defects::Defect;
use super::world::{MILLISECOND, Whom, World};

/// An answer, and for an accept what it is from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Verdict {
    Active { revision: i64, source: HistoryId },
    Inactive,
    Unavailable,
}

pub(crate) type Reply = Box<dyn FnOnce(&mut World, Verdict)>;

pub(crate) fn id(token: usize) -> TokenId {
    TokenId::from_uuid(Uuid::from_u128(token as u128))
}

pub(crate) fn event(token: usize, revision: i64) -> Event {
    let change = Change::Token {
        what: TokenChange::Updated,
        workspace: WorkspaceId::parse("acme".to_owned()).unwrap(),
        token: id(token),
        generation: Generation::FIRST,
    };
    let event = NewEvent { change, initiator: Initiator::parse("somebody".to_owned()).unwrap() };
    Event { revision: Revision(revision), time: SystemTime::UNIX_EPOCH, event, awaited: false }
}

pub(crate) fn learned(cache: &Cache, id: TokenId, generation: i32, revision: i64) -> Learned {
    let record = Record {
        id,
        workspace: WorkspaceId::parse("acme".to_owned()).unwrap().into(),
        name: Name::parse("ci".to_owned()).unwrap(),
        principal: None,
        username: None,
        token_type: TokenType::Custom,
        scopes: Arc::default(),
        external_id: None,
        profile: None,
        extras: Arc::default(),
        expire_time: None,
        create_time: SystemTime::UNIX_EPOCH.into(),
        generation: Generation(generation),
        revision: Revision(revision),
    };
    let proof = cache.prover().proof(PresentedText::new("a secret that nobody asks about"));
    Learned { record: Arc::new(record), proof, deadline: None }
}

impl World {
    /// Asks a server or sidecar, and judges the answer.
    pub(crate) fn ask(&mut self, whom: Whom, token: usize) {
        if self.known[token] == 0 {
            return;
        }
        let generation =
            1 + i32::try_from(self.choices.index(usize::try_from(self.known[token]).unwrap())).unwrap();
        self.ask_about(whom, token, generation);
    }

    fn ask_about(&mut self, whom: Whom, token: usize, generation: i32) {
        let asked = Asked { token, generation, invoked: self.now };
        let reply: Reply = Box::new(move |world, verdict| {
            world.tell(|| format!("{whom:?} answers {asked:?} with {verdict:?}"));
            match verdict {
                Verdict::Active { .. } => world.checks.accepted(asked),
                Verdict::Inactive => world.checks.denied(asked),
                Verdict::Unavailable => world.checks.refusals += 1,
            }
        });
        self.put(whom, asked, reply);
    }

    /// Asks everybody about a secret that has just died.
    fn ask_around(&mut self, token: usize, generation: i32) {
        for place in 0..self.everybody().len() {
            let wait = 1 + self.choices.pick(30 * MILLISECOND);
            self.after(wait, Whom::Nature, move |world| {
                world.ask_about(world.everybody()[place], token, generation);
            });
        }
    }

    /// Has a question arrive.
    pub(crate) fn put(&mut self, whom: Whom, asked: Asked, reply: Reply) {
        let wait = self.delay();
        self.after(wait, whom, move |world| match whom {
            Whom::Server(index, _) => world.ask_server(index, asked, reply),
            Whom::Sidecar(index, _) => world.ask_sidecar(index, asked, reply),
            Whom::Nature => {}
        });
    }

    /// When the request arrives, by the clock of whoever answers it.
    fn arrival(&self, clock: BootTime) -> BootTime {
        let early = clock.since_start().saturating_sub(Duration::from_secs(1));
        if self.has(Defect::LeaseCheckedBeforeArrival) { BootTime::from_start(early) } else { clock }
    }

    fn ask_server(&mut self, index: usize, asked: Asked, reply: Reply) {
        let (now, whom) = (self.arrival(self.server_clock(index)), self.server(index));
        self.soon(whom, move |world| {
            let cache = Arc::clone(&world.servers[index].cache);
            match cache.look_up_by_id(id(asked.token), Generation(asked.generation), now) {
                Some(known) => {
                    let (revision, source) = (known.record.revision.0, known.applied.history);
                    reply(world, Verdict::Active { revision, source });
                }
                None => world.ask_database(index, asked, reply),
            }
        });
    }

    fn ask_database(&mut self, index: usize, asked: Asked, reply: Reply) {
        let flight = self.servers[index].cache.begin(id(asked.token));
        let connections = self.servers[index].connections;
        let whom = self.server(index);
        self.send(whom, Whom::Nature, move |world| {
            let node = &world.database.nodes[connections.pool];
            let (row, source) = (node.tokens[asked.token], node.history());
            world.send(whom, whom, move |world| {
                if world.servers[index].connections.made == connections.made {
                    world.judge(index, asked, (row, source), flight, reply);
                }
            });
        });
    }

    /// Answers from a row: only by a lease, and only if it was read in the history that is followed.
    fn judge(&mut self, index: usize, asked: Asked, found: (Row, HistoryId), flight: Flight, reply: Reply) {
        let (row, source) = found;
        let live = row.exists && !row.revoked && row.generation == asked.generation;
        if live {
            self.land(&Arc::clone(&self.servers[index].cache), flight, asked, row.revision, source);
            let verdict = Verdict::Active { revision: row.revision, source };
            if self.has(Defect::ColdWithoutLease) {
                return reply(self, verdict);
            }
            return self.stand(index, source, verdict, reply, true);
        }
        drop(flight);
        let trusted =
            self.has(Defect::InactiveWithoutBeat) || (row.revoked && self.has(Defect::RevokedWithoutBeat));
        if trusted {
            return self.stand(index, source, Verdict::Inactive, reply, true);
        }
        // A revocation that is confirmed is for ever, so that any heartbeat will do.
        let found = Position { history: source, revision: Revision(row.revision) };
        self.confirm(
            index,
            Some(found).filter(|_| row.revoked),
            Box::new(move |world, beat| match beat {
                Some(beat) if beat.head.history == source => {
                    world.stand(index, source, Verdict::Inactive, reply, false);
                }
                Some(_) => {
                    world.connect_pool(index);
                    reply(world, Verdict::Unavailable);
                }
                None => reply(world, Verdict::Unavailable),
            }),
        );
    }

    fn stand(&mut self, index: usize, source: HistoryId, verdict: Verdict, reply: Reply, again: bool) {
        let standing = self.servers[index].cache.standing(self.server_clock(index));
        let any = self.has(Defect::RowOfAnyHistory);
        match standing {
            Some(standing) if standing.history == source || any => reply(self, verdict),
            Some(_) => {
                self.connect_pool(index);
                reply(self, Verdict::Unavailable);
            }
            None if again => self.confirm(
                index,
                None,
                Box::new(move |world, _| world.stand(index, source, verdict, reply, false)),
            ),
            None => reply(self, Verdict::Unavailable),
        }
    }

    /// A connection that leads to another history than is followed is no good.
    fn connect_pool(&mut self, index: usize) {
        let (pool, other) = (self.node(), self.node());
        let connections = &mut self.servers[index].connections;
        (connections.pool, connections.other) = (pool, other);
        connections.made += 1;
    }

    fn land(&mut self, cache: &Arc<Cache>, flight: Flight, asked: Asked, revision: i64, source: HistoryId) {
        let flight = if self.has(Defect::NoFence) { cache.begin(id(asked.token)) } else { flight };
        let landed = flight.land(learned(cache, id(asked.token), asked.generation, revision), source);
        self.tell(|| {
            format!("{asked:?} of {revision} {}", if landed { "is remembered" } else { "is refused" })
        });
    }

    fn ask_sidecar(&mut self, index: usize, asked: Asked, reply: Reply) {
        let (now, whom) = (self.arrival(self.sidecar_clock(index)), self.sidecar(index));
        self.soon(whom, move |world| {
            let cache = Arc::clone(&world.sidecars[index].cache);
            match cache.look_up_by_id(id(asked.token), Generation(asked.generation), now) {
                Some(known) => {
                    let (revision, source) = (known.record.revision.0, known.applied.history);
                    reply(world, Verdict::Active { revision, source });
                }
                None => world.ask_upstream(index, asked, reply),
            }
        });
    }

    fn ask_upstream(&mut self, index: usize, asked: Asked, reply: Reply) {
        let Some((server, _)) = self.sidecars[index].upstream else {
            return reply(self, Verdict::Unavailable);
        };
        let cache = Arc::clone(&self.sidecars[index].cache);
        let flight = cache.begin(id(asked.token));
        self.tell(|| format!("sidecar {index} asks upstream for {asked:?} from {:?}", flight.applied()));
        let minimum = flight.applied().filter(|_| !self.has(Defect::FillWithoutMinimum));
        let (whom, to) = (self.sidecar(index), self.server(server));
        let back: Reply = Box::new(move |world, verdict| {
            world.send(whom, whom, move |world| {
                if let Verdict::Active { revision, source } = verdict {
                    world.land(&cache, flight, asked, revision, source);
                }
                reply(world, verdict);
            });
        });
        self.send(whom, to, move |world| world.resolve(server, minimum, asked, back, 10));
    }

    /// Answers a sidecar, once as much is applied as it has applied.
    fn resolve(&mut self, index: usize, minimum: Option<Position>, asked: Asked, reply: Reply, tries: u8) {
        let applied = self.servers[index].cache.applied();
        let ready = minimum.is_none_or(|minimum| applied.is_some_and(|applied| applied.reaches(minimum)));
        let foreign = minimum.map(|minimum| minimum.history) != applied.map(|applied| applied.history);
        if ready {
            return self.ask_server(index, asked, reply);
        }
        if foreign || tries == 0 {
            return reply(self, Verdict::Unavailable);
        }
        let whom = self.server(index);
        self.after(20 * MILLISECOND, whom, move |world| {
            world.resolve(index, minimum, asked, reply, tries - 1);
        });
    }

    /// Changes a token through a server, waiting for the fleet or not.
    pub(crate) fn mutate(&mut self, index: usize, token: usize, mutation: Mutation, fleet: bool) {
        let (whom, node) = (self.server(index), self.servers[index].connections.pool);
        let members = self.database.nodes[node].members.keys();
        let before = members.copied().collect();
        let early = self.has(Defect::FleetReadBeforeCommit);
        let wait = if early { self.choices.pick(300) * MILLISECOND } else { MILLISECOND };
        self.after(wait, whom, move |world| {
            world.send(whom, Whom::Nature, move |world| {
                let renews = !world.has(Defect::CommitWithoutRenewal);
                let done = world.database.commit(node, |node| node.mutate(token, mutation, renews)).flatten();
                let Some(position) = done else { return };
                let generation = world.database.nodes[node].tokens[token].generation;
                world.tell(|| {
                    format!("{mutation:?} of {token}, generation {generation}, is committed as {position:?}")
                });
                world.checks.committed(token, mutation, generation, world.now);
                let answer = (mutation, generation, position);
                world.send(whom, whom, move |world| world.changed(index, token, answer, fleet, before));
            });
        });
    }

    fn changed(
        &mut self,
        index: usize,
        token: usize,
        answer: (Mutation, i32, Position),
        fleet: bool,
        before: Vec<u64>,
    ) {
        let (mutation, generation, position) = answer;
        self.known[token] = self.known[token].max(generation);
        if position.revision > Revision::ZERO {
            self.servers[index].cache.overtake(&event(token, position.revision.0));
        }
        if !fleet {
            return;
        }
        self.everywhere(
            index,
            position,
            before,
            Box::new(move |world| {
                world.tell(|| format!("the fleet has {position:?}"));
                if let Some(ended) = world.checks.returned(token, mutation, generation, world.now) {
                    world.ask_around(token, ended);
                }
            }),
        );
    }
}
