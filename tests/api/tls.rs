//! TLS and mutual TLS through the program, with certificates made for the occasion.

use std::path::PathBuf;
use std::{fs, process::Command};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokenkeep::proto::v1;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};

use crate::calls::Call;
use crate::clients::Client;
use crate::harness::{Database, Server, eventually, tokenkeep};
use crate::sidecars::Sidecar;

/// An authority, and in a directory its certificate and a server's.
struct Certificates {
    directory: TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Certificates {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let certificates = Self { directory: tempfile::tempdir().unwrap(), authority };
        let (certificate, key) = certificates.sign();
        fs::write(certificates.path("certificate.pem"), certificate).unwrap();
        fs::write(certificates.path("key.pem"), key).unwrap();
        fs::write(certificates.path("authority.pem"), certificates.authority.pem()).unwrap();
        certificates
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A certificate for this machine, and its key.
    fn sign(&self) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.signed_by(&key, &self.authority).unwrap().pem(), key.serialize_pem())
    }

    fn serve(&self, command: &mut Command, mutual: bool) {
        command.arg("--tls-certificate").arg(self.path("certificate.pem"));
        command.arg("--tls-key").arg(self.path("key.pem"));
        if mutual {
            command.arg("--tls-client-ca").arg(self.path("authority.pem"));
        }
    }

    async fn start(&self, mutual: bool) -> Server {
        Server::start_with(Database::fresh().await, |command| {
            self.serve(command, mutual);
            command
        })
        .await
    }

    /// A client that trusts this authority and may show a certificate of another.
    fn client(&self, shown: Option<&Self>) -> ClientTlsConfig {
        let trust = Certificate::from_pem(self.authority.pem());
        let tls = ClientTlsConfig::new().ca_certificate(trust).domain_name("localhost");
        match shown.map(Self::sign) {
            Some((certificate, key)) => tls.identity(Identity::from_pem(certificate, key)),
            None => tls,
        }
    }
}

/// Whether the operator is answered over TLS.
async fn is_answered(server: &Server, tls: ClientTlsConfig) -> bool {
    let endpoint = Endpoint::from_shared(format!("https://{}", server.address)).unwrap();
    let Ok(channel) = endpoint.tls_config(tls).unwrap().connect().await else { return false };
    let operator = Client::over(channel, Some(&server.database.operator_secret));
    Call::ListWorkspaces(v1::ListWorkspacesRequest::default()).by(&operator).await.is_ok()
}

/// Whether the operator is answered in plaintext.
async fn is_answered_in_plaintext(server: &Server) -> bool {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    let Ok(channel) = endpoint.connect().await else { return false };
    let operator = Client::over(channel, Some(&server.database.operator_secret));
    Call::ListWorkspaces(v1::ListWorkspacesRequest::default()).by(&operator).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_tls_a_client_is_served_that_trusts_the_authority_and_none_in_plaintext() {
    let (ours, theirs) = (Certificates::new(), Certificates::new());
    let server = ours.start(false).await;
    assert!(is_answered(&server, ours.client(None)).await);
    assert!(!is_answered(&server, theirs.client(None)).await, "a stranger's authority was trusted");
    assert!(!is_answered_in_plaintext(&server).await);

    let asked = |arguments: &[&str]| {
        let mut command = tokenkeep("healthcheck");
        command.args(["--address", &server.address.to_string()]).args(arguments);
        command.output().unwrap().status.code()
    };
    let authority = ours.path("authority.pem").display().to_string();
    assert_eq!(asked(&["--tls-ca", &authority, "--tls-server-name", "localhost"]), Some(0));
    assert_eq!(asked(&["--tls-ca", &authority, "--tls-server-name", "elsewhere"]), Some(2));
    assert_eq!(asked(&[]), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_mutual_tls_only_a_client_is_served_that_the_authority_signed() {
    let (ours, theirs) = (Certificates::new(), Certificates::new());
    let server = ours.start(true).await;
    assert!(is_answered(&server, ours.client(Some(&ours))).await);
    assert!(!is_answered(&server, ours.client(None)).await, "a client without a certificate was served");
    assert!(!is_answered(&server, ours.client(Some(&theirs))).await, "a stranger's client was served");
    assert!(!is_answered_in_plaintext(&server).await);

    let mut command = tokenkeep("healthcheck");
    command.args(["--address", &server.address.to_string(), "--tls-server-name", "localhost", "--tls-ca"]);
    command.arg(ours.path("authority.pem"));
    assert_eq!(
        command.output().unwrap().status.code(),
        Some(2),
        "a probe without a certificate was answered"
    );
    command.arg("--tls-client-certificate").arg(ours.path("certificate.pem"));
    command.arg("--tls-client-key").arg(ours.path("key.pem"));
    assert_eq!(command.output().unwrap().status.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_shows_its_certificate_and_trusts_only_the_authority_it_was_told_of() {
    let (ours, theirs) = (Certificates::new(), Certificates::new());
    let server = ours.start(true).await;
    let (address, secret) = (format!("https://{}", server.address), &server.database.operator_secret);
    let start = async |trusted: &Certificates, name: &str| {
        Sidecar::of(&address, secret, |command| {
            command
                .args(["--upstream-server-name", name, "--upstream-ca"])
                .arg(trusted.path("authority.pem"));
            command.arg("--upstream-client-certificate").arg(ours.path("certificate.pem"));
            command.arg("--upstream-client-key").arg(ours.path("key.pem"))
        })
        .await
    };
    start(&ours, "localhost").await.holds_a_lease().await;
    for sidecar in [start(&theirs, "localhost").await, start(&ours, "elsewhere").await] {
        eventually("it has tried twice", || async { sidecar.calls("follow").await >= 2.0 }).await;
        assert_eq!((sidecar.state("server").await, sidecar.state("lease").await), (0.0, 0.0));
    }
}
