//! Every bound the transport holds a client to, in one place.

use std::io;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Bounds on connections, on HTTP/2 and on requests. The defaults are for a public listener; HTTP/2
/// libraries leave several of these open, so each is set by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once, over all listeners. Each takes a file descriptor.
    pub connections: usize,
    /// Connections open at once from one peer: an IPv4 address, or an IPv6 /64, which is what one
    /// customer is commonly given. Unix sockets are exempt.
    pub connections_per_peer: usize,
    /// Requests being answered at once, over all connections. A stream counts until its headers are sent.
    pub requests_in_flight: usize,
    /// The longest a unary call may take, whatever longer timeout its client names.
    pub unary_deadline: Duration,
    /// Time to complete a TLS handshake.
    pub tls_handshake_timeout: Duration,
    /// Time to send the 24 bytes of the HTTP/2 client preface, counted from when TLS is done.
    pub preface_timeout: Duration,
    /// Quiet time after which a connection is pinged.
    pub keepalive_interval: Duration,
    /// Time to answer such a ping.
    pub keepalive_timeout: Duration,
    /// The longest a write may wait for a peer that takes nothing. Pings cannot end such a connection:
    /// closing it in order would wait for the same peer.
    pub write_stall_timeout: Duration,
    /// Streams open at once on one connection.
    pub concurrent_streams: u32,
    /// Streams reset over the peer's errors before the connection is closed (RUSTSEC-2024-0003).
    pub local_error_reset_streams: usize,
    /// Streams the peer reset before they were accepted until the connection is closed (CVE-2023-44487).
    pub pending_accept_reset_streams: usize,
    /// Size of a request's headers in bytes, as HTTP/2 counts it.
    pub header_list_size: u32,
    /// Flow-control window of a stream in bytes.
    pub stream_window: u32,
    /// Flow-control window of a connection in bytes.
    pub connection_window: u32,
    /// Bytes of a response buffered for one stream.
    pub send_buffer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_peer: 2_000,
            requests_in_flight: 4_096,
            unary_deadline: Duration::from_secs(10),
            tls_handshake_timeout: Duration::from_secs(3),
            preface_timeout: Duration::from_secs(5),
            keepalive_interval: Duration::from_secs(10),
            keepalive_timeout: Duration::from_secs(5),
            write_stall_timeout: Duration::from_secs(15),
            concurrent_streams: 128,
            local_error_reset_streams: 256,
            pending_accept_reset_streams: 20,
            header_list_size: 8 * 1024,
            stream_window: 64 * 1024,
            connection_window: 256 * 1024,
            send_buffer: 64 * 1024,
        }
    }
}

/// Raises the number of files this process may have open to the most it is allowed, since the usual
/// soft limit (1024) is far below [`Limits::connections`]. Gives that number, none if there is no bound.
///
/// # Errors
/// What the system said, if it refused.
pub fn raise_descriptor_limit() -> io::Result<Option<u64>> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    Ok(maximum)
}
