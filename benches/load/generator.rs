//! Makes the calls: one thread that goes round its connections, and waits for none of them.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::connection::Connection;
use super::mix::Mix;
use super::pace::Load;
use super::tally::{Done, Tally};
use super::target::Target;
use crate::measure::page::Outcome;

const BUFFER: usize = 256 * 1024;

/// How long to wait at most for something to read: what else changes is noticed so soon.
const LONGEST_WAIT: Duration = Duration::from_millis(1);

/// Calls of one kind; several kinds may be made at the same time.
pub(crate) struct Flow<'plan> {
    pub(crate) target: &'plan Target,
    /// Connection by connection, over and over.
    pub(crate) credentials: &'plan [String],
    pub(crate) mix: &'plan Mix,
    pub(crate) load: Load,
    pub(crate) connections: usize,
}

/// For how long calls are made, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    /// Calls that are due in this time do not count: everything gets warm.
    pub(crate) warm_up: Duration,
    /// For how long calls are counted; until each was made, if each is to be made once.
    pub(crate) duration: Duration,
    /// Whether to look again and again rather than wait: for a thread that has a core of its own.
    pub(crate) restless: bool,
    /// Whether a connection that breaks is made anew. If not, it ends the run as a failure.
    pub(crate) patient: bool,
}

/// Makes calls of one kind, and fails unless every one is answered as it must be.
pub(crate) fn all_right(flow: Flow<'_>, span: Span) -> Outcome<Tally> {
    let [tally] = tallies(&[flow], span)?;
    tally.all_right()
}

/// Makes calls of several kinds and counts each.
pub(crate) fn tallies<const FLOWS: usize>(flows: &[Flow<'_>; FLOWS], span: Span) -> Outcome<[Tally; FLOWS]> {
    let mut tallies = std::array::from_fn(|_| Tally::default());
    let elapsed = run(flows, span, &mut |flow, _, done| {
        if let Some(tally) = tallies.get_mut(flow) {
            tally.add(done);
        }
    })?;
    for tally in &mut tallies {
        tally.elapsed = elapsed;
    }
    Ok(tallies)
}

/// Makes calls, and tells of each that counts when it is over: of which flow it was, how long after counting began it was
/// due, and what came of it. Gives for how long they were counted.
pub(crate) fn run(
    flows: &[Flow<'_>],
    span: Span,
    told: &mut dyn FnMut(usize, Duration, Done),
) -> Outcome<Duration> {
    let begin = Instant::now() + Duration::from_millis(1);
    let counts = begin + span.warm_up;
    let end = counts + span.duration;
    let mut connections = Vec::new();
    for (number, flow) in flows.iter().enumerate() {
        for place in 0..flow.connections {
            connections.push((number, Connection::open(flow, place, (begin, end), span.patient)?));
        }
    }
    let mut buffer = vec![0; BUFFER];
    loop {
        let now = Instant::now();
        let mut progress = false;
        for (flow, connection) in &mut connections {
            let counted = |done: Done| {
                if let Some(at) = done.since.checked_duration_since(counts) {
                    told(*flow, at, done);
                }
            };
            progress |= connection.turn(&mut buffer, counted)?;
        }
        if connections.iter().all(|(_, connection)| connection.is_through(now)) {
            return Ok(now.min(end).saturating_duration_since(counts));
        }
        if now > end + Duration::from_secs(30) {
            return Err("calls are not answered".into());
        }
        if !progress && !span.restless {
            wait(&connections, now)?;
        }
    }
}

/// Until there is something to read, or a call is due, or a millisecond has passed.
fn wait(connections: &[(usize, Connection<'_>)], now: Instant) -> Outcome<()> {
    let due = connections.iter().filter_map(|(_, connection)| connection.next_due()).min();
    let rest = due.map_or(LONGEST_WAIT, |due| due.saturating_duration_since(now).min(LONGEST_WAIT));
    let sockets = connections.iter().filter_map(|(_, connection)| connection.socket());
    let mut sockets: Vec<_> = sockets.map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
    poll(&mut sockets, Some(&Timespec { tv_sec: 0, tv_nsec: rest.subsec_nanos().into() }))?;
    Ok(())
}
