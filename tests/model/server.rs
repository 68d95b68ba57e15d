//! A server: it registers, commits heartbeats, tails the log, and answers. Cache and grants are the real ones.

use std::collections::HashMap;
use std::sync::Arc;

use tokenkeep::cache::Cache;
use tokenkeep::clock::BootTime;
use tokenkeep::lease::{Grants, Offer};
use tokenkeep::revocation::Position;

use super::database::{Answer, Member};
use super::defects::Defect;
use super::sidecar::Frame;
use super::world::{LEASE, MILLISECOND, Process, Whom, World};

const BEAT: u64 = 100 * MILLISECOND;
const POLL: u64 = 60 * MILLISECOND;
/// How long a server waits for the database before it connects anew.
const PATIENCE: u64 = 300 * MILLISECOND;

/// A committed heartbeat.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beat {
    pub(crate) head: Position,
}

pub(crate) type Told = Box<dyn FnOnce(&mut World, Option<Beat>)>;

/// Somebody waits for a heartbeat that begins after an event of this number, or for one that confirms a place.
struct Waiting {
    after: u64,
    place: Option<Position>,
    told: Told,
}

impl Waiting {
    fn is_served_by(&self, attempt: u64, head: Position) -> bool {
        self.after < attempt || self.place.is_some_and(|place| head.reaches(place))
    }
}

/// Which node each connection leads to. Each is made, and made anew, by itself.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Connections {
    pub(crate) beat: usize,
    pub(crate) tail: usize,
    /// Of requests; counted, since what comes over an older one is not believed.
    pub(crate) pool: usize,
    pub(crate) made: u64,
    /// Another of requests: for what is asked about the fleet.
    pub(crate) other: usize,
}

impl Connections {
    pub(crate) fn all(&mut self) -> [&mut usize; 4] {
        [&mut self.beat, &mut self.tail, &mut self.pool, &mut self.other]
    }
}

/// A sidecar that follows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watcher {
    pub(crate) sidecar: Whom,
    pub(crate) stream: u64,
    /// Nothing arrives before what was sent before.
    pub(crate) clear: u64,
}

pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) cache: Arc<Cache>,
    pub(crate) grants: Grants,
    pub(crate) connections: Connections,
    /// The heartbeat that is under way.
    beating: Option<u64>,
    tailing: Option<u64>,
    /// Up to where the log was read, applied or not.
    read: Option<Position>,
    /// Where following began, and what was applied since.
    pub(crate) from: Option<Position>,
    pub(crate) applied: Vec<(usize, i64)>,
    pub(crate) watchers: Vec<Watcher>,
    /// Who waits for a heartbeat that begins after something.
    waiting: Vec<Waiting>,
    pub(crate) last_beat: Option<Beat>,
    /// What was seen of other rows, and when.
    pub(crate) observed: HashMap<u64, (u64, BootTime)>,
}

impl World {
    pub(crate) fn new_server(&mut self) -> Server {
        Server {
            process: Process::new(&mut self.choices),
            cache: self.new_cache(),
            grants: Grants::new(100),
            connections: Connections::default(),
            beating: None,
            tailing: None,
            read: None,
            from: None,
            applied: Vec::new(),
            watchers: Vec::new(),
            waiting: Vec::new(),
            last_beat: None,
            observed: HashMap::new(),
        }
    }

    pub(crate) fn new_cache(&self) -> Arc<Cache> {
        Arc::new(Cache::new(16, self.prover.clone()))
    }

    /// A new life, with an empty cache.
    pub(crate) fn start_server(&mut self, index: usize) {
        let mut server = self.new_server();
        server.process.life = self.number;
        server.process.up = true;
        server.process.cut_until = self.servers.get(index).map_or(0, |old| old.process.cut_until);
        if index < self.servers.len() {
            self.servers[index] = server;
        } else {
            self.servers.push(server);
        }
        let (beat, tail, pool, other) = (self.node(), self.node(), self.node(), self.node());
        let connections = Connections { beat, tail, pool, other, ..Connections::default() };
        self.servers[index].connections = connections;
        let whom = self.server(index);
        self.tell(|| format!("server {index} starts as {whom:?}"));
        self.soon(whom, move |world| world.register(index));
        self.after(0, whom, move |world| world.beat_in_time(index));
        self.after(POLL, whom, move |world| world.poll(index));
        self.after(BEAT * 3, whom, move |world| world.watch_rows(index));
    }

