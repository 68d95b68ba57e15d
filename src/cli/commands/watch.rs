//! `tokenkeep token watch`: events as they come, gone on with after every interruption, right after the last one.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tonic::{Code, Status, Streaming};

use crate::cli::error::{CliError, is_lost};
use crate::cli::exit::Exit;
use crate::cli::output::{List, note};
use crate::cli::session::Session;
use crate::proto::v1;
use crate::proto::v1::watch_revocations_response::Frame;
use crate::settings::client::life::Watch;

/// The pause before a stream is opened again: drawn evenly from the shortest to a longest that doubles with every failure,
/// so that the watchers of a lost server do not come to the others all at once.
const SHORTEST_PAUSE: u64 = 50;
const FIRST_PAUSE: u64 = 250;
const LONGEST_PAUSE: u64 = 5_000;

/// Where a watch is.
struct Place {
    cursor: String,
    pause: u64,
    list: List,
}

/// Watches until it is told to stop, or cannot go on; and tells the cursor at the end, whichever it is.
pub(super) async fn run(session: &Session, said: &Watch) -> Result<Exit, CliError> {
    let list = session.output.list::<v1::WatchRevocationsResponse>();
    let mut place = Place { cursor: said.cursor.clone(), pause: FIRST_PAUSE, list };
    let mut stop = Stop::new().map_err(CliError::Runtime)?;
    let ended = tokio::select! {
        error = watch(session, said, &mut place) => Err(error),
        () = stop.told() => Ok(Exit::Done),
    };
    if !place.cursor.is_empty() {
        note(&format!("to go on from here: tokenkeep token watch --cursor '{}'", place.cursor));
    }
    match ended {
        Err(error) if error.is_closed_output() => Ok(Exit::Done),
        ended => ended,
    }
}

/// Goes on for as long as that is possible, and says why it is not.
async fn watch(session: &Session, said: &Watch, place: &mut Place) -> CliError {
    // Whoever mistyped the address is told so, after the few attempts that any call has.
    let opened = session.ask(async || open(session, said, &place.cursor).await).await;
    let mut stream = match opened {
        Ok(stream) => Ok(stream),
        Err(error) => return error,
    };
    loop {
        let ended = match stream {
            Ok(stream) => match follow(stream, said, place).await {
                Ok(status) => status,
                Err(error) => return error,
            },
            Err(status) => status,
        };
        if !can_go_on(&ended) {
            return session.refusal(&ended, false);
        }
        tracing::warn!(reason = ended.message(), "the stream ended; going on where it was");
        tokio::time::sleep(Duration::from_millis(rand::random_range(SHORTEST_PAUSE..=place.pause))).await;
        place.pause = LONGEST_PAUSE.min(place.pause * 2);
        stream = open(session, said, &place.cursor).await.map(tonic::Response::into_inner);
    }
}

async fn open(
    session: &Session,
    said: &Watch,
    cursor: &str,
) -> Result<tonic::Response<Streaming<v1::WatchRevocationsResponse>>, Status> {
    let request =
        v1::WatchRevocationsRequest { workspace: said.workspace.clone(), cursor: cursor.to_owned() };
    session.tokens().watch_revocations(request).await
}

/// Writes what comes until the stream ends, and gives its end.
async fn follow(
    mut stream: Streaming<v1::WatchRevocationsResponse>,
    said: &Watch,
    place: &mut Place,
) -> Result<Status, CliError> {
    loop {
        let frame = match stream.message().await {
            Ok(Some(frame)) => frame,
            Ok(None) => return Ok(Status::unavailable("the stream was cut")),
            Err(status) => return Ok(status),
        };
        place.pause = FIRST_PAUSE;
        let cursor = frame.cursor.clone();
        if said.progress || matches!(frame.frame, Some(Frame::Event(_))) {
            place.list.add(&[frame])?;
        }
        // Only what was written is behind us.
        place.cursor = cursor;
    }
}

/// Whether a stream can be gone on with after this end: the server, or the way to it, went away, or we were too slow.
fn can_go_on(ended: &Status) -> bool {
    match ended.code() {
        Code::Unavailable | Code::ResourceExhausted => true,
        Code::Unknown | Code::Internal | Code::Cancelled => is_lost(ended),
        Code::Ok
        | Code::InvalidArgument
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::DataLoss
        | Code::Unauthenticated => false,
    }
}

/// The signals that end a program at a terminal or under a supervisor.
struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    fn new() -> io::Result<Self> {
        let (interrupt, terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(Self { interrupt, terminate })
    }

    async fn told(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
