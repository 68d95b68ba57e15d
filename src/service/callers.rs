//! Who calls: callers hold tokens of tokenkeep itself.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use secrecy::SecretString;

use super::freshness::Arrival;
use super::proving::{Question, Sight};
use super::retries::Intention;
use super::search::Search;
use super::{Error, Permission, Refusal, Service};
use crate::audit::Origin;
use crate::clock::BootTime;
use crate::introspection::{Freshness, InactiveReason, Place, Record};
use crate::metrics::CallerRejection;
use crate::revocation::Change;
use crate::text::Initiator;
use crate::token::{PresentedText, Revision, Scope, ScopeSet, TokenId};
use crate::workspace::WorkspaceId;

/// Where callers present their own tokens: no audience is named, and no address that a token could be held to is known.
static NOWHERE: Place = Place { audience: None, address: None };

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

/// A caller whose token was proved to be live, with what is known of the request that it makes beside its words.
#[derive(Debug, Clone)]
pub struct Caller {
    record: Arc<Record>,
    /// Where the request comes from; `None` for a command of ours, which needs no token.
    origin: Option<Origin>,
    /// By what the request is recognised if it is repeated.
    intention: Option<Arc<Intention>>,
}

impl Caller {
    /// Takes a token for a caller; it must be live.
    pub(super) const fn of(record: Arc<Record>, origin: Origin) -> Self {
        Self { record, origin: Some(origin), intention: None }
    }

    /// Takes a command of ours for a caller that may do what a record says.
    pub(super) const fn command(record: Arc<Record>) -> Self {
        Self { record, origin: None, intention: None }
    }

    /// The same with a request that may be repeated.
    pub(super) fn intending(self, intention: Intention) -> Self {
        Self { intention: Some(Arc::new(intention)), ..self }
    }

    /// By what its request is recognised if it is repeated.
    pub(super) fn intention(&self) -> Option<&Intention> {
        self.intention.as_deref()
    }

    /// The id of its token and where its request comes from; `None` for a command of ours.
    pub(super) fn proved(&self) -> Option<(TokenId, Origin)> {
        self.origin.map(|origin| (self.record.id, origin))
    }

    /// The id of the caller's own token.
    #[must_use]
    pub fn token(&self) -> TokenId {
        self.record.id
    }

    /// The workspaces it acts on.
    #[must_use]
    pub fn reach(&self) -> Reach {
        let own = &self.record.workspace;
        if own.is_system() { Reach::Every } else { Reach::One(WorkspaceId::clone(own)) }
    }

    /// Whether it acts on a workspace.
    #[must_use]
    pub fn acts_on(&self, workspace: &WorkspaceId) -> bool {
        self.record.workspace.is_system() || *self.record.workspace == *workspace
    }

    /// Whether a change may concern what it may do.
    pub(super) fn is_concerned_by(&self, change: &Change) -> bool {
        change.concerns(&self.record)
    }

