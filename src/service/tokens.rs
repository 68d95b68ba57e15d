//! Reading, editing and revoking tokens.

use std::sync::Arc;

use super::committing::{Action, Mutation, Outcome};
use super::{Caller, Error, Service};
use crate::keyring::Unreadable;
use crate::profile::Profile;
use crate::store::{Connection, tokens, workspaces};
use crate::text::{Initiator, Reason};
use crate::token::{Precondition, Token, TokenEdit, TokenId};
use crate::workspace::{Limits, WorkspaceId};

use tokio::time::Instant;

/// Which token to end.
#[derive(Debug)]
pub struct Revocation {
    /// Which one.
    pub id: TokenId,
    /// Which version of it.
    pub precondition: Precondition,
    /// Why.
    pub reason: Reason,
    /// On whose behalf.
    pub initiator: Option<Initiator>,
    /// Whether the caller will wait until no cache accepts the token, so that every server says at once when it does not.
    pub awaited: bool,
}

/// Which token to suspend or to resume.
#[derive(Debug)]
pub struct Suspension {
    /// Which one.
    pub id: TokenId,
    /// Which version of it.
    pub precondition: Precondition,
    /// Why to suspend it; `None` to resume it.
    pub reason: Option<Reason>,
    /// On whose behalf.
    pub initiator: Option<Initiator>,
    /// Whether the caller will wait until no cache answers from before.
    pub awaited: bool,
}

/// What to edit of a token.
#[derive(Debug)]
pub struct TokenChange {
    /// Which one.
    pub id: TokenId,
    /// Which version of it.
    pub precondition: Precondition,
    /// What to edit.
    pub edit: TokenEdit,
    /// On whose behalf.
    pub initiator: Option<Initiator>,
}

impl Service {
    /// Reads one token.
    ///
    /// # Errors
    /// [`Error::TokenNotFound`], alike for what does not exist and for what the caller does not act on.
    pub async fn get_token(&self, caller: &Caller, id: TokenId) -> Result<Token, Error> {
        let mut connection = self.store.connection().await?;
        let found = known_to(caller, id, tokens::find(&mut connection, id).await?)?;
        drop(connection);
        self.learn_profile(Some(&found)).await;
        Ok(self.profiles.advise(found))
    }

    /// What is wrong with a text that was brought back: made under a key that is in use elsewhere, it may be right.
    pub(super) fn unreadable(&self, error: Unreadable, altered: Error) -> Error {
        match error {
            Unreadable::UnknownKey(kid) => self.keys.judge_absent(kid).err().unwrap_or(altered),
            Unreadable::Altered => altered,
        }
    }

    /// Edits a token; an edit that changes nothing leaves it as it is, and takes no revision.
    ///
    /// # Errors
    /// [`Error::TokenNotFound`], [`Error::EtagMismatch`], [`Error::TokenRevoked`], [`Error::ScopeEscalation`], an expiry
    /// that has passed as [`Error::InvalidFields`].
    pub async fn update_token(&self, caller: &Caller, change: TokenChange) -> Result<Token, Error> {
        let TokenChange { id, precondition, edit, initiator } = change;
        let (profile, limits) = self.rules_of(caller, id, edit.expiry.is_some()).await?;
        let mutation = Mutation {
            token: id,
            caller: caller.clone(),
            initiator: caller.on_behalf_of(initiator)?,
            precondition,
            profile,
            limits,
            action: Action::Edit(edit),
            awaited: false,
        };
        let work = async { Ok(self.profiles.advise(self.committing.commit(mutation).await?.token)) };
        self.once(caller, work, |_| self.get_token(caller, id)).await
    }

    /// The profile of the workspace of a token, and what that limits of a new expiry.
    async fn rules_of(
        &self,
        caller: &Caller,
        id: TokenId,
        renews: bool,
    ) -> Result<(Option<Arc<Profile>>, Limits), Error> {
        let mut connection = self.store.connection().await?;
        let token = known_to(caller, id, tokens::find(&mut connection, id).await?)?;
        let profile = match &token.profile {
            Some(name) => Some(self.profiles.now(&mut connection, name).await?),
            None => None,
        };
        let limited = if renews { workspaces::find(&mut connection, &token.workspace).await? } else { None };
        Ok((profile, limited.map(|workspace| workspace.limits).unwrap_or_default()))
    }

    /// Revokes a token for good; one that is revoked already stays as it is. If that is wanted, waits until no cache
    /// accepts it any more, but not up to a deadline, and tells besides whether that came about.
    ///
    /// # Errors
    /// [`Error::TokenNotFound`], [`Error::EtagMismatch`].
    pub async fn revoke_token(
        &self,
        caller: &Caller,
        revocation: Revocation,
        deadline: Option<Instant>,
    ) -> Result<(Token, bool), Error> {
        let Revocation { id, precondition, reason, initiator, awaited } = revocation;
        let mutation = Mutation {
            token: id,
            caller: caller.clone(),
            initiator: caller.on_behalf_of(initiator)?,
            precondition,
            profile: None,
            limits: Limits::default(),
            action: Action::Revoke(reason),
            awaited,
        };
        self.make_everywhere(mutation, deadline).await
    }

    /// Suspends a token, or resumes it; one that is so already stays as it is. If that is wanted, waits as
    /// [`Service::revoke_token`] does.
    ///
    /// # Errors
    /// [`Error::TokenNotFound`], [`Error::EtagMismatch`], [`Error::TokenRevoked`]; [`Error::ScopeEscalation`] to resume.
    pub async fn suspend_token(
        &self,
        caller: &Caller,
        suspension: Suspension,
        deadline: Option<Instant>,
    ) -> Result<(Token, bool), Error> {
        let Suspension { id, precondition, reason, initiator, awaited } = suspension;
        let mutation = Mutation {
            token: id,
            caller: caller.clone(),
            initiator: caller.on_behalf_of(initiator)?,
            precondition,
            profile: None,
            limits: Limits::default(),
            action: reason.map_or(Action::Resume, Action::Suspend),
            awaited,
        };
        self.make_everywhere(mutation, deadline).await
    }

    /// Makes a change. If somebody waits for that, waits until no cache answers from before it, but not up to a deadline,
    /// and tells besides whether that came about.
    pub(super) async fn make_everywhere(
        &self,
        mutation: Mutation,
        deadline: Option<Instant>,
    ) -> Result<(Token, bool), Error> {
        let (caller, id, awaited) = (mutation.caller.clone(), mutation.token, mutation.awaited);
        let before = |_| async { Ok(Outcome { token: self.get_token(&caller, id).await?, change: None }) };
        let Outcome { token, change } = self.once(&caller, self.committing.commit(mutation), before).await?;
        let everywhere = match change {
            _ if !awaited => false,
            Some(change) => self.wait_for_fleet(change, deadline).await,
            // It is so all the same, if it cannot be told whether everybody knows.
            None => self.wait_for_revision(token.revision, deadline).await.unwrap_or(false),
        };
        Ok((self.profiles.advise(token), everywhere))
    }
}

pub(super) async fn require_workspace(connection: &mut Connection, id: &WorkspaceId) -> Result<(), Error> {
    let found = workspaces::find(connection, id).await?;
    found.map(drop).ok_or_else(|| Error::WorkspaceNotFound(id.clone()))
}

/// What the caller does not act on does not exist for it.
pub(super) fn known_to(caller: &Caller, id: TokenId, found: Option<Token>) -> Result<Token, Error> {
    found.filter(|token| caller.acts_on(&token.workspace)).ok_or(Error::TokenNotFound(id))
}
