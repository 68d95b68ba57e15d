//! The actors: gRPC clients with or without a credential, and how they read a refusal.

use std::net::SocketAddr;
use std::time::Duration;

use tokenkeep::proto::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use tokenkeep::proto::v1;
use tokenkeep::proto::v1::audit_service_client::AuditServiceClient;
use tokenkeep::proto::v1::principal_service_client::PrincipalServiceClient;
use tokenkeep::proto::v1::sidecar_service_client::SidecarServiceClient;
use tokenkeep::proto::v1::token_service_client::TokenServiceClient;
use tokenkeep::proto::v1::workspace_service_client::WorkspaceServiceClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_types::StatusExt as _;

/// Puts the credential into every request.
#[derive(Clone)]
pub struct Credential(Option<MetadataValue<Ascii>>);

impl Interceptor for Credential {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(credential) = &self.0 {
            request.metadata_mut().insert("authorization", credential.clone());
        }
        Ok(request)
    }
}

/// A caller of every service.
#[derive(Clone)]
pub struct Client {
    pub tokens: TokenServiceClient<InterceptedService<Channel, Credential>>,
    pub workspaces: WorkspaceServiceClient<InterceptedService<Channel, Credential>>,
    pub principals: PrincipalServiceClient<InterceptedService<Channel, Credential>>,
    pub audit: AuditServiceClient<InterceptedService<Channel, Credential>>,
    pub sidecars: SidecarServiceClient<InterceptedService<Channel, Credential>>,
    pub edge: AuthorizationClient<InterceptedService<Channel, Credential>>,
    health: HealthClient<Channel>,
}

/// What a caller is told when it is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: Code,
    pub reason: String,
    pub fields: Vec<String>,
}

/// Reads a status as a program would: by its details, never by its message.
pub fn refusal(status: &Status) -> Refusal {
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    assert_eq!(info.domain, "tokenkeep");
    let fields =
        details.bad_request().map(|bad| bad.field_violations.iter().map(|v| v.field.clone()).collect());
    let retry = matches!(status.code(), Code::Unavailable | Code::ResourceExhausted)
        && !["OUTCOME_UNKNOWN", "TOKEN_LIMIT_REACHED"].contains(&info.reason.as_str());
    assert_eq!(details.retry_info().is_some(), retry, "RetryInfo on {status:?}");
    Refusal { code: status.code(), reason: info.reason.clone(), fields: fields.unwrap_or_default() }
}

/// A refusal without wrong fields.
pub fn refused(code: Code, reason: &str) -> Refusal {
    Refusal { code, reason: reason.to_owned(), fields: Vec::new() }
}

