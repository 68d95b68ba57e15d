//! Where the server listens: the addresses, the sockets bound to them, and where plaintext may go.

use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::net::{self, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net as unix;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, listen, socket, sockopt};
use thiserror::Error;

/// Connections the kernel holds until they are accepted; its own maximum (4096 by default) also applies.
const BACKLOG: i32 = 4096;

/// A place to listen on: `127.0.0.1:50051`, `[::1]:0` or `unix:/path/to.sock`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ListenAddress {
    /// An IP address and port; port 0 lets the system choose.
    Tcp(SocketAddr),
    /// The absolute path of a Unix socket.
    Unix(PathBuf),
}

/// The text is no listen address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no listen address: write an IP address and port (127.0.0.1:50051, [::1]:0) or unix:/path")]
pub struct ListenAddressError(String);

/// Why the server cannot listen.
#[derive(Debug, Error)]
pub enum ListenError {
    /// The system refused the address.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address asked for.
        address: ListenAddress,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process accepts connections on this Unix socket.
    #[error("another process accepts connections on {}", .0.display())]
    InUse(PathBuf),
    /// Something that is not a socket stands where the Unix socket should go.
    #[error("{} exists and is not a socket", .0.display())]
    NotASocket(PathBuf),
    /// Without TLS the address could be read by the network.
    #[error(
        "{0} is beyond loopback and TLS is off: set a certificate, or ask for plaintext by name with \
         --insecure-plaintext (TOKENKEEP_INSECURE_PLAINTEXT)"
    )]
    PlaintextRefused(ListenAddress),
}

/// A socket that listens, not yet known to any runtime.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(net::TcpListener),
    Unix(unix::UnixListener),
}

impl ListenAddress {
    /// Whether only this machine can reach the address: a loopback address or a Unix socket.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }

    /// The IP address and port, if it is one.
    #[must_use]
    pub const fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// Listens on the address and gives the socket and the address it has got. A Unix socket's file gets that mode.
    pub(super) fn bind(&self, socket_mode: u32) -> Result<(Listener, Self), ListenError> {
        match self {
            Self::Tcp(address) => bind_tcp(*address).map_err(|error| self.refused(error)),
            Self::Unix(path) => {
                remove_stale(path)?;
                let listener = bind_unix(path, socket_mode).map_err(|error| self.refused(error))?;
                Ok((Listener::Unix(listener), self.clone()))
            }
        }
    }

    fn refused(&self, source: io::Error) -> ListenError {
        ListenError::Bind { address: self.clone(), source }
    }
}

impl FromStr for ListenAddress {
    type Err = ListenAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ListenAddressError(text.to_owned());
        match text.strip_prefix("unix:").map(PathBuf::from) {
            Some(path) if path.is_absolute() => Ok(Self::Unix(path)),
            Some(_) => Err(error()),
            None => text.parse().map(Self::Tcp).map_err(|_| error()),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

/// Refuses the first address that plaintext would leave this machine by, unless `insecure_plaintext`.
///
/// # Errors
/// [`ListenError::PlaintextRefused`] names that address and the setting that would allow it.
pub fn check_plaintext(addresses: &[ListenAddress], insecure_plaintext: bool) -> Result<(), ListenError> {
    match addresses.iter().find(|address| !address.is_loopback()) {
        Some(exposed) if !insecure_plaintext => Err(ListenError::PlaintextRefused(exposed.clone())),
        _ => Ok(()),
    }
}

fn bind_tcp(address: SocketAddr) -> io::Result<(Listener, ListenAddress)> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let descriptor = socket(family, SocketType::STREAM, None)?;
    sockopt::set_socket_reuseaddr(&descriptor, true)?;
    bind(&descriptor, &address)?;
    listen(&descriptor, BACKLOG)?;
    let listener = net::TcpListener::from(descriptor);
    let address = ListenAddress::Tcp(listener.local_addr()?);
    Ok((Listener::Tcp(listener), address))
}

/// The file gets its mode before the socket listens, so that nobody connects in between.
fn bind_unix(path: &Path, mode: u32) -> io::Result<unix::UnixListener> {
    let descriptor: OwnedFd = socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    bind(&descriptor, &SocketAddrUnix::new(path)?)?;
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    listen(&descriptor, BACKLOG)?;
    Ok(descriptor.into())
}

/// Removes the socket file of a process that is gone.
fn remove_stale(path: &Path) -> Result<(), ListenError> {
    let bind_error = |source| ListenError::Bind { address: ListenAddress::Unix(path.to_owned()), source };
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(bind_error(error)),
    };
    if !kind.is_socket() {
        return Err(ListenError::NotASocket(path.to_owned()));
    }
    match unix::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(bind_error)
        }
        Ok(_) => Err(ListenError::InUse(path.to_owned())),
        Err(error) => Err(bind_error(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> ListenAddress {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_reads_back_as_written() {
        for text in ["127.0.0.1:50051", "[::1]:0", "unix:/run/tokenkeep.sock"] {
            assert_eq!(address(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "50051", "localhost:50051", "127.0.0.1", "unix:", "unix:relative.sock"] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn plaintext_beyond_loopback_must_be_asked_for_by_name() {
        let inside = ["127.0.0.2:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "unix:/s"].map(address);
        assert!(check_plaintext(&inside, false).is_ok());
        for text in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "[::ffff:192.0.2.1]:1"] {
            let error = check_plaintext(&[address("127.0.0.1:1"), address(text)], false).unwrap_err();
            assert!(error.to_string().contains("--insecure-plaintext"), "{error}");
            assert!(check_plaintext(&[address(text)], true).is_ok());
        }
    }
}
