//! Thousands of watchers, each on a connection of its own, all on one thread that waits for whichever has something to read.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::member::{End, Member, Told};
use crate::measure::page::Outcome;

/// The addresses of this machine that they connect from in turns, since a server lets at most 2,000 connect from one.
const ADDRESSES: [Ipv4Addr; 5] = [
    Ipv4Addr::new(127, 0, 0, 2),
    Ipv4Addr::new(127, 0, 0, 3),
    Ipv4Addr::new(127, 0, 0, 4),
    Ipv4Addr::new(127, 0, 0, 5),
    Ipv4Addr::new(127, 0, 0, 6),
];

/// How many ask at once.
const AT_ONCE: usize = 100;

/// How long anything may take that all are told.
const PATIENCE: Duration = Duration::from_secs(30);

/// What whoever is too slow is told.
const RESOURCE_EXHAUSTED: u8 = 8;

const BUFFER: usize = 64 * 1024;

/// What is asked of the crowd.
enum Order {
    /// The first so many stop reading.
    Stall(usize),
    /// They read again, to the end.
    Recover,
}

/// What the crowd tells.
enum News {
    /// All have had their first frame.
    Begun,
    /// The last of all that read was told of this revision then.
    Heard(u64, Instant),
    /// All that stalled have come to an end.
    Ended(Ended),
}

/// How those ended that stalled.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ended {
    /// With the status that they were too slow.
    pub(crate) told: usize,
    /// With their connection, without a word.
    pub(crate) cut: usize,
}

/// A handle on the thread.
pub(crate) struct Crowd {
    orders: Sender<Order>,
    news: UnboundedReceiver<News>,
    frames: Arc<AtomicU64>,
    thread: Option<JoinHandle<Outcome<()>>>,
}

impl Crowd {
    /// Has so many watch a server; when this returns each has had its first frame. The first `small` of them have buffers for
    /// little that they did not read.
    pub(crate) async fn gather(
        server: SocketAddr,
        credential: String,
        (size, small): (usize, usize),
    ) -> Outcome<Self> {
        let ((orders, ordered), (sender, news)) = (channel(), unbounded_channel());
        let frames = Arc::<AtomicU64>::default();
        let heard = Arc::clone(&frames);
        let thread = std::thread::spawn(move || {
            let mut watching = Watching::new(sender, heard)?;
            watching.gather(server, &credential, (size, small))?;
            watching.run(&ordered)
        });
        let mut crowd = Self { orders, news, frames, thread: Some(thread) };
        while !matches!(crowd.next().await?, News::Begun) {}
        Ok(crowd)
    }

    /// When the last of all was told of this revision.
    pub(crate) async fn heard(&mut self, revision: u64) -> Outcome<Instant> {
        loop {
            if let News::Heard(told, at) = self.next().await?
                && told == revision
            {
                return Ok(at);
            }
        }
    }

    /// Frames that were received.
    pub(crate) fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// The first so many stop reading.
    pub(crate) fn stall(&self, count: usize) -> Outcome<()> {
        Ok(self.orders.send(Order::Stall(count))?)
    }

    /// They read what there is for them; when this returns the server has ended each.
    pub(crate) async fn recover(&mut self) -> Outcome<Ended> {
        self.orders.send(Order::Recover)?;
        loop {
            if let News::Ended(ended) = self.next().await? {
                return Ok(ended);
            }
        }
    }

    async fn next(&mut self) -> Outcome<News> {
        if let Some(news) = tokio::time::timeout(PATIENCE, self.news.recv()).await? {
            return Ok(news);
        }
        let thread = self.thread.take().ok_or("the crowd has gone")?;
        thread.join().map_err(|_| "the crowd panicked")??;
        Err("the crowd has gone".into())
    }
}

/// The thread's own.
struct Watching {
    epoll: OwnedFd,
    members: Vec<Member>,
    /// How many of the first do not read, or are read to their end.
    stalled: usize,
    ended: Ended,
    /// How many were told of a revision that not all were told of.
    told: HashMap<u64, usize>,
    news: UnboundedSender<News>,
    frames: Arc<AtomicU64>,
    buffer: Vec<u8>,
}