impl Client {
    pub async fn connect(address: SocketAddr, secret: Option<&str>) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        Self::over(endpoint.connect().await.unwrap(), secret)
    }

    /// A client of a Unix socket.
    pub async fn connect_unix(path: &std::path::Path) -> Self {
        let endpoint = Endpoint::from_shared(format!("unix://{}", path.display())).unwrap();
        Self::over(endpoint.connect().await.unwrap(), None)
    }

    pub fn over(channel: Channel, secret: Option<&str>) -> Self {
        let credential = Credential(secret.map(|secret| format!("Bearer {secret}").parse().unwrap()));
        let service = InterceptedService::new(channel.clone(), credential);
        Self {
            health: HealthClient::new(channel),
            edge: AuthorizationClient::new(service.clone()),
            audit: AuditServiceClient::new(service.clone()),
            principals: PrincipalServiceClient::new(service.clone()),
            sidecars: SidecarServiceClient::new(service.clone()),
            tokens: TokenServiceClient::new(service.clone()),
            workspaces: WorkspaceServiceClient::new(service),
        }
    }

    /// Whether a service, or with "" the server, serves.
    pub async fn health(&mut self, service: &str) -> Result<bool, Status> {
        let request = HealthCheckRequest { service: service.to_owned() };
        Ok(self.health.check(request).await?.into_inner().status() == ServingStatus::Serving)
    }

    /// Follows the health of the server: a stream that it does not end of itself.
    pub async fn watch_health(&mut self) -> Result<Streaming<HealthCheckResponse>, Status> {
        Ok(self.health.watch(HealthCheckRequest::default()).await?.into_inner())
    }

    pub async fn create_workspace(&mut self, id: &str) -> v1::Workspace {
        let workspace = v1::Workspace { id: id.to_owned(), name: id.to_owned(), ..Default::default() };
        let request = v1::CreateWorkspaceRequest { workspace: Some(workspace), ..Default::default() };
        self.workspaces.create_workspace(request).await.unwrap().into_inner().workspace.unwrap()
    }

    /// Creates a service account that has these scopes, and its id for a handle.
    pub async fn create_principal(&mut self, workspace: &str, id: &str, scopes: &[&str]) -> v1::Principal {
        let principal = v1::Principal {
            workspace: workspace.to_owned(),
            id: id.to_owned(),
            kind: v1::PrincipalKind::ServiceAccount.into(),
            name: id.to_owned(),
            handle: id.to_owned(),
            scopes: scopes.iter().map(ToString::to_string).collect(),
            ..Default::default()
        };
        let request = v1::CreatePrincipalRequest { principal: Some(principal), ..Default::default() };
        self.principals.create_principal(request).await.unwrap().into_inner().principal.unwrap()
    }

    /// Creates a token with scopes and nothing else worth mentioning.
    pub async fn create_token(
        &mut self,
        workspace: &str,
        name: &str,
        scopes: &[&str],
    ) -> (v1::Token, String) {
        let request = v1::CreateTokenRequest {
            workspace: workspace.to_owned(),
            name: name.to_owned(),
            scopes: scopes.iter().map(ToString::to_string).collect(),
            ..Default::default()
        };
        let created = self.tokens.create_token(request).await.unwrap().into_inner();
        (created.token.unwrap(), created.secret)
    }

    pub async fn get_token(&mut self, id: &str) -> Result<v1::Token, Status> {
        let request = v1::GetTokenRequest { id: id.to_owned() };
        Ok(self.tokens.get_token(request).await?.into_inner().token.unwrap())
    }

    pub async fn introspect(&mut self, secret: &str) -> Result<v1::IntrospectTokenResponse, Status> {
        let request = v1::IntrospectTokenRequest { token: secret.to_owned(), ..Default::default() };
        Ok(self.tokens.introspect_token(request).await?.into_inner())
    }

    /// Judges several presented tokens at once.
    pub async fn introspect_all(
        &mut self,
        requests: Vec<v1::IntrospectTokenRequest>,
    ) -> Result<Vec<v1::introspection_outcome::Outcome>, Status> {
        let request = v1::BatchIntrospectTokensRequest { requests };
        let answer = self.tokens.batch_introspect_tokens(request).await?.into_inner();
        Ok(answer.outcomes.into_iter().map(|outcome| outcome.outcome.unwrap()).collect())
    }

    pub async fn revoke(&mut self, id: &str) -> Result<v1::Token, Status> {
        let request = v1::RevokeTokenRequest { id: id.to_owned(), ..Default::default() };
        Ok(self.tokens.revoke_token(request).await?.into_inner().token.unwrap())
    }

    /// Revokes a token and waits for the whole fleet; gives the revision, and whether the fleet confirmed it.
    pub async fn revoke_everywhere(&mut self, id: &str) -> (i64, bool) {
        let wait = v1::RevocationWait::Fleet.into();
        let request = v1::RevokeTokenRequest { id: id.to_owned(), wait, ..Default::default() };
        let answer = self.tokens.revoke_token(request).await.unwrap().into_inner();
        (answer.token.unwrap().revision, answer.fleet_confirmed)
    }

    /// Waits until a revision is everywhere, for so long at most.
    pub async fn wait_for_revision(&mut self, revision: i64, timeout: Duration) -> Result<bool, Status> {
        let mut request = Request::new(v1::WaitForRevisionRequest { revision });
        request.set_timeout(timeout);
        Ok(self.tokens.wait_for_revision(request).await?.into_inner().fleet_confirmed)
    }

    pub async fn regenerate(&mut self, id: &str, etag: &str) -> Result<v1::RegenerateTokenResponse, Status> {
        let request =
            v1::RegenerateTokenRequest { id: id.to_owned(), etag: etag.to_owned(), ..Default::default() };
        Ok(self.tokens.regenerate_token(request).await?.into_inner())
    }

    pub async fn watch(
        &mut self,
        workspace: &str,
        cursor: &str,
    ) -> Result<Streaming<v1::WatchRevocationsResponse>, Status> {
        let request =
            v1::WatchRevocationsRequest { workspace: workspace.to_owned(), cursor: cursor.to_owned() };
        Ok(self.tokens.watch_revocations(request).await?.into_inner())
    }
}
