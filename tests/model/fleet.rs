//! What servers do together: leases of sidecars, waiting for everybody, removing the dead, leaving.

use std::cell::Cell;
use std::rc::Rc;

use tokenkeep::clock::BootTime;
use tokenkeep::lease::{Holder, stretched};
use tokenkeep::revocation::Position;

use super::database::Node;
use super::defects::Defect;
use super::server::{Beat, Told};
use super::world::{LEASE, MILLISECOND, Whom, World};

const LOOK: u64 = 20 * MILLISECOND;

/// Somebody who waits for the fleet.
#[derive(Clone)]
struct Waiter {
    server: usize,
    position: Position,
    since: BootTime,
    /// Who was in the table before the commit, where only they are waited for.
    only: Option<Vec<u64>>,
    done: Rc<Cell<bool>>,
    then: Rc<Later>,
}

type Later = Cell<Option<Then>>;
type Then = Box<dyn FnOnce(&mut World)>;

/// Hears what a lease needs.
pub(crate) type Granted = Box<dyn FnOnce(&mut World, Position)>;

impl World {
    /// A sidecar asks for a lease. The answer carries the head of a heartbeat that begins after this.
    pub(crate) fn renew(&mut self, index: usize, holder: Holder, applied: Option<Position>, reply: Granted) {
        let early = self.servers[index].last_beat.filter(|_| self.has(Defect::EvidenceBeforeArrival));
        let told: Told = Box::new(move |world: &mut Self, beat: Option<Beat>| {
            if let Some(beat) = beat {
                world.grant(index, holder, applied, beat.head, reply);
            }
        });
        if early.is_some() { told(self, early) } else { self.confirm(index, None, told) }
    }

    /// Records, then reads what is applied, then answers.
    fn grant(
        &mut self,
        index: usize,
        holder: Holder,
        applied: Option<Position>,
        head: Position,
        reply: Granted,
    ) {
        let whom = self.server(index);
        let before = self.servers[index].cache.applied();
        if self.has(Defect::GrantAfterReply) {
            self.soon(whom, move |world| world.record(index, holder, applied));
        } else if !self.has(Defect::NeedsBeforeGrant) {
            self.record(index, holder, applied);
        }
        self.soon(whom, move |world| {
            let mut own = world.servers[index].cache.applied();
            if world.has(Defect::NeedsBeforeGrant) {
                own = before;
                world.record(index, holder, applied);
            }
            let own = own.filter(|own| own.history == head.history);
            let needs = own.filter(|own| own.revision > head.revision).unwrap_or(head);
            reply(world, needs);
        });
    }

    fn record(&mut self, index: usize, holder: Holder, applied: Option<Position>) {
        let now = self.server_clock(index);
        let grants = &mut self.servers[index].grants;
        let granted = grants.grant(holder, now.after(stretched(LEASE)), now);
        if let (Ok(()), Some(applied)) = (granted, applied) {
            let _ = grants.acknowledge(holder, applied, now);
        }
    }

    /// Waits until no cache answers from before a place in the log.
    pub(crate) fn everywhere(&mut self, index: usize, position: Position, before: Vec<u64>, then: Then) {
        let only = self.has(Defect::FleetReadBeforeCommit).then_some(before);
        let since = self.server_clock(index);
        let (done, then) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(Some(then))));
        self.look_around(Waiter { server: index, position, since, only, done, then });
    }

    fn look_around(&mut self, waiter: Waiter) {
        let (index, made) = (waiter.server, self.servers[waiter.server].connections.made);
        let (whom, node) = (self.server(index), self.servers[index].connections.other);
        let long = if self.has(Defect::FleetWaitsTooShort) { LEASE / 2 } else { stretched(LEASE) };
        if waiter.done.get() {
            return;
        }
        if self.server_clock(index).since(waiter.since) >= long {
            return self.end_wait(&waiter);
        }
        let asking = waiter.clone();
        self.send(whom, Whom::Nature, move |world| {
            let table = world.database.nodes[node].clone();
            world.send(whom, whom, move |world| {
                let valid = world.servers[index].connections.made == made;
                if valid && world.is_everywhere(&asking, &table) {
                    world.end_wait(&asking);
                }
            });
        });
        self.after(LOOK, whom, move |world| world.look_around(waiter));
    }

    fn end_wait(&mut self, waiter: &Waiter) {
        if !waiter.done.replace(true)
            && let Some(then) = waiter.then.take()
        {
            then(self);
        }
    }

    /// Whether everybody in the table has acknowledged, this server from memory.
    fn is_everywhere(&self, waiter: &Waiter, table: &Node) -> bool {
        let own = self.servers[waiter.server].process.life;
        // A number alone says nothing: a deposed primary may have given it to something else.
        let wanted = waiter.position;
        if table.history() != wanted.history {
            return false;
        }
        let has = |acknowledged: Option<Position>| acknowledged.is_some_and(|known| known.reaches(wanted));
        let others = table.members.iter().filter(|(id, _)| **id != own);
        let mut others = others.filter(|(id, _)| waiter.only.as_ref().is_none_or(|only| only.contains(id)));
        has(self.acknowledgement(waiter.server)) && others.all(|(_, member)| has(member.acknowledged))
    }

    /// Removes the rows of those who have not beaten for two leases.
    pub(crate) fn watch_rows(&mut self, index: usize) {
        let (whom, node) = (self.server(index), self.servers[index].connections.beat);
        self.send(whom, Whom::Nature, move |world| {
            let table = world.database.nodes[node].members.clone();
            let beats = table.into_iter().map(|(id, member)| (id, member.beat)).collect();
            world.send(whom, whom, move |world| world.judge_rows(index, node, beats));
        });
        self.after(250 * MILLISECOND, whom, move |world| world.watch_rows(index));
    }

    fn judge_rows(&mut self, index: usize, node: usize, beats: Vec<(u64, u64)>) {
        let (now, whom, own) =
            (self.server_clock(index), self.server(index), self.servers[index].process.life);
        let long = if self.has(Defect::RemovedTooEarly) { LEASE / 2 } else { LEASE * 2 };
        for (id, beat) in beats.into_iter().filter(|(id, _)| *id != own) {
            let seen = self.servers[index].observed.entry(id).or_insert((beat, now));
            if seen.0 != beat {
                *seen = (beat, now);
            }
            if now.since(seen.1) >= long {
                self.send(whom, Whom::Nature, move |world| {
                    world.tell(|| format!("the row of {id} is removed"));
                    world.database.commit(node, |node| {
                        if node.members.get(&id).is_some_and(|member| member.beat == beat) {
                            node.members.remove(&id);
                        }
                    });
                });
            }
        }
    }

    /// Stops answering, and takes the row along if no sidecar answers by a lease of ours.
    pub(crate) fn drain(&mut self, index: usize) {
        let (now, node) = (self.server_clock(index), self.servers[index].connections.beat);
        self.servers[index].cache.lose_lease();
        let free = self.servers[index].grants.live(now) == 0 || self.has(Defect::DrainDespiteGrants);
        let id = self.servers[index].process.life;
        self.stop_server(index);
        if free {
            let wait = self.delay();
            self.after(wait, Whom::Nature, move |world| {
                world.database.commit(node, |node| node.members.remove(&id));
            });
        }
    }

    /// Its connections end with it.
    pub(crate) fn stop_server(&mut self, index: usize) {
        self.tell(|| format!("server {index} stops"));
        self.servers[index].process.up = false;
        for watcher in std::mem::take(&mut self.servers[index].watchers) {
            self.lose_stream(watcher);
        }
    }
}
