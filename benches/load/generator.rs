//! Makes the calls: one thread, on a core of its own, that goes round its connections and never waits.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::http2::{Event, Http2};
use super::mix::Mix;
use super::pace::{Load, Pace};
use super::tally::Tally;
use super::target::{Socket, Target};
use crate::measure::page::Outcome;

/// The most streams that a connection has open: what servers commonly allow.
const MOST_STREAMS: usize = 100;

const BUFFER: usize = 256 * 1024;

/// What is to be done.
pub(crate) struct Plan<'plan> {
    pub(crate) target: &'plan Target,
    /// Connection by connection, over and over.
    pub(crate) credentials: &'plan [String],
    pub(crate) mix: &'plan Mix,
    pub(crate) load: Load,
    pub(crate) connections: usize,
    /// Calls that are sent in this time do not count: everything gets warm.
    pub(crate) warm_up: Duration,
    /// For how long calls are counted; until each was made, if each is to be made once.
    pub(crate) duration: Duration,
    /// Whether to look again and again rather than wait: for a thread that has a core of its own.
    pub(crate) restless: bool,
}

/// One connection and its calls under way.
struct Connection {
    socket: Socket,
    http2: Http2,
    mix: Mix,
    pace: Pace,
    streams: usize,
    under_way: HashMap<u32, UnderWay>,
    /// A call that found no room, and from when on it counts.
    waiting: Option<(usize, Instant)>,
    /// Buffers of calls that are over.
    spare: Vec<Vec<u8>>,
    is_through: bool,
}

/// A call that is not answered yet.
struct UnderWay {
    call: usize,
    since: Instant,
    answer: Vec<u8>,
}

/// Carries a plan out. Fails if a connection breaks or something is said that is not gRPC; what is answered is counted, and
/// judged by whoever gets the count.
pub(crate) fn run(plan: &Plan<'_>) -> Outcome<Tally> {
    let begin = Instant::now() + Duration::from_millis(1);
    let counts = begin + plan.warm_up;
    let end = counts + plan.duration;
    let mut connections = connect(plan, begin)?;
    let mut tally = Tally::new()?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let now = Instant::now();
        let is_over = now >= end;
        let mut progress = false;
        for connection in &mut connections {
            progress |= connection.turn(&mut buffer, is_over, counts, &mut tally)?;
        }
        if connections
            .iter()
            .all(|connection| connection.under_way.is_empty() && (is_over || connection.is_through))
        {
            tally.elapsed = now.min(end).saturating_duration_since(counts);
            return Ok(tally);
        }
        if now > end + Duration::from_secs(30) {
            return Err("calls are not answered".into());
        }
        if !progress && !plan.restless {
            wait(&connections)?;
        }
    }
}

fn connect(plan: &Plan<'_>, begin: Instant) -> Outcome<Vec<Connection>> {
    let streams = match plan.load {
        Load::Closed { streams } => streams,
        Load::Open { .. } => MOST_STREAMS,
    };
    (0..plan.connections)
        .map(|number| {
            let credential = plan.credentials.get(number % plan.credentials.len().max(1));
            let place = u64::try_from(number)?;
            Ok(Connection {
                socket: plan.target.connect()?,
                http2: Http2::new(
                    plan.target.scheme(),
                    &plan.target.authority(),
                    credential.map(String::as_str),
                ),
                mix: plan.mix.for_connection(place),
                pace: Pace::new(plan.load, plan.connections, place, begin),
                streams,
                under_way: HashMap::new(),
                waiting: None,
                spare: Vec::new(),
                is_through: false,
            })
        })
        .collect()
}

/// Until there is something to read, or a millisecond has passed.
fn wait(connections: &[Connection]) -> Outcome<()> {
    let mut sockets: Vec<_> =
        connections.iter().map(|connection| PollFd::new(&connection.socket, PollFlags::IN)).collect();
    poll(&mut sockets, Some(&Timespec { tv_sec: 0, tv_nsec: 1_000_000 }))?;
    Ok(())
}

impl Connection {
    /// Takes what has come in, sends what is due. Gives whether anything has happened.
    fn turn(
        &mut self,
        buffer: &mut [u8],
        is_over: bool,
        counts: Instant,
        tally: &mut Tally,
    ) -> Outcome<bool> {
        let received = self.receive(buffer, counts, tally)?;
        let sent = !is_over && self.send()?;
        self.socket.write(&mut self.http2.outbound)?;
        Ok(received || sent)
    }

    fn receive(&mut self, buffer: &mut [u8], counts: Instant, tally: &mut Tally) -> Outcome<bool> {
        let Self { socket, http2, mix, under_way, spare, .. } = self;
        let bytes = socket.read(buffer)?;
        if bytes.is_empty() {
            return Ok(false);
        }
        let now = Instant::now();
        http2.receive(bytes, |event| match event {
            Event::Data(stream, part) => {
                if let Some(call) = under_way.get_mut(&stream) {
                    call.answer.extend_from_slice(part);
                }
            }
            Event::End(stream, status) => {
                let Some(mut ended) = under_way.remove(&stream) else { return };
                let met = || mix.call(ended.call).is_some_and(|call| call.expected.is_met_by(&ended.answer));
                if ended.since >= counts {
                    tally.add(status, met, now.saturating_duration_since(ended.since));
                }
                ended.answer.clear();
                spare.push(ended.answer);
            }
        })?;
        Ok(true)
    }

    fn send(&mut self) -> Outcome<bool> {
        let mut sent = false;
        while self.under_way.len() < self.streams {
            let Some((number, since)) = self.take_due() else { break };
            let call = self.mix.call(number).ok_or("no such call")?;
            if !self.http2.has_room(call.message.len()) {
                self.waiting = Some((number, since));
                if self.http2.is_going_away() {
                    return Err("the server takes no more calls on a connection".into());
                }
                break;
            }
            let stream = self.http2.send(call.path, &call.message);
            let answer = self.spare.pop().unwrap_or_default();
            self.under_way.insert(stream, UnderWay { call: number, since, answer });
            sent = true;
        }
        Ok(sent)
    }

    fn take_due(&mut self) -> Option<(usize, Instant)> {
        if let Some(waiting) = self.waiting.take() {
            return Some(waiting);
        }
        if self.is_through {
            return None;
        }
        let since = self.pace.due(Instant::now())?;
        let number = self.mix.next();
        self.is_through = number.is_none();
        Some((number?, since))
    }
}
