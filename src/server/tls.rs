//! TLS from PEM files, and its renewal when the files change.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::{CryptoProvider, ring};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, VerifierBuilderError, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::{error, info};
use zeroize::Zeroizing;

use super::counters::{ConnectionCounters, count};

/// The PEM files that make the server's TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate, followed by any intermediate ones.
    pub certificate_chain: PathBuf,
    /// The private key of the first certificate.
    pub private_key: PathBuf,
    /// If set, a client must present a certificate that one of these authorities signed.
    pub client_authority: Option<PathBuf>,
    /// How often the files are looked at for a change; 5 s is a good value.
    pub reload_interval: Duration,
}

/// Why the files make no TLS.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The file is missing or may not be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file is broken PEM.
    #[error("{} is not valid PEM", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where the reading failed.
        #[source]
        source: pem::Error,
    },
    /// The file holds no certificate.
    #[error("{} holds no certificate", .0.display())]
    NoCertificate(PathBuf),
    /// The file holds no private key.
    #[error("{} holds no private key", .0.display())]
    NoPrivateKey(PathBuf),
    /// The key is another certificate's.
    #[error(
        "the key in {} does not belong to the certificate in {}",
        private_key.display(),
        certificate_chain.display()
    )]
    KeyMismatch {
        /// The key's file.
        private_key: PathBuf,
        /// The certificate's file.
        certificate_chain: PathBuf,
    },
    /// The certificate or the key is of a kind that cannot be used.
    #[error(
        "the certificate in {} cannot be used with the key in {}",
        certificate_chain.display(),
        private_key.display()
    )]
    Unusable {
        /// The key's file.
        private_key: PathBuf,
        /// The certificate's file.
        certificate_chain: PathBuf,
        /// What the TLS library said.
        #[source]
        source: rustls::Error,
    },
    /// The authority's certificates cannot verify clients.
    #[error("the authority in {} cannot verify clients", path.display())]
    ClientAuthority {
        /// The authority's file.
        path: PathBuf,
        /// What the TLS library said.
        #[source]
        source: VerifierBuilderError,
    },
    /// A certificate of the authority cannot be read.
    #[error("a certificate in {} cannot be read", path.display())]
    AuthorityCertificate {
        /// The authority's file.
        path: PathBuf,
        /// What the TLS library said.
        #[source]
        source: rustls::Error,
    },
    /// The provider offers no suite for TLS 1.2 and 1.3.
    #[error("TLS 1.2 and 1.3 are not available")]
    Versions(#[source] rustls::Error),
}

/// The configuration new connections use; it follows the files.
#[derive(Clone)]
pub(super) struct CurrentConfig(watch::Receiver<Arc<ServerConfig>>);

/// Looks at the files now and then and puts a new configuration in place.
pub(super) struct Reloader {
    files: TlsFiles,
    seen: Vec<Option<Stamp>>,
    current: watch::Sender<Arc<ServerConfig>>,
    counters: Arc<ConnectionCounters>,
    complaint: Option<String>,
}

/// What tells one state of a file from the next: any write, replacement or change of mode alters it.
type Stamp = (i64, i64, u64, u64);

impl TlsFiles {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`] names the file and what is wrong with it.
    pub fn load(&self) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let verifier = self.client_verifier(&provider)?;
        let chain = certificates(&self.certificate_chain)?;
        let key = private_key(&self.private_key)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(TlsError::Versions)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(|source| self.unusable(source))?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }

    /// Reads the files and gives their configuration, with what keeps it up to date.
    pub(super) fn follow(
        self,
        counters: Arc<ConnectionCounters>,
    ) -> Result<(CurrentConfig, Reloader), TlsError> {
        let seen = self.stamps();
        let (sender, receiver) = watch::channel(Arc::new(self.load()?));
        let reloader = Reloader { files: self, seen, current: sender, counters, complaint: None };
        Ok((CurrentConfig(receiver), reloader))
    }

    fn client_verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let Some(path) = &self.client_authority else { return Ok(Arc::new(NoClientAuth)) };
        let mut roots = RootCertStore::empty();
        for certificate in certificates(path)? {
            roots
                .add(certificate)
                .map_err(|source| TlsError::AuthorityCertificate { path: path.clone(), source })?;
        }
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .build()
            .map_err(|source| TlsError::ClientAuthority { path: path.clone(), source })
    }

    fn unusable(&self, source: rustls::Error) -> TlsError {
        let (private_key, certificate_chain) = (self.private_key.clone(), self.certificate_chain.clone());
        if matches!(source, rustls::Error::InconsistentKeys(_)) {
            TlsError::KeyMismatch { private_key, certificate_chain }
        } else {
            TlsError::Unusable { private_key, certificate_chain, source }
        }
    }

    fn stamps(&self) -> Vec<Option<Stamp>> {
        let files = [Some(&self.certificate_chain), Some(&self.private_key), self.client_authority.as_ref()];
        files.into_iter().flatten().map(|path| fs::metadata(path).ok().as_ref().map(stamp)).collect()
    }
}

impl CurrentConfig {
    pub(super) fn get(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.borrow())
    }
}

impl Reloader {
    /// Follows the files for as long as it is polled.
    pub(super) async fn run(mut self) {
        loop {
            sleep(self.files.reload_interval).await;
            match spawn_blocking(move || self.check()).await {
                Ok(checked) => self = checked,
                Err(failure) => return error!(%failure, "certificates are no longer followed"),
            }
        }
    }

    /// Files that fail to load are tried again each time, since what is wrong may lie outside of them.
    fn check(mut self) -> Self {
        let stamps = self.files.stamps();
        if stamps == self.seen && self.complaint.is_none() {
            return self;
        }
        self.seen = stamps;
        match self.files.load() {
            Ok(config) => {
                self.current.send_replace(Arc::new(config));
                self.complaint = None;
                info!("certificates reloaded");
            }
            Err(failure) => self.complain(&failure),
        }
        self
    }

    /// Says once what is wrong; the configuration in place stays.
    fn complain(&mut self, failure: &TlsError) {
        count(&self.counters.tls_reload_failed);
        let complaint = failure.to_string();
        if self.complaint.as_ref() != Some(&complaint) {
            error!(
                error = failure as &dyn std::error::Error,
                "certificates not reloaded, the old stay in use"
            );
            self.complaint = Some(complaint);
        }
    }
}

fn stamp(metadata: &Metadata) -> Stamp {
    (metadata.ctime(), metadata.ctime_nsec(), metadata.ino(), metadata.len())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(path)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|source| TlsError::Malformed { path: path.to_owned(), source })?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate(path.to_owned()));
    }
    Ok(certificates)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| {
        let path = path.to_owned();
        if matches!(error, pem::Error::NoItemsFound) {
            TlsError::NoPrivateKey(path)
        } else {
            TlsError::Malformed { path, source: error }
        }
    })
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    fs::read(path)
        .map(Zeroizing::new)
        .map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })
}