    /// Whether its token grants what is needed.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.record.scopes.grants(&permission.scope())
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
        if self.acts_on(workspace) { Ok(()) } else { Err(Error::WorkspaceDenied(workspace.clone())) }
    }

    /// Refuses power over tokenkeep that the caller lacks: it could otherwise make or take a token mightier than its
    /// own.
    ///
    /// # Errors
    /// [`Error::ScopeEscalation`], naming the first such scope.
    pub fn require_covering(&self, scopes: &ScopeSet) -> Result<(), Error> {
        let uncovered = scopes.iter().find(|scope| scope.is_reserved() && !self.record.scopes.grants(scope));
        uncovered.map_or(Ok(()), |scope| Err(Error::ScopeEscalation(scope.clone())))
    }

    /// Refuses to leave power over tokenkeep behind that outlives the caller's own: a stolen caller token could otherwise
    /// be made to last. Asked of a token that has these scopes and expires then.
    ///
    /// # Errors
    /// [`Error::LifetimeEscalation`].
    pub fn require_outliving(&self, scopes: &ScopeSet, expire_time: Option<SystemTime>) -> Result<(), Error> {
        let outlives = match (expire_time, self.record.expire_time) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(theirs), Some(own)) => theirs > own.into(),
        };
        let powerful = scopes.iter().any(Scope::is_reserved);
        if powerful && outlives { Err(Error::LifetimeEscalation) } else { Ok(()) }
    }

    /// On whose behalf it acts: the initiator it names, else itself.
    pub(super) fn on_behalf_of(&self, initiator: Option<Initiator>) -> Result<Initiator, Error> {
        let own = || Initiator::parse(self.record.id.to_string());
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
        origin: Origin,
    ) -> Result<Caller, Error> {
        let undecided = |_: &Error| self.metrics.caller_rejected(CallerRejection::Undecided);
        let proved = self.prove(Question::of_caller(credential.into())).await.inspect_err(undecided)?;
        let live = proved.map_err(|reason| self.reject(reason))?;
        self.admit(live.record, permission, origin)
    }

    /// The same by what is at hand, at once and without asking anybody; `None` if that is not enough.
    ///
    /// # Errors
    /// [`Error::CredentialInvalid`], [`Error::ScopeRequired`].
    pub fn authenticate_at_hand(
        &self,
        credential: PresentedText<'_>,
        permission: Permission,
        origin: Origin,
    ) -> Result<Option<Caller>, Error> {
        let question = Question::of_caller(credential);
        let now = BootTime::now();
        let Ok(Sight::Proved(proved)) = self.at_hand(&question, Revision::ZERO, now) else { return Ok(None) };
        self.note_at_hand(&question, &proved, now);
        let live = proved.map_err(|reason| self.reject(reason))?;
        self.admit(live.record, permission, origin).map(Some)
    }

    fn admit(&self, record: Arc<Record>, permission: Permission, origin: Origin) -> Result<Caller, Error> {
        let caller = Caller::of(record, origin);
        caller.require(permission).inspect_err(|error| {
            self.metrics.caller_rejected(CallerRejection::Forbidden);
            self.refusals.note(Refusal {
                action: permission.action(),
                caller: Some(caller.token()),
                origin,
                reason: "SCOPE_REQUIRED",
                error,
            });
        })?;
        Ok(caller)
    }

    /// Looks again, in the database, whether a caller that was proved before still lives, its secret not replaced, and
    /// still may. Gives the caller as it is now, and how long its token lives on; `None` for ever.
    ///
    /// # Errors
    /// As [`Service::authenticate`].
    pub async fn authenticate_again(
        &self,
        caller: &Caller,
        permission: Permission,
    ) -> Result<(Caller, Option<Duration>), Error> {
        let Caller { record: before, origin, .. } = caller;
        let mut search = Search::of(self, std::iter::once(before.id));
        let of_itself = |_: &WorkspaceId| Ok(());
        let found =
            search.judge_again(of_itself, (before.id, before.generation), &mut Arrival::now(self)).await?;
        let live = found.map_err(|reason| self.reject(reason))?;
        live.record.suits(&NOWHERE).map_err(|reason| self.reject(reason))?;
        let caller = Caller { record: live.record, origin: *origin, intention: None };
        caller.require(permission)?;
        Ok((caller, live.deadline.map(|deadline| deadline.since(BootTime::now()))))
    }

    fn reject(&self, reason: InactiveReason) -> Error {
        self.metrics.caller_rejected(match reason {
            InactiveReason::Malformed => CallerRejection::Malformed,
            InactiveReason::Forged => CallerRejection::Forged,
            InactiveReason::Unknown | InactiveReason::OtherWorkspace => CallerRejection::Unknown,
            InactiveReason::Expired
            | InactiveReason::Revoked
            | InactiveReason::Superseded
            | InactiveReason::Invalidated
            | InactiveReason::PrincipalDisabled
            | InactiveReason::Suspended
            | InactiveReason::OtherAudience
            | InactiveReason::OtherAddress => CallerRejection::Inactive,
        });
        Error::CredentialInvalid
    }
}

impl<'ask> Question<'ask> {
    /// Whether what a caller presents for itself is a live token.
    const fn of_caller(credential: PresentedText<'ask>) -> Self {
        let (text, place) = (credential, Some(&NOWHERE));
        Self { text, caller: None, workspace: None, place, freshness: Freshness::Leased }
    }
}