    /// A node that a new connection may lead to.
    pub(crate) fn node(&mut self) -> usize {
        let old = !self.calm && self.choices.once_in(4);
        if old { self.choices.index(self.database.nodes.len()) } else { self.database.primary() }
    }

    fn register(&mut self, index: usize) {
        let (whom, node) = (self.server(index), self.servers[index].connections.beat);
        let id = self.servers[index].process.life;
        self.send(whom, Whom::Nature, move |world| {
            let member = Member { beat: 0, acknowledged: None };
            world.database.commit(node, |node| node.members.entry(id).or_insert(member).beat);
        });
    }

    fn beat_in_time(&mut self, index: usize) {
        self.beat(index);
        let whom = self.server(index);
        self.after(BEAT, whom, move |world| world.beat_in_time(index));
    }

    /// Waits for a heartbeat that begins from now on, or for one that confirms a place, whenever it began.
    pub(crate) fn confirm(&mut self, index: usize, place: Option<Position>, told: Told) {
        let latest = self.servers[index].last_beat;
        if let Some(beat) = latest.filter(|beat| place.is_some_and(|place| beat.head.reaches(place))) {
            return told(self, Some(beat));
        }
        let after = self.number;
        self.servers[index].waiting.push(Waiting { after, place, told });
        let whom = self.server(index);
        self.after(1, whom, move |world| world.beat(index));
    }

    /// What may be acknowledged now.
    pub(crate) fn acknowledgement(&self, index: usize) -> Option<Position> {
        let server = &self.servers[index];
        let own = if self.has(Defect::AcknowledgeBeforeApply) { server.read } else { server.cache.applied() };
        if self.has(Defect::AcknowledgeIgnoresGrants) {
            return own;
        }
        server.grants.acknowledged(own?, self.server_clock(index))
    }

    fn beat(&mut self, index: usize) {
        if self.servers[index].beating.is_some() {
            return;
        }
        let (attempt, sent, whom) = (self.number, self.server_clock(index), self.server(index));
        self.servers[index].beating = Some(attempt);
        let (acknowledged, node) = (self.acknowledgement(index), self.servers[index].connections.beat);
        let id = self.servers[index].process.life;
        self.send(whom, Whom::Nature, move |world| {
            let answer = world.database.commit(node, |node| node.beat(id, acknowledged));
            let seen = Answer::Beat(world.database.nodes[node].head());
            let answer = if world.has(Defect::HeartbeatReadOnly) { answer.or(Some(seen)) } else { answer };
            let Some(answer) = answer else { return };
            world.send(whom, whom, move |world| world.hear_beat(index, attempt, sent, answer));
        });
        self.after(PATIENCE, whom, move |world| world.lose_patience(index, attempt));
    }

    fn lose_patience(&mut self, index: usize, attempt: u64) {
        if self.servers[index].beating == Some(attempt) {
            let node = self.node();
            self.servers[index].connections.beat = node;
            self.servers[index].beating = None;
            for Waiting { told, .. } in std::mem::take(&mut self.servers[index].waiting) {
                told(self, None);
            }
        }
    }

    fn hear_beat(&mut self, index: usize, attempt: u64, sent: BootTime, answer: Answer) {
        if self.servers[index].beating != Some(attempt) {
            return;
        }
        self.servers[index].beating = None;
        match answer {
            Answer::NoRow if self.has(Defect::MissingRowIgnored) => {
                let node = self.servers[index].connections.beat;
                let head = self.database.nodes[node].head();
                self.take_beat(index, attempt, sent, head);
            }
            Answer::NoRow => {
                self.servers[index].cache.lose_lease();
                self.register(index);
            }
            Answer::Renewed(head) => self.follow(index, head),
            Answer::Beat(head) => self.take_beat(index, attempt, sent, head),
        }
    }

    fn take_beat(&mut self, index: usize, attempt: u64, sent: BootTime, head: Position) {
        let followed = self.servers[index].cache.applied();
        if followed.is_none_or(|followed| followed.history != head.history) {
            self.follow(index, head);
        }
        let asked = if self.has(Defect::LeaseFromReceipt) { self.server_clock(index) } else { sent };
        self.offer(&self.servers[index].cache, asked, head);
        self.servers[index].last_beat = Some(Beat { head });
        let (ready, waiting): (Vec<_>, Vec<_>) = std::mem::take(&mut self.servers[index].waiting)
            .into_iter()
            .partition(|waiting| waiting.is_served_by(attempt, head));
        self.servers[index].waiting = waiting;
        for Waiting { told, .. } in ready {
            told(self, Some(Beat { head }));
        }
        if !self.servers[index].waiting.is_empty() {
            let whom = self.server(index);
            self.after(MILLISECOND, whom, move |world| world.beat(index));
        }
        if let Some(applied) = self.servers[index].cache.applied() {
            self.tell_watchers(index, Frame::Progress(applied));
        }
    }

