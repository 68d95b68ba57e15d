//! Any RPC as a value, so that tables can list them.

use tokenkeep::proto::envoy::service::auth::v3::CheckRequest;
use tokenkeep::proto::v1;
use tonic::Status;

use crate::clients::Client;

/// One call of one RPC.
#[derive(Clone)]
pub enum Call {
    CreateToken(v1::CreateTokenRequest),
    GetToken(v1::GetTokenRequest),
    ListTokens(v1::ListTokensRequest),
    CountTokens(v1::CountTokensRequest),
    UpdateToken(v1::UpdateTokenRequest),
    RegenerateToken(v1::RegenerateTokenRequest),
    EndOverlap(v1::EndOverlapRequest),
    RevokeToken(v1::RevokeTokenRequest),
    SuspendToken(v1::SuspendTokenRequest),
    ResumeToken(v1::ResumeTokenRequest),
    ListAuditEvents(v1::ListAuditEventsRequest),
    BulkRevokeTokens(v1::BulkRevokeTokensRequest),
    RevokeSecret(v1::RevokeSecretRequest),
    IntrospectToken(v1::IntrospectTokenRequest),
    BatchIntrospectTokens(v1::BatchIntrospectTokensRequest),
    WaitForRevision(v1::WaitForRevisionRequest),
    WatchRevocations(v1::WatchRevocationsRequest),
    CreateWorkspace(v1::CreateWorkspaceRequest),
    GetWorkspace(v1::GetWorkspaceRequest),
    ListWorkspaces(v1::ListWorkspacesRequest),
    UpdateWorkspace(v1::UpdateWorkspaceRequest),
    InvalidateWorkspaceTokens(v1::InvalidateWorkspaceTokensRequest),
    GetWorkspaceProfile(v1::GetWorkspaceProfileRequest),
    CreatePrincipal(v1::CreatePrincipalRequest),
    GetPrincipal(v1::GetPrincipalRequest),
    ListPrincipals(v1::ListPrincipalsRequest),
    UpdatePrincipal(v1::UpdatePrincipalRequest),
    DeletePrincipal(v1::DeletePrincipalRequest),
    RenewLease(v1::RenewLeaseRequest),
    AcknowledgeRevision(v1::AcknowledgeRevisionRequest),
    ResolveTokens(v1::ResolveTokensRequest),
    RevalidateTokens(v1::RevalidateTokensRequest),
    GetProfiles(v1::GetProfilesRequest),
    ReportUsage(v1::ReportUsageRequest),
    Check(Box<CheckRequest>),
}

impl Call {
    /// Makes the call and keeps only whether it was refused; of a stream, whether its first frame came.
    pub async fn by(&self, client: &Client) -> Result<(), Status> {
        let Client { mut tokens, mut workspaces, mut principals, mut sidecars, mut audit, mut edge, .. } =
            client.clone();
        match self.clone() {
            Self::CreateToken(request) => tokens.create_token(request).await.map(drop),
            Self::GetToken(request) => tokens.get_token(request).await.map(drop),
            Self::ListTokens(request) => tokens.list_tokens(request).await.map(drop),
            Self::CountTokens(request) => tokens.count_tokens(request).await.map(drop),
            Self::UpdateToken(request) => tokens.update_token(request).await.map(drop),
            Self::RegenerateToken(request) => tokens.regenerate_token(request).await.map(drop),
            Self::EndOverlap(request) => tokens.end_overlap(request).await.map(drop),
            Self::RevokeToken(request) => tokens.revoke_token(request).await.map(drop),
            Self::SuspendToken(request) => tokens.suspend_token(request).await.map(drop),
            Self::ResumeToken(request) => tokens.resume_token(request).await.map(drop),
            Self::ListAuditEvents(request) => audit.list_audit_events(request).await.map(drop),
            Self::BulkRevokeTokens(request) => tokens.bulk_revoke_tokens(request).await.map(drop),
            Self::RevokeSecret(request) => tokens.revoke_secret(request).await.map(drop),
            Self::IntrospectToken(request) => tokens.introspect_token(request).await.map(drop),
            Self::BatchIntrospectTokens(request) => tokens.batch_introspect_tokens(request).await.map(drop),
            Self::WaitForRevision(request) => tokens.wait_for_revision(request).await.map(drop),
            Self::WatchRevocations(request) => {
                tokens.watch_revocations(request).await?.into_inner().message().await.map(drop)
            }
            Self::CreateWorkspace(request) => workspaces.create_workspace(request).await.map(drop),
            Self::GetWorkspace(request) => workspaces.get_workspace(request).await.map(drop),
            Self::ListWorkspaces(request) => workspaces.list_workspaces(request).await.map(drop),
            Self::UpdateWorkspace(request) => workspaces.update_workspace(request).await.map(drop),
            Self::InvalidateWorkspaceTokens(request) => {
                workspaces.invalidate_workspace_tokens(request).await.map(drop)
            }
            Self::GetWorkspaceProfile(request) => workspaces.get_workspace_profile(request).await.map(drop),
            Self::CreatePrincipal(request) => principals.create_principal(request).await.map(drop),
            Self::GetPrincipal(request) => principals.get_principal(request).await.map(drop),
            Self::ListPrincipals(request) => principals.list_principals(request).await.map(drop),
            Self::UpdatePrincipal(request) => principals.update_principal(request).await.map(drop),
            Self::DeletePrincipal(request) => principals.delete_principal(request).await.map(drop),
            Self::RenewLease(request) => sidecars.renew_lease(request).await.map(drop),
            Self::AcknowledgeRevision(request) => sidecars.acknowledge_revision(request).await.map(drop),
            Self::ResolveTokens(request) => sidecars.resolve_tokens(request).await.map(drop),
            Self::RevalidateTokens(request) => sidecars.revalidate_tokens(request).await.map(drop),
            Self::GetProfiles(request) => sidecars.get_profiles(request).await.map(drop),
            Self::ReportUsage(request) => sidecars.report_usage(request).await.map(drop),
            Self::Check(request) => edge.check(*request).await.map(drop),
        }
    }
}
