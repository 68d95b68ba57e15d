//! A server to ask: its address, how it is told from others, and the credential that is presented to it.

mod credential;

use std::net::IpAddr;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretSlice};
use tonic::metadata::errors::InvalidMetadataValue;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity, Uri};
use tonic::{Request, Status};

pub use credential::{Credential, CredentialError, CredentialFile};

/// How long a connection may take to be made.
pub const CONNECT: Duration = Duration::from_secs(1);

/// Quiet time after which a connection is pinged, and time to answer: what a link that is open at one end only costs.
const KEEPALIVE: Duration = Duration::from_secs(1);

/// How servers are told from others, and how whoever asks is, when TLS is spoken.
#[derive(Debug, Clone, Default)]
pub struct UpstreamTls {
    /// The authorities that are trusted, in PEM; those of the web if there are none.
    pub authority: Option<Vec<u8>>,
    /// The name that the server's certificate must bear, if not the host of the address.
    pub server_name: Option<String>,
    /// The certificate chain of whoever asks and its private key, in PEM.
    pub identity: Option<(Vec<u8>, SecretSlice<u8>)>,
}

/// An address that cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// Not of a form that is known.
    #[error("`{0}` is no address of a server: write https://host:port, http://127.0.0.1:port or unix:/path")]
    Malformed(String),
    /// The credential and every token would cross a network for all to read.
    #[error(
        "`{0}` is beyond loopback and without TLS: write https://, or ask for it with --insecure-plaintext"
    )]
    PlaintextRefused(String),
    /// The TLS files cannot be used.
    #[error("cannot speak TLS to `{address}`")]
    Tls {
        /// The address.
        address: String,
        /// The reason.
        #[source]
        source: tonic::transport::Error,
    },
}

/// A server to ask.
#[derive(Debug, Clone)]
pub struct Upstream {
    address: String,
    endpoint: Endpoint,
}

/// Puts the credential into every request.
#[derive(Clone)]
pub struct Authorize(MetadataValue<Ascii>);

/// A connection that presents the credential.
pub type Authorized = InterceptedService<Channel, Authorize>;

impl Upstream {
    /// A server at `https://host:port`, at `unix:/path`, or at `http://host:port`, which without `insecure_plaintext`
    /// must be of this machine.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub fn new(address: &str, tls: &UpstreamTls, insecure_plaintext: bool) -> Result<Self, UpstreamError> {
        let malformed = || UpstreamError::Malformed(address.to_owned());
        let parse = |uri: String| Endpoint::from_shared(uri).map_err(|_| malformed());
        if let Some(path) = address.strip_prefix("unix:") {
            if !path.starts_with('/') {
                return Err(malformed());
            }
            let endpoint = with_limits(parse(format!("unix://{path}"))?);
            return Ok(Self { address: address.to_owned(), endpoint });
        }
        let mut endpoint = parse(address.to_owned())?;
        match (endpoint.uri().scheme_str(), endpoint.uri().host()) {
            (Some("https"), Some(_)) => {
                let failed = |source| UpstreamError::Tls { address: address.to_owned(), source };
                endpoint = endpoint.tls_config(tls.config()).map_err(failed)?;
            }
            (Some("http"), Some(_)) if insecure_plaintext || is_loopback(endpoint.uri()) => {}
            (Some("http"), Some(_)) => return Err(UpstreamError::PlaintextRefused(address.to_owned())),
            _ => return Err(malformed()),
        }
        Ok(Self { address: address.to_owned(), endpoint: with_limits(endpoint) })
    }

    /// The address, as it was given.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A connection, made now.
    ///
    /// # Errors
    /// The transport's, if nobody is there.
    pub async fn connect(&self) -> Result<Channel, tonic::transport::Error> {
        self.endpoint.connect().await
    }

    /// A connection that is made when it is first used, and again when it is lost.
    #[must_use]
    pub fn connect_lazily(&self) -> Channel {
        self.endpoint.connect_lazy()
    }

    /// The same for somebody who would rather wait for this long than be told of a link that hiccups.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        let endpoint = self.endpoint.connect_timeout(patience);
        self.endpoint = endpoint.http2_keep_alive_interval(patience).keep_alive_timeout(patience);
        self
    }
}

fn with_limits(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true)
}

fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or(host == "localhost", |address| address.to_canonical().is_loopback())
}

impl UpstreamTls {
    fn config(&self) -> ClientTlsConfig {
        let mut config = match &self.authority {
            Some(pem) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem)),
            None => ClientTlsConfig::new().trust_anchors(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        };
        if let Some(name) = &self.server_name {
            config = config.domain_name(name);
        }
        if let Some((certificate, key)) = &self.identity {
            config = config.identity(Identity::from_pem(certificate, key.expose_secret()));
        }
        config
    }
}

impl Authorize {
    /// With a credential.
    ///
    /// # Errors
    /// [`InvalidMetadataValue`] if it cannot stand in a header, as no token of ours.
    pub fn with(credential: &Credential) -> Result<Self, InvalidMetadataValue> {
        let header = zeroize::Zeroizing::new(format!("Bearer {}", credential.text().expose_secret()));
        let mut value = MetadataValue::try_from(header.as_str())?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl Interceptor for Authorize {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plaintext_beyond_this_machine_must_be_asked_for_by_name() {
        let tls = UpstreamTls::default();
        for address in ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1", "unix:/run/s"] {
            Upstream::new(address, &tls, false).unwrap();
        }
        for address in ["http://192.0.2.1:1", "http://tokens.example:1", "http://localhost.example:1"] {
            let refused = Upstream::new(address, &tls, false);
            assert!(matches!(refused, Err(UpstreamError::PlaintextRefused(_))), "{address}: {refused:?}");
            Upstream::new(address, &tls, true).unwrap();
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for address in ["", "127.0.0.1:1", "ftp://host:1", "unix:relative", "http://"] {
            let refused = Upstream::new(address, &UpstreamTls::default(), true);
            assert!(matches!(refused, Err(UpstreamError::Malformed(_))), "{address}: {refused:?}");
        }
    }
}