    /// Offers a lease that was asked for at a moment.
    pub(crate) fn offer(&self, cache: &Cache, asked: BootTime, needs: Position) {
        let early = self.has(Defect::UsableBeforeApplied);
        let needs = cache.applied().filter(|_| early).unwrap_or(needs);
        cache.offer(Offer { until: asked.after(LEASE), needs });
    }

    /// Follows the log from here: another history, or the first. No connection from before is believed any more.
    fn follow(&mut self, index: usize, head: Position) {
        self.tell(|| format!("server {index} follows from {head:?}"));
        let (tail, pool, other) = (self.node(), self.node(), self.node());
        self.follow_cache(&self.servers[index].cache, head);
        let server = &mut self.servers[index];
        server.connections =
            Connections { tail, pool, other, made: server.connections.made + 1, ..server.connections };
        (server.from, server.read, server.tailing) = (Some(head), Some(head), None);
        server.applied.clear();
        for watcher in std::mem::take(&mut server.watchers) {
            self.lose_stream(watcher);
        }
    }

    /// Has a cache follow the log from here.
    pub(crate) fn follow_cache(&self, cache: &Arc<Cache>, head: Position) {
        cache.follow(head);
        if self.has(Defect::FollowKeepsEntries) {
            for (id, generation, _) in cache.unverified(None, 99) {
                cache
                    .begin(id)
                    .land(super::client::learned(cache, id, generation.0, head.revision.0), head.history);
            }
        }
    }

    fn poll(&mut self, index: usize) {
        let whom = self.server(index);
        let wait = POLL + self.choices.pick(POLL);
        self.after(wait, whom, move |world| world.poll(index));
        let Some(applied) = self.servers[index].cache.applied() else { return };
        let slow = self.servers[index].process.slow_until > self.now;
        if slow || self.servers[index].tailing.is_some() {
            return;
        }
        let (attempt, node) = (self.number, self.servers[index].connections.tail);
        self.servers[index].tailing = Some(attempt);
        self.send(whom, Whom::Nature, move |world| {
            let (head, changes) =
                (world.database.nodes[node].head(), world.database.nodes[node].after(applied.revision));
            world.send(whom, whom, move |world| world.hear_tail(index, attempt, head, changes));
        });
        self.after(PATIENCE, whom, move |world| {
            if world.servers[index].tailing == Some(attempt) {
                let node = world.node();
                world.servers[index].connections.tail = node;
                world.servers[index].tailing = None;
            }
        });
    }

    fn hear_tail(&mut self, index: usize, attempt: u64, head: Position, changes: Vec<(usize, i64)>) {
        let server = &mut self.servers[index];
        if server.tailing != Some(attempt) {
            return;
        }
        if server.cache.applied().is_none_or(|applied| applied.history != head.history) {
            return self.follow(index, head);
        }
        server.read = Some(head);
        let whom = self.server(index);
        self.soon(whom, move |world| {
            if world.servers[index].tailing == Some(attempt) {
                world.servers[index].tailing = None;
                world.apply(index, head, changes);
            }
        });
    }

    /// Applies first, and then tells whoever follows.
    fn apply(&mut self, index: usize, head: Position, changes: Vec<(usize, i64)>) {
        for (token, revision) in changes {
            self.servers[index].cache.apply(head.history, &super::client::event(token, revision));
            self.servers[index].applied.push((token, revision));
            self.tell_watchers(index, Frame::Change(head.history, token, revision));
        }
        self.servers[index].cache.advance(head);
        self.tell_watchers(index, Frame::Progress(head));
        self.acknowledge(index);
    }

    /// Acknowledges at once, over any connection.
    pub(crate) fn acknowledge(&mut self, index: usize) {
        let Some(acknowledged) = self.acknowledgement(index) else { return };
        let (whom, id) = (self.server(index), self.servers[index].process.life);
        let node = self.servers[index].connections.other;
        self.send(whom, Whom::Nature, move |world| {
            world.database.commit(node, |node| {
                if let Some(member) = node.members.get_mut(&id) {
                    member.acknowledged = Some(acknowledged);
                }
            });
        });
    }
}