impl Watching {
    fn new(news: UnboundedSender<News>, frames: Arc<AtomicU64>) -> Outcome<Self> {
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            members: Vec::new(),
            stalled: 0,
            ended: Ended::default(),
            told: HashMap::new(),
            news,
            frames,
            buffer: vec![0; BUFFER],
        })
    }

    fn gather(&mut self, server: SocketAddr, credential: &str, (size, small): (usize, usize)) -> Outcome<()> {
        for (number, from) in ADDRESSES.iter().cycle().take(size).enumerate() {
            let member = Member::join(server, *from, credential, number < small)?;
            self.members.push(member);
            self.heed(number)?;
            let begun = |watching: &Self| watching.members.iter().rev().take(AT_ONCE).all(Member::has_begun);
            while (number + 1) % AT_ONCE == 0 && !begun(self) {
                self.turn()?;
            }
        }
        while !self.members.iter().all(Member::has_begun) {
            self.turn()?;
        }
        Ok(self.news.send(News::Begun)?)
    }

    /// Until nobody gives orders any more.
    fn run(&mut self, orders: &Receiver<Order>) -> Outcome<()> {
        loop {
            match orders.try_recv() {
                Ok(Order::Stall(count)) => {
                    self.stalled = count;
                    self.members
                        .iter()
                        .take(count)
                        .try_for_each(|member| epoll::delete(&self.epoll, member))?;
                }
                Ok(Order::Recover) => (0..self.stalled).try_for_each(|number| self.heed(number))?,
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
            self.turn()?;
        }
    }

    fn heed(&self, number: usize) -> Outcome<()> {
        let member = self.members.get(number).ok_or("no such member")?;
        Ok(epoll::add(&self.epoll, member, EventData::new_u64(u64::try_from(number)?), EventFlags::IN)?)
    }

    /// Waits for something to read, and reads it.
    fn turn(&mut self) -> Outcome<()> {
        let mut ready = [const { Event { flags: EventFlags::IN, data: EventData::new_u64(0) } }; 256];
        let pause = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
        let count = epoll::wait(&self.epoll, &mut ready, Some(&pause))?;
        ready.iter().take(count).try_for_each(|event| self.read(usize::try_from(event.data.u64())?))
    }

    fn read(&mut self, number: usize) -> Outcome<()> {
        let (reads, reading) = (number >= self.stalled, self.members.len() - self.stalled);
        let member = self.members.get_mut(number).ok_or("no such member")?;
        let (told, news, frames) = (&mut self.told, &self.news, &self.frames);
        let read = member.read(&mut self.buffer, |what| {
            frames.fetch_add(1, Ordering::Relaxed);
            let Told::Event(revision) = what else { return };
            let count = told.entry(revision).or_default();
            *count += usize::from(reads);
            if *count == reading {
                told.remove(&revision);
                // Who is not interested any more is about to end this thread.
                let _ = news.send(News::Heard(revision, Instant::now()));
            }
        });
        let end = member.end();
        read?;
        match end {
            None => Ok(()),
            Some(end) if reads => Err(format!("a stream that was read has ended: {end:?}").into()),
            Some(end) => self.note_end(number, end),
        }
    }

    /// Of one that stalled and was read to its end.
    fn note_end(&mut self, number: usize, end: End) -> Outcome<()> {
        match end {
            End::Status(RESOURCE_EXHAUSTED) => self.ended.told += 1,
            End::Status(other) => return Err(format!("a watcher that stalled was told {other}").into()),
            End::Cut => self.ended.cut += 1,
        }
        epoll::delete(&self.epoll, self.members.get(number).ok_or("no such member")?)?;
        if self.ended.told + self.ended.cut == self.stalled {
            self.news.send(News::Ended(self.ended))?;
        }
        Ok(())
    }
}
