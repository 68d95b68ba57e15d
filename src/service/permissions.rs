//! What a caller may need a scope for.

use crate::audit::Action;
use crate::token::Scope;

/// What a caller needs a scope for. Each RPC names one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permission {
    /// Issue tokens.
    CreateToken,
    /// Read and list tokens.
    ReadTokens,
    /// Edit tokens.
    UpdateToken,
    /// Replace secrets.
    RegenerateToken,
    /// Revoke tokens.
    RevokeToken,
    /// Suspend and resume tokens.
    SuspendToken,
    /// Have secrets ended that leaked.
    RevokeSecret,
    /// Judge presented tokens.
    Introspect,
    /// Be told why a token is not active.
    LearnInactiveReason,
    /// Say from which address a token is presented.
    TellAddress,
    /// Follow the stream of revocations.
    WatchRevocations,
    /// Hold a lease, and be told records to answer from.
    Sidecar,
    /// Add workspaces.
    CreateWorkspace,
    /// Read and list workspaces.
    ReadWorkspaces,
    /// Edit workspaces.
    UpdateWorkspace,
    /// Invalidate every secret of a workspace.
    InvalidateWorkspace,
    /// Add principals.
    CreatePrincipal,
    /// Read and list principals.
    ReadPrincipals,
    /// Edit principals.
    UpdatePrincipal,
    /// End principals.
    DeletePrincipal,
    /// Read who did what.
    ReadAudit,
}

impl Permission {
    /// The scope that a caller's token must grant.
    #[must_use]
    pub const fn scope(self) -> Scope {
        Scope::known(match self {
            Self::CreateToken => "tokenkeep:tokens:create",
            Self::ReadTokens => "tokenkeep:tokens:read",
            Self::UpdateToken => "tokenkeep:tokens:update",
            Self::RegenerateToken => "tokenkeep:tokens:regenerate",
            Self::RevokeToken => "tokenkeep:tokens:revoke",
            Self::SuspendToken => "tokenkeep:tokens:suspend",
            Self::RevokeSecret => "tokenkeep:tokens:revoke-secret",
            Self::Introspect => "tokenkeep:introspect",
            Self::LearnInactiveReason => "tokenkeep:introspect:reason",
            Self::TellAddress => "tokenkeep:introspect:address",
            Self::WatchRevocations => "tokenkeep:revocations:watch",
            Self::Sidecar => "tokenkeep:sidecar",
            Self::CreateWorkspace => "tokenkeep:workspaces:create",
            Self::ReadWorkspaces => "tokenkeep:workspaces:read",
            Self::UpdateWorkspace => "tokenkeep:workspaces:update",
            Self::InvalidateWorkspace => "tokenkeep:workspaces:invalidate",
            Self::CreatePrincipal => "tokenkeep:principals:create",
            Self::ReadPrincipals => "tokenkeep:principals:read",
            Self::UpdatePrincipal => "tokenkeep:principals:update",
            Self::DeletePrincipal => "tokenkeep:principals:delete",
            Self::ReadAudit => "tokenkeep:audit:read",
        })
    }

    /// What the audit calls a request that needs this and was refused before it was read.
    #[must_use]
    pub const fn action(self) -> Action {
        Action::known(match self {
            Self::CreateToken => "create_token",
            Self::ReadTokens => "tokens.read",
            Self::UpdateToken => "update_token",
            Self::RegenerateToken => "regenerate_token",
            Self::RevokeToken => "revoke_token",
            Self::SuspendToken => "suspend_token",
            Self::RevokeSecret => "revoke_secret",
            Self::Introspect | Self::LearnInactiveReason | Self::TellAddress => "introspect_token",
            Self::WatchRevocations => "watch_revocations",
            Self::Sidecar => "sidecar",
            Self::CreateWorkspace => "create_workspace",
            Self::ReadWorkspaces => "workspaces.read",
            Self::UpdateWorkspace => "update_workspace",
            Self::InvalidateWorkspace => "invalidate_workspace_tokens",
            Self::CreatePrincipal => "create_principal",
            Self::ReadPrincipals => "principals.read",
            Self::UpdatePrincipal => "update_principal",
            Self::DeletePrincipal => "delete_principal",
            Self::ReadAudit => "audit.read",
        })
    }
}
