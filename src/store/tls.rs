//! TLS towards PostgreSQL, with libpq's words for how much of it is wanted.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_postgres::config::SslMode;

/// Why the TLS that a database URL asks for cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Not one of libpq's modes.
    #[error("sslmode must be disable, prefer, require, verify-ca or verify-full")]
    UnknownMode,
    /// `sslcert` without `sslkey`, or the other way round.
    #[error("sslcert and sslkey need each other")]
    HalfIdentity,
    /// A file that is missing, unreadable, or holds nothing of the kind.
    #[error("{parameter} names {path}, which cannot be read")]
    UnreadableFile {
        /// The parameter that names it.
        parameter: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// The certificates cannot be used.
    #[error("the certificates cannot be used")]
    Unusable(#[source] rustls::Error),
}

/// How much of the server is verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Mode {
    Disable,
    #[default]
    Prefer,
    Require,
    VerifyChain,
    VerifyFull,
}

/// What a database URL says of TLS.
#[derive(Debug, Clone, Default)]
pub(super) struct TlsSettings {
    mode: Mode,
    root: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
}

impl TlsSettings {
    /// Takes a parameter of the URL if it is about TLS; tells whether it was.
    pub(super) fn take(&mut self, name: &str, value: &str) -> Result<bool, TlsError> {
        match name {
            "sslmode" => self.mode = Mode::parse(value)?,
            // libpq's word for the roots that the system trusts; ours come with the program.
            "sslrootcert" => self.root = (value != "system").then(|| value.into()),
            "sslcert" => self.certificate = Some(value.into()),
            "sslkey" => self.key = Some(value.into()),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// What tokio-postgres must insist on; the certificate is ours to verify.
    pub(super) const fn negotiation(&self) -> SslMode {
        match self.mode {
            Mode::Disable => SslMode::Disable,
            Mode::Prefer => SslMode::Prefer,
            Mode::Require | Mode::VerifyChain | Mode::VerifyFull => SslMode::Require,
        }
    }

    /// The TLS client that these settings ask for. Reads the files they name.
    pub(super) fn client(&self) -> Result<ClientConfig, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(&provider)?);
        match (&self.certificate, &self.key) {
            (None, None) => Ok(builder.with_no_client_auth()),
            (Some(certificate), Some(key)) => builder
                .with_client_auth_cert(certificates("sslcert", certificate)?, private_key(key)?)
                .map_err(TlsError::Unusable),
            (Some(_), None) | (None, Some(_)) => Err(TlsError::HalfIdentity),
        }
    }

    /// As libpq has it, `prefer` and `require` verify nothing, unless `require` is given a root to verify with.
    fn verifier(&self, provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
        let algorithms = provider.signature_verification_algorithms;
        let chain = |roots| Arc::new(Unnamed { roots, algorithms });
        match (self.mode, &self.root) {
            (Mode::Disable | Mode::Prefer, _) | (Mode::Require, None) => Ok(chain(None)),
            (Mode::Require, Some(_)) | (Mode::VerifyChain, _) => Ok(chain(Some(self.roots()?))),
            (Mode::VerifyFull, _) => {
                let roots = Arc::new(self.roots()?);
                let built = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider)).build();
                built.map(|verifier| verifier as _).map_err(|error| TlsError::Unusable(error_of(&error)))
            }
        }
    }

    fn roots(&self) -> Result<RootCertStore, TlsError> {
        let Some(path) = &self.root else {
            return Ok(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect());
        };
        let mut roots = RootCertStore::empty();
        for certificate in certificates("sslrootcert", path)? {
            roots.add(certificate).map_err(TlsError::Unusable)?;
        }
        Ok(roots)
    }
}

impl Mode {
    fn parse(text: &str) -> Result<Self, TlsError> {
        match text {
            "disable" => Ok(Self::Disable),
            "prefer" => Ok(Self::Prefer),
            "require" => Ok(Self::Require),
            "verify-ca" => Ok(Self::VerifyChain),
            "verify-full" => Ok(Self::VerifyFull),
            _ => Err(TlsError::UnknownMode),
        }
    }
}

fn error_of(error: &rustls::client::VerifierBuilderError) -> rustls::Error {
    rustls::Error::General(error.to_string())
}

fn certificates(
    parameter: &'static str,
    path: &std::path::Path,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |source| TlsError::UnreadableFile { parameter, path: path.to_owned(), source };
    let read: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(unreadable)?.collect();
    let found = read.map_err(unreadable)?;
    if found.is_empty() { Err(unreadable(rustls_pki_types::pem::Error::NoItemsFound)) } else { Ok(found) }
}

fn private_key(path: &std::path::Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|source| TlsError::UnreadableFile {
        parameter: "sslkey",
        path: path.to_owned(),
        source,
    })
}

/// Verifies whose hands the server's certificate went through, if there are roots, and never its name. The handshake's
/// signatures are verified in any case.
#[derive(Debug)]
struct Unnamed {
    roots: Option<RootCertStore>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Unnamed {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(roots) = &self.roots {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let algorithms = self.algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
