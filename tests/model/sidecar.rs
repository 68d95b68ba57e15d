//! A sidecar: it follows a server, renews its lease from it, and answers. Its cache is the real one.

use std::sync::Arc;

use tokenkeep::cache::Cache;
use tokenkeep::clock::BootTime;
use tokenkeep::lease::Holder;
use tokenkeep::revocation::{HistoryId, Position};
use tokenkeep::token::TokenId;
use uuid::Uuid;

use super::defects::Defect;
use super::server::Watcher;
use super::world::{LEASE, MILLISECOND, Process, Whom, World};

const RENEWAL: u64 = 330 * MILLISECOND;
/// How long a stream may be silent.
const SILENCE: u64 = 500 * MILLISECOND;

/// What comes over a stream.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Frame {
    /// It goes on after the cursor; or it begins anew.
    Opened(Option<Position>),
    Change(HistoryId, usize, i64),
    Progress(Position),
}

pub(crate) struct Sidecar {
    pub(crate) process: Process,
    pub(crate) cache: Arc<Cache>,
    /// Which server, and over which stream; renewals and questions go there too.
    pub(crate) upstream: Option<(usize, u64)>,
    heard: BootTime,
}

impl World {
    pub(crate) fn start_sidecar(&mut self, index: usize) {
        let cut_until = self.sidecars.get(index).map_or(0, |old| old.process.cut_until);
        let mut process = Process::new(&mut self.choices);
        (process.life, process.up, process.cut_until) = (self.number, true, cut_until);
        let sidecar = Sidecar { process, cache: self.new_cache(), upstream: None, heard: BootTime::ZERO };
        if index < self.sidecars.len() {
            self.sidecars[index] = sidecar;
        } else {
            self.sidecars.push(sidecar);
        }
        let whom = self.sidecar(index);
        self.tell(|| format!("sidecar {index} starts as {whom:?}"));
        self.after(1, whom, move |world| world.connect(index));
        self.after(RENEWAL, whom, move |world| world.renew_in_time(index));
        self.after(SILENCE, whom, move |world| world.mind_silence(index));
    }

    pub(crate) fn holder(&self, index: usize) -> Holder {
        let number = |number: u64| Uuid::from_u128(u128::from(number));
        let life = self.sidecars[index].process.life;
        Holder { caller: TokenId::from_uuid(number(7)), sidecar: number(life) }
    }

    /// Follows any server, from where it stands.
    pub(crate) fn connect(&mut self, index: usize) {
        let server = self.choices.index(self.servers.len());
        let (stream, whom) = (self.number, self.sidecar(index));
        self.tell(|| format!("sidecar {index} connects to server {server}"));
        if self.has(Defect::ReleasedButUsed) {
            self.release(index);
        }
        self.sidecars[index].upstream = Some((server, stream));
        self.sidecars[index].heard = self.sidecar_clock(index);
        let cursor = self.sidecars[index].cache.applied();
        let to = self.server(server);
        self.send(whom, to, move |world| world.open(server, whom, stream, cursor));
        self.renew_lease(index);
    }

    fn release(&mut self, index: usize) {
        let Some((server, _)) = self.sidecars[index].upstream else { return };
        let (whom, to, holder) = (self.sidecar(index), self.server(server), self.holder(index));
        self.send(whom, to, move |world| world.servers[server].grants.release(holder));
    }

    /// The server's side: what was missed is told if it is known, else the sidecar begins anew.
    fn open(&mut self, server: usize, sidecar: Whom, stream: u64, cursor: Option<Position>) {
        let Some(applied) = self.servers[server].cache.applied() else { return };
        let from = self.servers[server].from;
        let resumed = cursor.filter(|cursor| from.is_some_and(|from| cursor.reaches(from)));
        self.servers[server].watchers.push(Watcher { sidecar, stream, clear: self.now });
        let place = self.servers[server].watchers.len() - 1;
        self.tell_watcher(server, place, Frame::Opened(resumed.is_none().then_some(applied)));
        let Some(cursor) = resumed else { return };
        let missed = self.servers[server].applied.clone();
        for (token, revision) in missed.into_iter().filter(|(_, revision)| *revision > cursor.revision.0) {
            self.tell_watcher(server, place, Frame::Change(applied.history, token, revision));
        }
    }

