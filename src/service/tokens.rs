//! Reading, listing, editing and revoking tokens.

use std::sync::Arc;

use super::committing::{Action, Mutation, Outcome};
use super::{Caller, Error, Service};
use crate::keyring::{Purpose, Unreadable};
use crate::profile::Profile;
use crate::store::tokens::TokenQuery;
use crate::store::{Connection, tokens, workspaces};
use crate::text::{Initiator, Reason};
use crate::token::{Precondition, Token, TokenEdit, TokenFilter, TokenId};
use crate::workspace::{Limits, WorkspaceId};

use tokio::time::Instant;
use uuid::Uuid;

/// One page of a list, and what asks for the next; empty on the last.
#[derive(Debug)]
pub struct Page<Item> {
    /// The items.
    pub items: Vec<Item>,
    /// The sealed page token of the next page.
    pub next: Option<String>,
}

/// Which page of which tokens.
#[derive(Debug)]
pub struct TokenPageRequest {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Which tokens of it.
    pub filter: TokenFilter,
    /// How many at most.
    pub size: usize,
    /// The page token of the page before.
    pub after: Option<String>,
}

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

    /// Reads one page of a workspace's tokens, newest first.
    ///
    /// # Errors
    /// [`Error::WorkspaceDenied`], [`Error::WorkspaceNotFound`], [`Error::InvalidPageToken`].
    pub async fn list_tokens(
        &self,
        caller: &Caller,
        request: TokenPageRequest,
    ) -> Result<Page<Token>, Error> {
        caller.require_workspace(&request.workspace)?;
        let context = page_context(caller, &request);
        let after = request.after.as_deref().map(|text| self.read_page_token(&context, text)).transpose()?;
        let mut connection = self.store.connection().await?;
        require_workspace(&mut connection, &request.workspace).await?;
        let (items, more) = page(&mut connection, request, after).await?;
        let last = items.last().filter(|_| more).map(|token| token.id);
        let next = last.map(|last| self.token_page_token(&context, last)).transpose()?;
        drop(connection);
        // They are all of one workspace.
        self.learn_profile(items.first()).await;
        let items = items.into_iter().map(|token| self.profiles.advise(token)).collect();
        Ok(Page { items, next })
    }

    /// The page token that continues a list after a token.
    fn token_page_token(&self, context: &[u8], last: TokenId) -> Result<String, Error> {
        let kid = self.keys.minting();
        Ok(self.keyring.seal(kid, Purpose::TokenPage, context, last.as_uuid().as_bytes())?)
    }

    fn read_page_token(&self, context: &[u8], text: &str) -> Result<TokenId, Error> {
        let unsealed = self.keyring.unseal(Purpose::TokenPage, context, text);
        let bytes = unsealed.map_err(|error| self.unreadable(error, Error::InvalidPageToken))?;
        let id = Uuid::from_slice(&bytes).map_err(|_| Error::InvalidPageToken)?;
        Ok(TokenId::from_uuid(id))
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
        Ok(self.profiles.advise(self.committing.commit(mutation).await?.token))
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
    async fn make_everywhere(
        &self,
        mutation: Mutation,
        deadline: Option<Instant>,
    ) -> Result<(Token, bool), Error> {
        let awaited = mutation.awaited;
        let Outcome { token, change } = self.committing.commit(mutation).await?;
        let everywhere = match change {
            _ if !awaited => false,
            Some(change) => self.wait_for_fleet(change, deadline).await,
            // It is so all the same, if it cannot be told whether everybody knows.
            None => self.wait_for_revision(token.revision, deadline).await.unwrap_or(false),
        };
        Ok((self.profiles.advise(token), everywhere))
    }
}

/// The most bytes of tokens in one page: a quarter of what gRPC clients take in one message by default.
const PAGE_BYTES: usize = 1 << 20;

/// How many tokens are read at once: with all at their largest, a few times a page and no more.
const CHUNK: usize = 64;

/// The tokens of one page, and whether there are more: as many as asked for or as fit, and at least one.
async fn page(
    connection: &mut Connection,
    request: TokenPageRequest,
    after: Option<TokenId>,
) -> Result<(Vec<Token>, bool), Error> {
    let TokenPageRequest { workspace, filter, size, .. } = request;
    let mut query = TokenQuery { workspace, filter, after, limit: CHUNK };
    let (mut items, mut bytes) = (Vec::new(), 0);
    loop {
        // One more than asked for tells whether there is a next page.
        query.limit = CHUNK.min(size + 1 - items.len());
        let chunk = tokens::list(connection, &query).await?;
        let last = chunk.len() < query.limit;
        query.after = chunk.last().map(|token| token.id);
        for token in chunk {
            bytes += token.size();
            if items.len() == size || (bytes > PAGE_BYTES && !items.is_empty()) {
                return Ok((items, true));
            }
            items.push(token);
        }
        if last {
            return Ok((items, false));
        }
    }
}

/// What a page token is bound to: all that decides which tokens follow, and who asks.
fn page_context(caller: &Caller, request: &TokenPageRequest) -> Vec<u8> {
    format!("{}\0{}\0{}", caller.token(), request.workspace, request.filter.canonical()).into_bytes()
}

pub(super) async fn require_workspace(connection: &mut Connection, id: &WorkspaceId) -> Result<(), Error> {
    let found = workspaces::find(connection, id).await?;
    found.map(drop).ok_or_else(|| Error::WorkspaceNotFound(id.clone()))
}

/// What the caller does not act on does not exist for it.
pub(super) fn known_to(caller: &Caller, id: TokenId, found: Option<Token>) -> Result<Token, Error> {
    found.filter(|token| caller.acts_on(&token.workspace)).ok_or(Error::TokenNotFound(id))
}
