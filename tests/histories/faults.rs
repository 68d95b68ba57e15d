//! What goes wrong: drawn by chance, done, and undone.

use std::fmt;
use std::time::Duration;

use rustix::process::Signal;

use crate::chance::Chance;
use crate::history::Node;
use crate::process::signal;
use crate::proxy::{Flow, Link, Weather};
use crate::world::World;

/// One thing that goes wrong, for a while.
#[derive(Debug, Clone)]
pub struct Fault {
    /// When it begins, counted from the beginning of the history.
    pub after: Duration,
    /// How long it lasts.
    pub lasts: Duration,
    pub what: What,
}

#[derive(Debug, Clone)]
pub enum What {
    /// Killed, and started again.
    Kill(Node),
    /// Told to end, and started again.
    End(Node),
    /// Stopped where it stands, and continued.
    Pause(Node),
    PausePostgres,
    PauseStandby,
    StopPostgres(Stop),
    /// One session is killed, at which PostgreSQL ends them all and recovers.
    KillBackend,
    /// Every session is ended.
    EndSessions,
    /// The standby becomes the primary, the old one runs on. Each server is led over after a while of its own.
    Promote(Vec<Option<Duration>>),
    Bad(Between, Trouble),
}

#[derive(Debug, Clone, Copy)]
pub enum Stop {
    Fast,
    Immediate,
    Kill,
}

/// Which links.
#[derive(Debug, Clone, Copy)]
pub enum Between {
    ClientsAndServer(usize),
    ServerAndDatabase(usize),
    SidecarAndServer(usize, usize),
    SidecarAndServers(usize),
    ServerAndSidecars(usize),
}

#[derive(Debug, Clone, Copy)]
pub enum Trouble {
    Cut,
    Refused,
    Held(Ways),
    Swallowed(Ways),
    Delayed(Duration),
    Throttled(u32),
}

#[derive(Debug, Clone, Copy)]
pub enum Ways {
    Up,
    Down,
    Both,
}

/// What may be drawn.
#[derive(Debug, Clone, Copy)]
pub struct Scope {
    pub servers: usize,
    pub sidecars: usize,
    /// Whether there is a standby to promote.
    pub standby: bool,
}

impl Fault {
    pub fn draw(chance: &mut Chance, scope: Scope, history: Duration) -> Self {
        let latest = u64::try_from(history.as_millis()).unwrap() * 7 / 10;
        let after = chance.milliseconds(latest / 10, latest);
        let lasts = if chance.percent(50) {
            chance.milliseconds(100, 1_000)
        } else {
            chance.milliseconds(1_000, 4_000)
        };
        Self { after, lasts, what: What::draw(chance, scope) }
    }
}

impl What {
    fn draw(chance: &mut Chance, scope: Scope) -> Self {
        let node = node(chance, scope);
        match chance.below(100) {
            0..10 => Self::Kill(node),
            10..15 => Self::End(node),
            15..30 => Self::Pause(node),
            30..36 => Self::PausePostgres,
            36..40 if scope.standby => Self::PauseStandby,
            36..46 => Self::StopPostgres(*chance.pick(&[Stop::Fast, Stop::Immediate, Stop::Kill])),
            46..50 => Self::KillBackend,
            50..54 => Self::EndSessions,
            54..64 if scope.standby => {
                Self::Promote((0..scope.servers).map(|_| Some(chance.milliseconds(0, 2_500))).collect())
            }
            _ => Self::Bad(Between::draw(chance, scope), Trouble::draw(chance)),
        }
    }
}

fn node(chance: &mut Chance, scope: Scope) -> Node {
    let number = chance.below(scope.servers + scope.sidecars);
    number.checked_sub(scope.servers).map_or(Node::Server(number), Node::Sidecar)
}

impl Between {
    fn draw(chance: &mut Chance, scope: Scope) -> Self {
        let server = chance.below(scope.servers);
        if scope.sidecars == 0 || chance.percent(45) {
            return if chance.percent(25) {
                Self::ClientsAndServer(server)
            } else {
                Self::ServerAndDatabase(server)
            };
        }
        let sidecar = chance.below(scope.sidecars);
        match chance.below(3) {
            0 => Self::SidecarAndServer(sidecar, server),
            1 => Self::SidecarAndServers(sidecar),
            _ => Self::ServerAndSidecars(server),
        }
    }

    fn links(self, world: &World) -> Vec<&Link> {
        let links = &world.links;
        match self {
            Self::ClientsAndServer(server) => vec![&links.client_server[server]],
            Self::ServerAndDatabase(server) => vec![&links.server_database[server]],
            Self::SidecarAndServer(sidecar, server) => vec![&links.sidecar_server[sidecar][server]],
            Self::SidecarAndServers(sidecar) => links.sidecar_server[sidecar].iter().collect(),
            Self::ServerAndSidecars(server) => {
                links.sidecar_server.iter().map(|links| &links[server]).collect()
            }
        }
    }
}

