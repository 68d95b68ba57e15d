//! `healthcheck`: asks a server how it is, as an orchestrator does from inside its container.

use std::error::Error;
use std::fs;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;

use tokio::runtime;
use tokio::time::timeout;
use tonic::Code;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::RoleError;
use crate::settings::{Healthcheck, SettingsError};

/// What was found, and the exit code that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Serving = 0,
    NotServing = 1,
    Unreachable = 2,
}

/// Why there is no verdict of the server's own.
#[derive(Debug, thiserror::Error)]
enum Unreachable {
    #[error("cannot connect")]
    Connection(#[from] tonic::transport::Error),
    #[error("no answer in time")]
    Timeout,
    #[error("the call failed with {0:?}")]
    Call(Code),
}

/// Asks once and prints the answer.
pub(super) fn run(settings: &Healthcheck) -> Result<ExitCode, RoleError> {
    let verdict = verdict(settings)?;
    writeln!(io::stdout(), "{verdict:?}").map_err(RoleError::Output)?;
    Ok(ExitCode::from(verdict as u8))
}

fn verdict(settings: &Healthcheck) -> Result<Verdict, RoleError> {
    let address = settings.address.as_ref().unwrap_or(&settings.listening.listen);
    let tls = tls(settings)?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(RoleError::Runtime)?;
    let asked = runtime.block_on(async {
        let asked = timeout(settings.timeout, ask(address, tls, &settings.service)).await;
        asked.unwrap_or(Err(Unreachable::Timeout))
    });
    Ok(asked.unwrap_or_else(|error| {
        tracing::error!(address, error = &error as &dyn Error, "the server cannot be reached");
        Verdict::Unreachable
    }))
}

fn tls(settings: &Healthcheck) -> Result<Option<ClientTlsConfig>, SettingsError> {
    let Some(path) = &settings.tls_ca else { return Ok(None) };
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(path)?));
    if let Some(name) = &settings.tls_server_name {
        tls = tls.domain_name(name);
    }
    if let (Some(certificate), Some(key)) = (&settings.tls_client_certificate, &settings.tls_client_key) {
        tls = tls.identity(Identity::from_pem(read(certificate)?, read(key)?));
    }
    Ok(Some(tls))
}

fn read(path: &Path) -> Result<Vec<u8>, SettingsError> {
    fs::read(path).map_err(|source| SettingsError::Unreadable { path: path.to_owned(), source })
}

async fn ask(address: &str, tls: Option<ClientTlsConfig>, service: &str) -> Result<Verdict, Unreachable> {
    let endpoint = Endpoint::from_shared(uri(address, tls.is_some()))?;
    let endpoint = match tls {
        Some(tls) => endpoint.tls_config(tls)?,
        None => endpoint,
    };
    let mut client = HealthClient::new(endpoint.connect().await?);
    match client.check(HealthCheckRequest { service: service.to_owned() }).await {
        Ok(answer) if answer.get_ref().status() == ServingStatus::Serving => Ok(Verdict::Serving),
        Ok(_) => Ok(Verdict::NotServing),
        // The server was reached and serves no such service.
        Err(status) if status.code() == Code::NotFound => Ok(Verdict::NotServing),
        Err(status) => Err(Unreachable::Call(status.code())),
    }
}

/// The address as tonic takes it. A server that listens on all addresses is asked on the loopback one.
fn uri(address: &str, tls: bool) -> String {
    if let Some(path) = address.strip_prefix("unix:") {
        return format!("unix://{path}");
    }
    let scheme = if tls { "https" } else { "http" };
    let asked = address.parse().map(reachable);
    asked.map_or_else(|_| format!("{scheme}://{address}"), |asked| format!("{scheme}://{asked}"))
}

fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V4(_) | IpAddr::V6(_) => {}
    }
    address
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::net::TcpListener;
    use std::time::Duration;

    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::transport::Server;
    use tonic_health::ServingStatus as Told;

    use super::*;
    use crate::metrics::Metrics;
    use crate::proto::method_paths;
    use crate::settings::{CommandLine, Role};

    /// A server that tells this of itself, its address, and what it counts.
    async fn server(told: Told) -> (String, Metrics) {
        let (reporter, health) = tonic_health::server::health_reporter();
        reporter.set_service_status("", told).await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let metrics = Metrics::new(method_paths().unwrap());
        let server = Server::builder().layer(metrics.count_requests()).add_service(health);
        let serving = server.serve_with_incoming(TcpListenerStream::new(listener));
        tokio::spawn(async { (reporter, serving.await) });
        (address, metrics)
    }

    #[tokio::test]
    async fn the_verdict_is_the_servers_own() {
        let (serving, _) = server(Told::Serving).await;
        assert_eq!(ask(&serving, None, "").await.unwrap(), Verdict::Serving);
        assert_eq!(ask(&serving, None, "no.such.Service").await.unwrap(), Verdict::NotServing);
        let (ill, _) = server(Told::NotServing).await;
        assert_eq!(ask(&ill, None, "").await.unwrap(), Verdict::NotServing);
    }

    #[tokio::test]
    async fn a_real_server_counts_its_requests_by_method_and_status() {
        let (address, metrics) = server(Told::Serving).await;
        ask(&address, None, "").await.unwrap();
        ask(&address, None, "no.such.Service").await.unwrap();
        let counted = |rendered: &str| {
            let series = |code: &str| {
                format!(
                    "tokenkeep_requests_total{{method=\"grpc.health.v1.Health/Check\",code=\"{code}\"}} 1\n"
                )
            };
            rendered.contains(&series("ok")) && rendered.contains(&series("not_found"))
        };
        // The client may have its answer a moment before the server is done with it.
        let poll = async {
            while !counted(&metrics.render().unwrap()) {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(5), poll).await.unwrap();
    }

    #[test]
    fn nobody_at_the_address_is_a_verdict_too() {
        let arguments = ["tokenkeep", "healthcheck", "--address", "127.0.0.1:1"].map(OsString::from);
        let Role::Healthcheck(settings) = CommandLine::read(&arguments, []).unwrap().role else { panic!() };
        assert_eq!(verdict(&settings).unwrap(), Verdict::Unreachable);
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_or_says_nothing_gives_no_verdict() {
        assert!(matches!(ask("127.0.0.1:1", None, "").await, Err(Unreachable::Connection(_))));
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap().to_string();
        let asked = timeout(Duration::from_millis(200), ask(&address, None, "")).await;
        assert!(matches!(asked, Err(_) | Ok(Err(_))));
    }

    #[test]
    fn a_listen_address_becomes_one_that_can_be_asked() {
        for (address, tls, asked) in [
            ("127.0.0.1:50051", false, "http://127.0.0.1:50051"),
            ("0.0.0.0:50051", false, "http://127.0.0.1:50051"),
            ("[::]:50051", true, "https://[::1]:50051"),
            ("tokens.example:443", true, "https://tokens.example:443"),
            ("unix:/run/tokenkeep.sock", false, "unix:///run/tokenkeep.sock"),
        ] {
            assert_eq!(uri(address, tls), asked);
        }
    }
}
