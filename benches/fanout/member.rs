//! One watcher on a connection of its own, which holds the stream to its word: every event once, and in order.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use crate::load::fields::{Field, fields};
use crate::load::http2::{Event, Http2};
use crate::load::target::Socket;
use crate::measure::page::Outcome;

const PATH: &str = "/tokenkeep.v1.TokenService/WatchRevocations";

/// A request without a cursor is empty: no bytes but the prefix of gRPC.
const REQUEST: [u8; 5] = [0; 5];

/// What the prefix of a message takes.
const PREFIX: usize = 5;

/// As little as the system gives for what was not read yet.
const SMALL_BUFFER: usize = 4_096;

pub(crate) struct Member {
    socket: Socket,
    http2: Http2,
    /// What came of a message that is not whole.
    part: Vec<u8>,
    /// That of the last frame.
    revision: Option<u64>,
    end: Option<End>,
}

/// How a stream came to its end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    /// With this status.
    Status(u8),
    /// With its connection, or without a status.
    Cut,
}

/// What a member was told.
pub(crate) enum Told {
    Event(u64),
    Progress,
}

impl Member {
    /// Connects from this address and asks for everything from now on.
    pub(crate) fn join(
        server: SocketAddr,
        from: Ipv4Addr,
        credential: &str,
        is_small: bool,
    ) -> Outcome<Self> {
        let stream = socket(AddressFamily::INET, SocketType::STREAM, None)?;
        if is_small {
            set_socket_recv_buffer_size(&stream, SMALL_BUFFER)?;
        }
        bind(&stream, &SocketAddr::from((from, 0)))?;
        connect(&stream, &server)?;
        let stream = TcpStream::from(stream);
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut http2 = Http2::new("http", &server.to_string(), Some(credential));
        http2.send(PATH, &REQUEST);
        let mut socket = Socket::Plaintext(stream);
        socket.write(&mut http2.outbound)?;
        Ok(Self { socket, http2, part: Vec::new(), revision: None, end: None })
    }

    /// Whether the first frame has come.
    pub(crate) const fn has_begun(&self) -> bool {
        self.revision.is_some()
    }

    /// How the stream has ended, if it has.
    pub(crate) const fn end(&self) -> Option<End> {
        self.end
    }

    /// Reads what has come. Fails if anything is missing, twice or out of order.
    pub(crate) fn read(&mut self, buffer: &mut [u8], mut heard: impl FnMut(Told)) -> Outcome<()> {
        let Self { socket, http2, part, revision, end } = self;
        let Ok(bytes) = socket.read(buffer) else {
            *end = Some(End::Cut);
            return Ok(());
        };
        let mut judged = Ok(());
        http2.receive(bytes, |event| match event {
            Event::Data(_, data) => {
                part.extend_from_slice(data);
                while judged.is_ok()
                    && let Some(message) = take_message(part)
                {
                    judged = take(revision, &message).map(&mut heard);
                }
            }
            Event::End(_, status) => *end = Some(status.map_or(End::Cut, End::Status)),
        })?;
        if socket.write(&mut http2.outbound).is_err() {
            end.get_or_insert(End::Cut);
        }
        judged
    }
}

impl AsFd for Member {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The first message, without its prefix, once it is whole.
fn take_message(part: &mut Vec<u8>) -> Option<Vec<u8>> {
    let [_, length @ ..] = *part.first_chunk::<PREFIX>()?;
    let end = PREFIX + u32::from_be_bytes(length) as usize;
    let message = part.get(PREFIX..end)?.to_vec();
    part.drain(..end);
    Some(message)
}

/// Judges a frame by the one before.
fn take(last: &mut Option<u64>, message: &[u8]) -> Outcome<Told> {
    const EVENT: u64 = 1;
    const REVISION: u64 = 4;
    let (mut is_event, mut revision) = (false, 0);
    for field in fields(message) {
        match field.ok_or("a frame that is no message")? {
            (EVENT, Field::Bytes(_)) => is_event = true,
            (REVISION, Field::Number(number)) => revision = number,
            _ => {}
        }
    }
    let expected = last.map(|last| last + u64::from(is_event));
    if expected.is_some_and(|expected| expected != revision) {
        return Err(format!("revision {revision} came after {last:?}").into());
    }
    *last = Some(revision);
    Ok(if is_event { Told::Event(revision) } else { Told::Progress })
}
