//! HTTP/2 as a gRPC client speaks it, without I/O: bytes in, events out, bytes to send gathered.
//!
//! It is cheap on purpose, so that one core of load can keep one core of server busy, and speaks as common clients do: all
//! headers of a request go into the table of the connection, so that a second request names them by an index each.

use std::collections::HashMap;

use loona_hpack::Decoder;

use super::headers::Headers;
use crate::measure::page::Outcome;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME: usize = 9;

/// Every answer may be as long as it likes; what matters is how fast it comes.
const WINDOW: u32 = 0x7fff_ffff;

/// The most that a peer takes in one frame, unless it says otherwise (RFC 9113, 6.5.2).
const LARGEST_FRAME: usize = 16_384;

/// The window that both ends begin with (RFC 9113, 6.9.2).
const FIRST_WINDOW: i64 = 65_535;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 0x1;
const ACK: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// What a peer may say on a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event<'bytes> {
    /// A part of the answer's messages, with their prefixes.
    Data(u32, &'bytes [u8]),
    /// The stream has ended with this status, or was reset without one.
    End(u32, Option<u8>),
}

/// One connection of a client whose requests all have the same headers but the path.
pub(crate) struct Http2 {
    /// What is to be sent.
    pub(crate) outbound: Vec<u8>,
    inbound: Vec<u8>,
    decoder: Decoder<'static>,
    headers: Headers,
    next_stream: u32,
    /// What may still be sent on the connection, and on each new stream.
    window: i64,
    stream_window: i64,
    /// What came since the peer was told last that it may send more.
    taken: u32,
    /// The status of a stream whose headers came before its end.
    statuses: HashMap<u32, u8>,
    block: Vec<u8>,
    going_away: bool,
}

impl Http2 {
    pub(crate) fn new(scheme: &'static str, authority: &str, credential: Option<&str>) -> Self {
        let mut outbound = PREFACE.to_vec();
        frame(&mut outbound, SETTINGS, 0, 0, &[&4_u16.to_be_bytes()[..], &WINDOW.to_be_bytes()].concat());
        frame(&mut outbound, WINDOW_UPDATE, 0, 0, &(WINDOW - 65_535).to_be_bytes());
        Self {
            outbound,
            inbound: Vec::new(),
            decoder: Decoder::new(),
            headers: Headers::new(scheme, authority, credential),
            next_stream: 1,
            window: FIRST_WINDOW,
            stream_window: FIRST_WINDOW,
            taken: 0,
            statuses: HashMap::new(),
            block: Vec::new(),
            going_away: false,
        }
    }

    /// Whether a request of that many bytes may be sent now.
    pub(crate) fn has_room(&self, size: usize) -> bool {
        let room = self.window.min(self.stream_window);
        !self.going_away && i64::try_from(size).is_ok_and(|size| size <= room)
    }

    /// Whether the peer takes no more requests on this connection.
    pub(crate) const fn is_going_away(&self) -> bool {
        self.going_away
    }

    /// Sends a request whose only message, with its prefix, is `message`; gives its stream.
    pub(crate) fn send(&mut self, path: &'static str, message: &[u8]) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        self.block.clear();
        self.headers.encode(path, &mut self.block);
        frame(&mut self.outbound, HEADERS, END_HEADERS, stream, &self.block);
        let mut parts = message.chunks(LARGEST_FRAME).peekable();
        while let Some(part) = parts.next() {
            let flags = if parts.peek().is_none() { END_STREAM } else { 0 };
            frame(&mut self.outbound, DATA, flags, stream, part);
        }
        self.window -= i64::try_from(message.len()).unwrap_or(i64::MAX);
        stream
    }

