//! TLS: who is let in, what a bad file is told, and certificates renewed while serving.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokenkeep::peer::Peer;
use tokenkeep::server::serving::{Serving, ServingError};
use tokenkeep::server::tls::{TlsError, TlsFiles};
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;
use tonic::Status;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use tonic_health::pb::health_client::HealthClient;

use crate::harness::*;

/// An authority and what it signs, in a directory of its own.
pub(crate) struct Certificates {
    directory: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Certificates {
    pub(crate) fn new() -> Self {
        let certificates = Self { directory: tempfile::tempdir().unwrap(), authority: authority() };
        certificates.write_pair();
        certificates.write("authority.pem", &certificates.authority.pem());
        certificates
    }

    pub(crate) fn files(&self, mutual: bool) -> TlsFiles {
        TlsFiles {
            certificate_chain: self.path("certificate.pem"),
            private_key: self.path("key.pem"),
            client_authority: mutual.then(|| self.path("authority.pem")),
            reload_interval: Duration::from_millis(20),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Writes a server certificate and its key.
    fn write_pair(&self) {
        let (certificate, key) = self.sign();
        self.write("key.pem", &key);
        self.write("certificate.pem", &certificate);
    }

    fn sign(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.signed_by(&key, &self.authority).unwrap().pem(), key.serialize_pem())
    }

    /// A client's settings: trust in this authority and, perhaps, a certificate signed by another.
    fn trust(&self, identity: Option<&Self>) -> ClientTlsConfig {
        let trust = Certificate::from_pem(self.authority.pem());
        let config = ClientTlsConfig::new().ca_certificate(trust).domain_name("localhost");
        match identity.map(Self::sign) {
            Some((certificate, key)) => config.identity(Identity::from_pem(certificate, key)),
            None => config,
        }
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// One call over TLS; `Err` if the connection or the call was refused.
async fn call_over(tls: ClientTlsConfig, address: SocketAddr) -> Result<(), Status> {
    let endpoint = Endpoint::from_shared(format!("https://{address}")).unwrap().tls_config(tls).unwrap();
    let channel = endpoint.connect().await.map_err(|error| Status::unavailable(error.to_string()))?;
    check(&mut HealthClient::new(channel)).await
}

#[tokio::test]
async fn a_call_over_tls_is_answered() {
    let certificates = Certificates::new();
    let mut options = options();
    options.tls = Some(certificates.files(false));
    let serving = Serving::start(options, health()).unwrap();
    call_over(certificates.trust(None), address(&serving)).await.unwrap();
}

#[tokio::test]
async fn mutual_tls_lets_in_only_whom_the_authority_signed() {
    let (ours, theirs) = (Certificates::new(), Certificates::new());
    let mut options = options();
    options.tls = Some(ours.files(true));
    let counters = Arc::clone(&options.counters);
    let serving = Serving::start(options, health()).unwrap();
    let address = address(&serving);

    call_over(ours.trust(Some(&ours)), address).await.unwrap();
    assert_eq!(counters.tls_failed.load(Ordering::Relaxed), 0);
    assert!(call_over(ours.trust(None), address).await.is_err());
    assert!(call_over(ours.trust(Some(&theirs)), address).await.is_err());
    counted(&counters.tls_failed, 2).await;
}

#[tokio::test]
async fn a_request_knows_whether_its_peer_showed_a_certificate() {
    for mutual in [false, true] {
        let certificates = Certificates::new();
        let seen = Arc::new(Mutex::new(None));
        let recorded = Arc::clone(&seen);
        let service = answering(move |request| {
            *recorded.lock().unwrap() = request.extensions().get::<Peer>().copied();
            std::future::ready(ok())
        });
        let mut options = options();
        options.tls = Some(certificates.files(mutual));
        let serving = Serving::start(options, service).unwrap();
        drop(call_over(certificates.trust(Some(&certificates)), address(&serving)).await);

        let peer = seen.lock().unwrap().unwrap();
        assert!(
            matches!(peer, Peer::Tls { client_certificate, .. } if client_certificate == mutual),
            "{peer:?}"
        );
    }
}

#[tokio::test]
async fn a_slow_handshake_is_closed() {
    let certificates = Certificates::new();
    let mut options = options();
    options.tls = Some(certificates.files(false));
    options.limits.tls_handshake_timeout = Duration::from_millis(200);
    let counters = Arc::clone(&options.counters);
    let serving = Serving::start(options, health()).unwrap();
    let mut slow = connect(&serving).await;
    slow.write_all(&[22, 3, 1]).await.unwrap();

    assert!(closed(&mut slow).await >= Duration::from_millis(150));
    counted(&counters.tls_failed, 1).await;
}

#[tokio::test]
async fn a_client_of_another_protocol_is_refused_in_the_handshake() {
    let certificates = Certificates::new();
    let mut options = options();
    options.tls = Some(certificates.files(false));
    let counters = Arc::clone(&options.counters);
    let serving = Serving::start(options, health()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificates.authority.der().clone()).unwrap();
    let mut config =
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let name = "localhost".try_into().unwrap();

    assert!(connector.connect(name, connect(&serving).await).await.is_err());
    counted(&counters.tls_failed, 1).await;
}

#[tokio::test]
async fn a_renewed_certificate_is_served_without_a_restart() {
    let (mut certificates, renewed) = (Certificates::new(), authority());
    let mut options = options();
    options.tls = Some(certificates.files(false));
    let serving = Serving::start(options, health()).unwrap();
    let before = certificates.trust(None);
    call_over(before.clone(), address(&serving)).await.unwrap();

    certificates.authority = renewed;
    certificates.write_pair();

    let deadline = Instant::now() + PATIENCE;
    while call_over(certificates.trust(None), address(&serving)).await.is_err() {
        assert!(Instant::now() < deadline, "the new certificate is not served");
        sleep(Duration::from_millis(20)).await;
    }
    assert!(call_over(before, address(&serving)).await.is_err());
}

#[tokio::test]
async fn a_broken_renewal_leaves_the_old_certificate_in_use() {
    let certificates = Certificates::new();
    let mut options = options();
    options.tls = Some(certificates.files(false));
    let counters = Arc::clone(&options.counters);
    let serving = Serving::start(options, health()).unwrap();

    certificates.write("certificate.pem", "half a fi");
    counted(&counters.tls_reload_failed, 1).await;

    call_over(certificates.trust(None), address(&serving)).await.unwrap();
}

#[tokio::test]
async fn a_bad_file_is_named_with_what_is_wrong() {
    let (certificates, other) = (Certificates::new(), Certificates::new());
    certificates.write("empty.pem", "");
    let good = certificates.files(true);
    let with = |change: fn(&mut TlsFiles, PathBuf), name: &str| {
        let mut files = good.clone();
        change(&mut files, certificates.path(name));
        files
    };
    let foreign_key = TlsFiles { private_key: other.path("key.pem"), ..good.clone() };
    let table: [(TlsFiles, &str); 7] = [
        (with(|files, path| files.certificate_chain = path, "gone.pem"), "cannot read"),
        (with(|files, path| files.certificate_chain = path, "empty.pem"), "empty.pem holds no certificate"),
        (with(|files, path| files.private_key = path, "gone.pem"), "cannot read"),
        (with(|files, path| files.private_key = path, "empty.pem"), "empty.pem holds no private key"),
        (with(|files, path| files.client_authority = Some(path), "empty.pem"), "holds no certificate"),
        (with(|files, path| files.private_key = path, "certificate.pem"), "holds no private key"),
        (foreign_key, "does not belong to the certificate"),
    ];
    for (files, wrong) in table {
        let error = files.load().unwrap_err().to_string();
        assert!(error.contains(wrong), "{error}");
    }
    certificates.write("key.pem", "");
    let mut options = options();
    options.tls = Some(good);
    let error = Serving::start(options, health()).unwrap_err();
    assert!(matches!(error, ServingError::Tls(TlsError::NoPrivateKey(_))), "{error:?}");
}
