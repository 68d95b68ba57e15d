//! Whom the load is for, and the sockets that lead there: plaintext, TLS or a Unix socket, none of which ever waits.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::measure::page::Outcome;

/// A server's address, and how it is spoken to.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Plaintext(SocketAddr),
    /// With the certificate that the server's must be signed by, or be.
    Tls(SocketAddr, CertificateDer<'static>),
    Unix(PathBuf),
}

/// An open connection. Reading and writing never wait.
pub(crate) enum Socket {
    Plaintext(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    Unix(UnixStream),
}

impl Target {
    /// Over TLS to a server with the certificate in this file, or one that it signed.
    pub(crate) fn tls(address: SocketAddr, file: &Path) -> Outcome<Self> {
        Ok(Self::Tls(address, CertificateDer::from_pem_file(file)?))
    }

    pub(crate) const fn scheme(&self) -> &'static str {
        match self {
            Self::Tls(..) => "https",
            Self::Plaintext(_) | Self::Unix(_) => "http",
        }
    }

    pub(crate) fn authority(&self) -> String {
        match self {
            Self::Plaintext(address) | Self::Tls(address, _) => address.to_string(),
            Self::Unix(_) => "localhost".to_owned(),
        }
    }

    pub(crate) fn connect(&self) -> Outcome<Socket> {
        Ok(match self {
            Self::Plaintext(address) => Socket::Plaintext(tcp(*address)?),
            Self::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_nonblocking(true)?;
                Socket::Unix(stream)
            }
            Self::Tls(address, certificate) => {
                let mut trusted = RootCertStore::empty();
                trusted.add(certificate.clone())?;
                let provider = Arc::new(rustls::crypto::ring::default_provider());
                let config =
                    ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
                let mut config = config.with_root_certificates(trusted).with_no_client_auth();
                config.alpn_protocols = vec![b"h2".to_vec()];
                let name = ServerName::IpAddress(address.ip().into());
                let mut connection = ClientConnection::new(Arc::new(config), name)?;
                let mut stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                connection.complete_io(&mut stream)?;
                stream.set_nonblocking(true)?;
                Socket::Tls(Box::new(StreamOwned::new(connection, stream)))
            }
        })
    }
}

fn tcp(address: SocketAddr) -> Outcome<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

impl Socket {
    /// What there is to read now; nothing if there is nothing yet. An end is a failure: nobody asked for it.
    pub(crate) fn read<'buffer>(&mut self, buffer: &'buffer mut [u8]) -> Outcome<&'buffer [u8]> {
        match waited(self.reader().read(buffer))? {
            Some(0) => Err("the server has closed a connection".into()),
            count => Ok(buffer.get(..count.unwrap_or_default()).unwrap_or_default()),
        }
    }

    /// Sends what can be sent now, and removes it.
    pub(crate) fn write(&mut self, outbound: &mut Vec<u8>) -> Outcome<()> {
        while !outbound.is_empty() {
            let Some(count) = waited(self.writer().write(outbound))? else { return Ok(()) };
            outbound.drain(..count);
        }
        if let Self::Tls(stream) = self {
            waited(stream.flush())?;
        }
        Ok(())
    }

    fn reader(&mut self) -> &mut dyn Read {
        match self {
            Self::Plaintext(stream) => stream,
            Self::Tls(stream) => stream,
            Self::Unix(stream) => stream,
        }
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Plaintext(stream) => stream,
            Self::Tls(stream) => stream,
            Self::Unix(stream) => stream,
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Plaintext(stream) => stream.as_fd(),
            Self::Tls(stream) => stream.sock.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

/// `None` for what would have had to wait.
fn waited<Done>(done: std::io::Result<Done>) -> Outcome<Option<Done>> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
