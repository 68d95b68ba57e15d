//! A session with a server: its address and credential from the settings, calls that are tried again where that is safe,
//! and how answers are shown.

use std::fs;
use std::path::Path;
use std::time::Duration;

use secrecy::SecretString;
use tonic::{Code, Response, Status};
use tonic_types::StatusExt as _;

use super::error::{CliError, Refusal};
use super::output::Output;
use crate::proto::v1::audit_service_client::AuditServiceClient;
use crate::proto::v1::principal_service_client::PrincipalServiceClient;
use crate::proto::v1::token_service_client::TokenServiceClient;
use crate::proto::v1::workspace_service_client::WorkspaceServiceClient;
use crate::settings::client::{Client, ServerAsked};
use crate::settings::groups::DataHome;
use crate::settings::{Origin, SettingsError};
use crate::upstream::{Authorize, Authorized, Credential, CredentialError, Upstream, UpstreamTls};

/// Where `tokenkeep dev` serves unless it is told otherwise.
const LOCAL: &str = "http://127.0.0.1:50051";

/// How long a connection may take to be made, and a link to be quiet, before somebody who waits is told.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often a call is made at most, and the pause after the first; it doubles with each, and is shortened by up to half,
/// so that many who were turned away do not come back together.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(200);

/// A page of a list.
pub(super) const PAGE: i32 = 200;

/// A server and how it is talked to.
pub(super) struct Session {
    channel: Authorized,
    address: String,
    timeout: Duration,
    pub(super) output: Output,
}

impl Session {
    /// Takes the server and the credential from the settings. Connects when first needed.
    pub(super) fn open(client: &Client) -> Result<Self, CliError> {
        let server = &client.server;
        let address = server.server.as_deref().unwrap_or(LOCAL);
        let upstream =
            Upstream::new(address, &tls(server)?, server.insecure_plaintext)?.with_patience(PATIENCE);
        let authorize = Authorize::with(&credential(server, &client.data)?);
        let authorize = authorize.map_err(|_| CredentialError::Malformed)?;
        let channel = Authorized::new(upstream.connect_lazily(), authorize);
        let (address, output) = (address.to_owned(), Output::new(client.showing.output));
        Ok(Self { channel, address, timeout: client.timeout, output })
    }

    pub(super) fn tokens(&self) -> TokenServiceClient<Authorized> {
        TokenServiceClient::new(self.channel.clone())
    }

    pub(super) fn workspaces(&self) -> WorkspaceServiceClient<Authorized> {
        WorkspaceServiceClient::new(self.channel.clone())
    }

    pub(super) fn principals(&self) -> PrincipalServiceClient<Authorized> {
        PrincipalServiceClient::new(self.channel.clone())
    }

    pub(super) fn audit(&self) -> AuditServiceClient<Authorized> {
        AuditServiceClient::new(self.channel.clone())
    }

    /// Asks for something that changes nothing.
    pub(super) async fn ask<Answer>(
        &self,
        call: impl AsyncFn() -> Result<Response<Answer>, Status>,
    ) -> Result<Answer, CliError> {
        self.attempt(false, call).await
    }

    /// Asks for a change, by a call that may be repeated: it carries a request id, or does the same when done twice.
    pub(super) async fn change<Answer>(
        &self,
        call: impl AsyncFn() -> Result<Response<Answer>, Status>,
    ) -> Result<Answer, CliError> {
        self.attempt(true, call).await
    }

    async fn attempt<Answer>(
        &self,
        changes: bool,
        call: impl AsyncFn() -> Result<Response<Answer>, Status>,
    ) -> Result<Answer, CliError> {
        let attempts = async {
            let mut attempt = 1;
            loop {
                // A call is large, and most of a command is waiting for one.
                match Box::pin(call()).await {
                    Ok(answer) => return Ok(answer.into_inner()),
                    Err(status) if status.code() == Code::Unavailable && attempt < ATTEMPTS => {
                        tracing::debug!(attempt, server = self.address, "unavailable: trying again");
                        tokio::time::sleep(pause(attempt, &status)).await;
                        attempt += 1;
                    }
                    Err(status) => return Err(self.refusal(&status, changes)),
                }
            }
        };
        let late = || CliError::Timeout { server: self.address.clone(), within: self.timeout, changes };
        tokio::time::timeout(self.timeout, attempts).await.unwrap_or_else(|_| Err(late()))
    }