impl Trouble {
    fn draw(chance: &mut Chance) -> Self {
        let ways = *chance.pick(&[Ways::Up, Ways::Down, Ways::Both]);
        match chance.below(7) {
            0 => Self::Cut,
            1 => Self::Refused,
            2 | 3 => Self::Held(ways),
            4 => Self::Swallowed(ways),
            5 => Self::Delayed(chance.milliseconds(5, 500)),
            _ => Self::Throttled(u32::try_from(chance.below(60)).unwrap() * 1_000 + 4_000),
        }
    }

    fn apply(self, link: &Link) {
        match self {
            Self::Cut => link.cut(),
            Self::Refused => {
                link.set(|weather| weather.refuses = true);
                link.cut();
            }
            Self::Held(ways) => link.set(|weather| ways.of(weather, |way| way.flow = Flow::Held)),
            Self::Swallowed(ways) => link.set(|weather| ways.of(weather, |way| way.flow = Flow::Swallowed)),
            Self::Delayed(delay) => link.set(|weather| Ways::Both.of(weather, |way| way.delay = delay)),
            Self::Throttled(rate) => link.set(|weather| Ways::Both.of(weather, |way| way.rate = Some(rate))),
        }
    }
}

impl Ways {
    fn of(self, weather: &mut Weather, change: impl Fn(&mut crate::proxy::Way)) {
        if matches!(self, Self::Up | Self::Both) {
            change(&mut weather.up);
        }
        if matches!(self, Self::Down | Self::Both) {
            change(&mut weather.down);
        }
    }
}

impl World {
    /// Lets one thing go wrong, and puts it right again.
    pub async fn suffer(&self, fault: &Fault) {
        let lasts = fault.lasts;
        match &fault.what {
            What::Kill(node) => self.without(*node, lasts, true).await,
            What::End(node) => self.without(*node, lasts, false).await,
            What::Pause(node) => {
                let program = self.program(*node).lock().await;
                program.signal(Signal::STOP);
                tokio::time::sleep(lasts).await;
                program.signal(Signal::CONT);
            }
            What::PausePostgres => {
                let postgres = self.ground.postgres.lock().await;
                pause(&postgres.primary.processes(), lasts).await;
            }
            What::PauseStandby => {
                let postgres = self.ground.postgres.lock().await;
                let standby = postgres.standby.as_ref().map(crate::cluster::Postgres::processes);
                pause(&standby.unwrap_or_default(), lasts).await;
            }
            What::StopPostgres(stop) => self.without_postgres(*stop, lasts).await,
            What::KillBackend => {
                let postgres = self.ground.postgres.lock().await;
                let processes = postgres.primary.processes();
                // The last is the newest, and most likely a session.
                processes.iter().skip(1).next_back().into_iter().for_each(|last| signal(*last, Signal::KILL));
            }
            What::EndSessions => self.end_sessions().await,
            What::Promote(delays) => self.promote(delays).await,
            What::Bad(between, trouble) => {
                between.links(self).into_iter().for_each(|link| trouble.apply(link));
                tokio::time::sleep(lasts).await;
                between.links(self).into_iter().for_each(Link::clear);
            }
        }
    }

    async fn without(&self, node: Node, lasts: Duration, at_once: bool) {
        let mut program = self.program(node).lock().await;
        if at_once {
            program.kill();
        } else {
            program.end(Duration::from_secs(10)).await;
        }
        tokio::time::sleep(lasts).await;
        self.start_locked(node, &mut program).await;
    }

    async fn without_postgres(&self, stop: Stop, lasts: Duration) {
        let mut postgres = self.ground.postgres.lock().await;
        let first = postgres.primary.processes().first().copied();
        match (stop, first) {
            (Stop::Immediate, Some(first)) => signal(first, Signal::QUIT),
            (Stop::Kill, Some(first)) => signal(first, Signal::KILL),
            (Stop::Fast, _) | (_, None) => tokio::task::block_in_place(|| postgres.primary.stop()),
        }
        tokio::time::sleep(lasts).await;
        tokio::task::block_in_place(|| postgres.primary.start_again());
    }

    pub async fn end_sessions(&self) {
        let postgres = self.ground.postgres.lock().await;
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        if let Ok(client) = postgres.primary.connect(&self.database).await {
            client.query(end, &[]).await.ok();
        }
    }
}

/// The first process before the others, so that none is added to them; and back.
async fn pause(processes: &[u32], lasts: Duration) {
    for process in processes {
        signal(*process, Signal::STOP);
    }
    tokio::time::sleep(lasts).await;
    for process in processes.iter().rev() {
        signal(*process, Signal::CONT);
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "after {:?} for {:?}: {:?}", self.after, self.lasts, self.what)
    }
}