    pub(crate) fn tell_watchers(&mut self, server: usize, frame: Frame) {
        for place in 0..self.servers[server].watchers.len() {
            self.tell_watcher(server, place, frame);
        }
    }

    /// Frames arrive in their order. If the way is cut, they and all that follow are lost with the stream.
    fn tell_watcher(&mut self, server: usize, place: usize, frame: Frame) {
        let Whom::Sidecar(index, _) = self.servers[server].watchers[place].sidecar else { return };
        let slow = self.sidecars[index].process.slow_until > self.now;
        let delay = self.delay() + if slow { self.choices.pick(1000) * MILLISECOND } else { 0 };
        let watcher = &mut self.servers[server].watchers[place];
        watcher.clear = watcher.clear.max(self.now + delay);
        let Watcher { sidecar, stream, clear } = *watcher;
        if self.sidecars[index].process.cut_until > self.now {
            self.servers[server].watchers[place].stream = 0;
            return;
        }
        self.after(clear - self.now, sidecar, move |world| world.hear(index, stream, frame));
    }

    /// A stream ends, and the sidecar hears of it.
    pub(crate) fn lose_stream(&mut self, watcher: Watcher) {
        let Whom::Sidecar(index, _) = watcher.sidecar else { return };
        let wait = watcher.clear.saturating_sub(self.now) + self.delay();
        self.after(wait, watcher.sidecar, move |world| {
            if world.sidecars[index].upstream.is_some_and(|(_, stream)| stream == watcher.stream) {
                world.connect(index);
            }
        });
    }

    fn hear(&mut self, index: usize, stream: u64, frame: Frame) {
        let now = self.sidecar_clock(index);
        let sidecar = &mut self.sidecars[index];
        let Some((server, _)) = sidecar.upstream.filter(|(_, current)| *current == stream) else { return };
        sidecar.heard = now;
        let cache = Arc::clone(&sidecar.cache);
        self.tell(|| format!("sidecar {index} hears {frame:?}"));
        match frame {
            Frame::Opened(None) => {}
            Frame::Opened(Some(from)) => self.follow_cache(&cache, from),
            Frame::Change(history, token, revision) => {
                cache.apply(history, &super::client::event(token, revision));
            }
            Frame::Progress(position) => cache.advance(position),
        }
        let Some(applied) = cache.applied() else { return };
        let (whom, to, holder) = (self.sidecar(index), self.server(server), self.holder(index));
        self.send(whom, to, move |world| {
            let now = world.server_clock(server);
            let _ = world.servers[server].grants.acknowledge(holder, applied, now);
            world.acknowledge(server);
        });
    }

    fn renew_in_time(&mut self, index: usize) {
        self.renew_lease(index);
        let whom = self.sidecar(index);
        self.after(RENEWAL, whom, move |world| world.renew_in_time(index));
    }

    fn renew_lease(&mut self, index: usize) {
        let Some((server, _)) = self.sidecars[index].upstream else { return };
        let (whom, to, holder) = (self.sidecar(index), self.server(server), self.holder(index));
        let (sent, applied) = (self.sidecar_clock(index), self.sidecars[index].cache.applied());
        self.soon(whom, move |world| {
            world.send(whom, to, move |world| {
                let reply = Box::new(move |world: &mut Self, needs: Position| {
                    world.send(whom, whom, move |world| {
                        let late = world.has(Defect::LeaseFromReceipt);
                        let asked = if late { world.sidecar_clock(index) } else { sent };
                        world.offer(&world.sidecars[index].cache, asked, needs);
                    });
                });
                world.renew(server, holder, applied, reply);
            });
        });
    }

    fn mind_silence(&mut self, index: usize) {
        let silent = self.sidecar_clock(index).since(self.sidecars[index].heard);
        if silent > LEASE / 2 {
            self.connect(index);
        }
        let whom = self.sidecar(index);
        self.after(SILENCE, whom, move |world| world.mind_silence(index));
    }
}