    /// Takes what has come in, and tells what it says.
    pub(crate) fn receive(&mut self, bytes: &[u8], mut told: impl FnMut(Event<'_>)) -> Outcome<()> {
        let mut inbound = std::mem::take(&mut self.inbound);
        inbound.extend_from_slice(bytes);
        let mut rest = inbound.as_slice();
        while let Some((header, payload, after)) = next_frame(rest) {
            self.take(header, payload, &mut told)?;
            rest = after;
        }
        let left = rest.len();
        inbound.drain(..inbound.len() - left);
        self.inbound = inbound;
        self.give_room();
        Ok(())
    }

    fn take(&mut self, header: Header, payload: &[u8], told: &mut impl FnMut(Event<'_>)) -> Outcome<()> {
        let Header { kind, flags, stream } = header;
        match kind {
            DATA => {
                self.taken = self.taken.saturating_add(u32::try_from(payload.len())?);
                told(Event::Data(stream, unpadded(flags, payload)?));
                if flags & END_STREAM > 0 {
                    told(Event::End(stream, self.statuses.remove(&stream)));
                }
            }
            HEADERS if flags & END_HEADERS == 0 => return Err("headers in several frames".into()),
            HEADERS => {
                let block = unpadded(flags, payload)?;
                let block = if flags & PRIORITY > 0 { block.get(5..).ok_or("a short frame")? } else { block };
                let status = self.status_in(block)?;
                if flags & END_STREAM > 0 {
                    let status = status.or_else(|| self.statuses.remove(&stream));
                    told(Event::End(stream, status));
                } else if let Some(status) = status {
                    self.statuses.insert(stream, status);
                }
            }
            RESET => told(Event::End(stream, None)),
            SETTINGS if flags & ACK == 0 => {
                self.settle(payload)?;
                frame(&mut self.outbound, SETTINGS, ACK, 0, &[]);
            }
            PING if flags & ACK == 0 => frame(&mut self.outbound, PING, ACK, 0, payload),
            GO_AWAY => self.going_away = true,
            WINDOW_UPDATE if stream == 0 => self.window += i64::from(number(payload)? & WINDOW),
            CONTINUATION => return Err("headers in several frames".into()),
            // What else there is asks nothing of a client.
            _ => {}
        }
        Ok(())
    }

    /// The status of gRPC in a header block, which has to be read in any case, since it may change the table.
    fn status_in(&mut self, block: &[u8]) -> Outcome<Option<u8>> {
        let (mut grpc, mut http) = (None, None);
        let decoded = self.decoder.decode_with_cb(block, |name, value| match &*name {
            b"grpc-status" => grpc = std::str::from_utf8(&value).ok().and_then(|value| value.parse().ok()),
            b":status" => http = Some(&*value == b"200"),
            _ => {}
        });
        decoded.map_err(|error| format!("a header block that cannot be read: {error:?}"))?;
        if http == Some(false) { Err("a status of HTTP that is not 200".into()) } else { Ok(grpc) }
    }

    fn settle(&mut self, settings: &[u8]) -> Outcome<()> {
        const INITIAL_WINDOW_SIZE: [u8; 2] = [0, 4];
        for setting in settings.chunks_exact(6) {
            if let Some(value) = setting.strip_prefix(&INITIAL_WINDOW_SIZE) {
                self.stream_window = i64::from(number(value)?);
            }
        }
        Ok(())
    }

    fn give_room(&mut self) {
        if self.taken > WINDOW / 2 {
            frame(&mut self.outbound, WINDOW_UPDATE, 0, 0, &self.taken.to_be_bytes());
            self.taken = 0;
        }
    }
}

/// What every frame begins with.
#[derive(Clone, Copy)]
struct Header {
    kind: u8,
    flags: u8,
    stream: u32,
}

/// The first frame, and what follows it.
fn next_frame(bytes: &[u8]) -> Option<(Header, &[u8], &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<FRAME>()?;
    let [a, b, c, kind, flags, stream @ ..] = *header;
    let length = u32::from_be_bytes([0, a, b, c]) as usize;
    let (payload, rest) = rest.split_at_checked(length)?;
    Some((Header { kind, flags, stream: u32::from_be_bytes(stream) & WINDOW }, payload, rest))
}

fn frame(outbound: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    outbound.extend_from_slice(&length);
    outbound.extend_from_slice(&[kind, flags]);
    outbound.extend_from_slice(&stream.to_be_bytes());
    outbound.extend_from_slice(payload);
}

fn unpadded(flags: u8, payload: &[u8]) -> Outcome<&[u8]> {
    if flags & PADDED == 0 {
        return Ok(payload);
    }
    let (padding, rest) = payload.split_first().ok_or("a short frame")?;
    let length = rest.len().checked_sub(usize::from(*padding)).ok_or("a short frame")?;
    Ok(rest.get(..length).unwrap_or_default())
}

fn number(bytes: &[u8]) -> Outcome<u32> {
    Ok(u32::from_be_bytes(bytes.try_into()?))
}
