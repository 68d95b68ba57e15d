//! Who calls, and what they may do: callers hold tokens of tokenkeep itself.

use std::time::{Duration, SystemTime};

use secrecy::SecretString;

use super::{Error, Service};
use crate::introspection::InactiveReason;
use crate::metrics::CallerRejection;
use crate::store::tokens::Credential;
use crate::text::Initiator;
use crate::token::{Generation, Scope, ScopeSet, Token, TokenId};
use crate::workspace::WorkspaceId;

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
    /// Judge presented tokens.
    Introspect,
    /// Be told why a token is not active.
    LearnInactiveReason,
    /// Follow the stream of revocations.
    WatchRevocations,
    /// Add workspaces.
    CreateWorkspace,
    /// Read and list workspaces.
    ReadWorkspaces,
    /// Edit workspaces.
    UpdateWorkspace,
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
            Self::Introspect => "tokenkeep:introspect",
            Self::LearnInactiveReason => "tokenkeep:introspect:reason",
            Self::WatchRevocations => "tokenkeep:revocations:watch",
            Self::CreateWorkspace => "tokenkeep:workspaces:create",
            Self::ReadWorkspaces => "tokenkeep:workspaces:read",
            Self::UpdateWorkspace => "tokenkeep:workspaces:update",
        })
    }
}

/// The workspaces that a caller acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// Every one.
    Every,
    /// Its own.
    One(WorkspaceId),
}

impl Reach {
    /// Whether a workspace lies within.
    #[must_use]
    pub fn covers(&self, workspace: &WorkspaceId) -> bool {
        match self {
            Self::Every => true,
            Self::One(own) => own == workspace,
        }
    }
}

/// A caller whose token was proved to be live.
#[derive(Debug, Clone)]
pub struct Caller {
    token: TokenId,
    scopes: ScopeSet,
    reach: Reach,
    /// Which secret of the token it presented.
    generation: Generation,
    /// When its token expires.
    expire_time: Option<SystemTime>,
}

impl Caller {
    /// Takes a token for a caller; it must be live.
    pub(super) fn of(token: Token) -> Self {
        let (generation, expire_time) = (token.generation, token.expire_time);
        Self { generation, expire_time, ..Self::with_scopes(token.id, token.workspace, token.scopes) }
    }

    pub(super) fn with_scopes(token: TokenId, workspace: WorkspaceId, scopes: ScopeSet) -> Self {
        let reach = if workspace.is_system() { Reach::Every } else { Reach::One(workspace) };
        Self { token, scopes, reach, generation: Generation::FIRST, expire_time: None }
    }

    /// The id of the caller's own token.
    #[must_use]
    pub const fn token(&self) -> TokenId {
        self.token
    }

    /// The workspaces it acts on.
    #[must_use]
    pub const fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Whether its token grants what is needed.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.scopes.grants(&permission.scope())
    }

    /// Refuses a caller whose token does not grant what is needed.
    ///
    /// # Errors
    /// [`Error::ScopeRequired`].
    pub fn require(&self, permission: Permission) -> Result<(), Error> {
        if self.may(permission) { Ok(()) } else { Err(Error::ScopeRequired(permission)) }
    }

    /// Refuses a workspace that the caller does not act on, whether it exists or not.
    ///
    /// # Errors
    /// [`Error::WorkspaceDenied`].
    pub fn require_workspace(&self, workspace: &WorkspaceId) -> Result<(), Error> {
        if self.reach.covers(workspace) { Ok(()) } else { Err(Error::WorkspaceDenied(workspace.clone())) }
    }

    /// Refuses power over tokenkeep that the caller lacks: it could otherwise make or take a token mightier than its
    /// own.
    ///
    /// # Errors
    /// [`Error::ScopeEscalation`], naming the first such scope.
    pub fn require_covering(&self, scopes: &ScopeSet) -> Result<(), Error> {
        let uncovered = scopes.iter().find(|scope| scope.is_reserved() && !self.scopes.grants(scope));
        uncovered.map_or(Ok(()), |scope| Err(Error::ScopeEscalation(scope.clone())))
    }

    /// Refuses to leave power over tokenkeep behind that outlives the caller's own: a stolen caller token could otherwise
    /// be made to last. Asked of a token that has these scopes and expires then.
    ///
    /// # Errors
    /// [`Error::LifetimeEscalation`].
    pub fn require_outliving(&self, scopes: &ScopeSet, expire_time: Option<SystemTime>) -> Result<(), Error> {
        let outlives = match (expire_time, self.expire_time) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(theirs), Some(own)) => theirs > own,
        };
        let powerful = scopes.iter().any(Scope::is_reserved);
        if powerful && outlives { Err(Error::LifetimeEscalation) } else { Ok(()) }
    }

    /// On whose behalf it acts: the initiator it names, else itself.
    pub(super) fn on_behalf_of(&self, initiator: Option<Initiator>) -> Result<Initiator, Error> {
        let own = || Initiator::parse(self.token.to_string());
        initiator.map_or_else(own, Ok).map_err(|invalid| Error::field("initiator", invalid))
    }
}

impl Service {
    /// Proves who calls by the token they present, and that they may do what they ask for.
    ///
    /// # Errors
    /// [`Error::CredentialInvalid`], [`Error::ScopeRequired`], or that it cannot be decided.
    pub async fn authenticate(
        &self,
        credential: &SecretString,
        permission: Permission,
    ) -> Result<Caller, Error> {
        let undecided = |_: &Error| self.metrics.caller_rejected(CallerRejection::Undecided);
        match self.prove(credential, |_| Ok(())).await.inspect_err(undecided)? {
            Ok(token) => {
                let caller = Caller::of(token);
                let forbidden = |_: &Error| self.metrics.caller_rejected(CallerRejection::Forbidden);
                caller.require(permission).inspect_err(forbidden)?;
                Ok(caller)
            }
            Err(reason) => Err(self.reject(reason)),
        }
    }

    /// Looks again whether a caller that was proved before still lives, its secret not replaced, and still may. Gives
    /// how long its token lives on, by the database's clock; `None` for ever.
    ///
    /// # Errors
    /// As [`Service::authenticate`].
    pub async fn authenticate_again(
        &self,
        caller: &Caller,
        permission: Permission,
    ) -> Result<Option<Duration>, Error> {
        let found = self.look_again(caller.token, caller.generation).await?;
        let Credential { token, read_time, .. } = found.map_err(|reason| self.reject(reason))?;
        let left = token.expire_time.map(|end| end.duration_since(read_time).unwrap_or_default());
        Caller::of(token).require(permission)?;
        Ok(left)
    }

    fn reject(&self, reason: InactiveReason) -> Error {
        self.metrics.caller_rejected(match reason {
            InactiveReason::Malformed => CallerRejection::Malformed,
            InactiveReason::Forged => CallerRejection::Forged,
            InactiveReason::Unknown | InactiveReason::OtherWorkspace => CallerRejection::Unknown,
            InactiveReason::Expired | InactiveReason::Revoked | InactiveReason::Superseded => {
                CallerRejection::Inactive
            }
        });
        Error::CredentialInvalid
    }
}