    /// What a status of this server means.
    pub(super) fn refusal(&self, status: &Status, changes: bool) -> CliError {
        CliError::Refused(Box::new(Refusal::new(status, &self.address, changes)))
    }
}

/// How long to wait before the next attempt: what the server asks for, at least.
fn pause(attempt: u32, status: &Status) -> Duration {
    let asked = status.get_error_details().retry_info().and_then(|retry| retry.retry_delay);
    let longest = PAUSE * 2_u32.saturating_pow(attempt - 1);
    asked.unwrap_or_default() + longest.mul_f64(rand::random_range(0.5..=1.0))
}

/// The credential that is set; if neither it nor a server is, the one that `dev` leaves on this machine. It is presented to
/// no server that was named: that one is another's.
fn credential(server: &ServerAsked, data: &DataHome) -> Result<Credential, CliError> {
    match (&server.credential_file, &server.credential, &server.server) {
        (Some(_), Some(_), _) => Err(SettingsError::Both { names: ["credential-file", "credential"] }.into()),
        (Some(path), None, _) => Ok(Credential::read(path)?),
        (None, Some(text), _) => in_settings(text),
        (None, None, Some(_)) => Err(CliError::NoCredential),
        (None, None, None) => {
            let file = data.path()?.join("operator-token");
            if file.exists() { Ok(Credential::read(&file)?) } else { Err(CliError::NoCredential) }
        }
    }
}

fn in_settings(text: &SecretString) -> Result<Credential, CliError> {
    let malformed = |_| SettingsError::Value {
        origin: Origin::Variable("TOKENKEEP_CREDENTIAL".to_owned()),
        reason: "must be a token".to_owned(),
    };
    Ok(Credential::parse(text).map_err(malformed)?)
}

fn tls(server: &ServerAsked) -> Result<UpstreamTls, SettingsError> {
    let incomplete = |set, missing| Err(SettingsError::Incomplete { set, missing });
    let identity = match (&server.client_certificate, &server.client_key) {
        (Some(certificate), Some(key)) => Some((read(certificate)?, read(key)?.into())),
        (Some(_), None) => return incomplete("client-certificate", "client-key"),
        (None, Some(_)) => return incomplete("client-key", "client-certificate"),
        (None, None) => None,
    };
    let authority = server.server_ca.as_deref().map(read).transpose()?;
    Ok(UpstreamTls { authority, server_name: server.server_name.clone(), identity })
}

fn read(path: &Path) -> Result<Vec<u8>, SettingsError> {
    fs::read(path).map_err(|source| SettingsError::Unreadable { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_and_is_never_shorter_than_the_server_asks() {
        let away = Status::unavailable("away");
        assert!(pause(1, &away) >= PAUSE / 2 && pause(1, &away) <= PAUSE);
        assert!(pause(3, &away) >= PAUSE * 2 && pause(3, &away) <= PAUSE * 4);
        let mut details = tonic_types::ErrorDetails::new();
        details.set_retry_info(Some(Duration::from_secs(2)));
        let away = Status::with_error_details(Code::Unavailable, "away", details);
        assert!(pause(1, &away) >= Duration::from_secs(2));
    }

    #[test]
    fn a_credential_in_the_settings_is_not_repeated_when_it_is_none() {
        let told = in_settings(&SecretString::from("hunter2")).unwrap_err();
        assert!(told.to_string().contains("TOKENKEEP_CREDENTIAL"), "{told}");
        assert!(!format!("{told} {told:?}").contains("hunter2"), "{told}");
    }
}
