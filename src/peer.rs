//! Who is at the other end of a connection.

use std::net::{IpAddr, SocketAddr};

/// Who is at the other end; each request carries it among its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// A process of this machine that may open the socket's file.
    Unix,
    /// A peer on a plaintext connection.
    Plaintext {
        /// Its address.
        address: SocketAddr,
    },
    /// A peer on a TLS connection.
    Tls {
        /// Its address.
        address: SocketAddr,
        /// Whether it showed a certificate that the client authority signed.
        client_certificate: bool,
    },
}

impl Peer {
    /// Its address; a Unix socket has none.
    #[must_use]
    pub const fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Unix => None,
            Self::Plaintext { address } | Self::Tls { address, .. } => Some(address.ip()),
        }
    }
}
