//! One connection of the load, and its calls under way.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::generator::Flow;
use super::http2::{Event, Http2};
use super::mix::Mix;
use super::pace::{Load, Pace};
use super::tally::{Came, Done};
use super::target::{Socket, Target};
use crate::measure::page::Outcome;

/// The most streams that a connection has open: what servers commonly allow.
const MOST_STREAMS: usize = 100;

/// How long to wait before a connection that broke is tried again.
const PAUSE: Duration = Duration::from_millis(20);

pub(crate) struct Connection<'plan> {
    target: &'plan Target,
    credential: Option<&'plan str>,
    /// None while it is broken.
    open: Option<Open>,
    /// When to try again.
    again: Instant,
    patient: bool,
    mix: Mix,
    pace: Pace,
    streams: usize,
    /// A call that found no room, and from when on it counts.
    waiting: Option<(usize, Instant)>,
    has_no_more: bool,
}

struct Open {
    socket: Socket,
    http2: Http2,
    under_way: HashMap<u32, UnderWay>,
    /// Buffers of calls that are over.
    spare: Vec<Vec<u8>>,
}

/// A call that is not answered yet.
struct UnderWay {
    call: usize,
    since: Instant,
    answer: Vec<u8>,
}

impl<'plan> Connection<'plan> {
    pub(crate) fn open(
        flow: &Flow<'plan>,
        place: usize,
        (begin, end): (Instant, Instant),
        patient: bool,
    ) -> Outcome<Self> {
        let credential = flow.credentials.get(place % flow.credentials.len().max(1)).map(String::as_str);
        let number = u64::try_from(place)?;
        Ok(Self {
            target: flow.target,
            credential,
            open: Some(Open::new(flow.target, credential)?),
            again: begin,
            patient,
            mix: flow.mix.for_connection(number),
            pace: Pace::new(flow.load, flow.connections, number, (begin, end)),
            streams: match flow.load {
                Load::Closed { streams } => streams,
                Load::Open { .. } => MOST_STREAMS,
            },
            waiting: None,
            has_no_more: false,
        })
    }

    pub(crate) fn socket(&self) -> Option<&Socket> {
        self.open.as_ref().map(|open| &open.socket)
    }

    /// Whether nothing is under way, and nothing more to come.
    pub(crate) fn is_through(&self, now: Instant) -> bool {
        let is_idle = self.open.as_ref().is_none_or(|open| open.under_way.is_empty());
        is_idle && self.waiting.is_none() && (self.has_no_more || self.pace.is_over(now))
    }

    /// When there is a call to be sent; none while it has no room, or where an answer makes room for the next.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let has_room = self.open.as_ref().is_some_and(|open| open.under_way.len() < self.streams);
        let is_free = has_room && self.waiting.is_none() && !self.has_no_more;
        is_free.then(|| self.pace.next_due()).flatten()
    }

    /// Takes what has come in, sends what is due. Gives whether anything has happened.
    pub(crate) fn turn(&mut self, buffer: &mut [u8], mut told: impl FnMut(Done)) -> Outcome<bool> {
        if self.open.is_none() {
            self.open_again();
        }
        let Some(mut open) = self.open.take() else { return Ok(false) };
        match self.go_on(&mut open, buffer, &mut told) {
            Ok(progress) => {
                self.open = Some(open);
                Ok(progress)
            }
            Err(error) if !self.patient => Err(error),
            Err(_) => {
                let now = Instant::now();
                for lost in open.under_way.into_values() {
                    told(Done { since: lost.since, took: now - lost.since, came: Came::Failed(None) });
                }
                Ok(true)
            }
        }
    }

    fn open_again(&mut self) {
        let now = Instant::now();
        if now >= self.again && !self.is_through(now) {
            self.open = Open::new(self.target, self.credential).ok();
            self.again = Instant::now() + PAUSE;
        }
    }

    fn go_on(&mut self, open: &mut Open, buffer: &mut [u8], told: &mut impl FnMut(Done)) -> Outcome<bool> {
        let received = open.receive(buffer, &self.mix, told)?;
        let sent = self.send(open)?;
        open.socket.write(&mut open.http2.outbound)?;
        Ok(received || sent)
    }

    fn send(&mut self, open: &mut Open) -> Outcome<bool> {
        let mut sent = false;
        while open.under_way.len() < self.streams {
            let Some((number, since)) = self.take_due() else { break };
            let call = self.mix.call(number).ok_or("no such call")?;
            if !open.http2.has_room(call.message.len()) {
                self.waiting = Some((number, since));
                if open.http2.is_going_away() && open.under_way.is_empty() {
                    return Err("the server takes no more calls on a connection".into());
                }
                break;
            }
            let stream = open.http2.send(call.path, &call.message);
            let answer = open.spare.pop().unwrap_or_default();
            open.under_way.insert(stream, UnderWay { call: number, since, answer });
            sent = true;
        }
        Ok(sent)
    }

    fn take_due(&mut self) -> Option<(usize, Instant)> {
        if let Some(waiting) = self.waiting.take() {
            return Some(waiting);
        }
        if self.has_no_more {
            return None;
        }
        let since = self.pace.due(Instant::now())?;
        let number = self.mix.next();
        self.has_no_more = number.is_none();
        Some((number?, since))
    }
}

impl Open {
    fn new(target: &Target, credential: Option<&str>) -> Outcome<Self> {
        Ok(Self {
            socket: target.connect()?,
            http2: Http2::new(target.scheme(), &target.authority(), credential),
            under_way: HashMap::new(),
            spare: Vec::new(),
        })
    }

    fn receive(&mut self, buffer: &mut [u8], mix: &Mix, told: &mut impl FnMut(Done)) -> Outcome<bool> {
        let Self { socket, http2, under_way, spare } = self;
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
                let is_met =
                    || mix.call(ended.call).is_some_and(|call| call.expected.is_met_by(&ended.answer));
                let came = match status {
                    Some(0) if is_met() => Came::Right,
                    Some(0) => Came::Wrong,
                    other => Came::Failed(other),
                };
                told(Done { since: ended.since, took: now.saturating_duration_since(ended.since), came });
                ended.answer.clear();
                spare.push(ended.answer);
            }
        })?;
        Ok(true)
    }
}
