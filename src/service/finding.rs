//! Finding tokens: pages of a list, and how many there are.

use std::time::Duration;

use uuid::Uuid;

use super::tokens::require_workspace;
use super::{Caller, Error, Service};
use crate::keyring::Purpose;
use crate::store::tokens::{self, Listing, TokenQuery};
use crate::store::{Connection, workspaces};
use crate::token::{Token, TokenFilter, TokenId};
use crate::workspace::WorkspaceId;

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

/// Which tokens to count.
#[derive(Debug)]
pub struct TokenCountRequest {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Which tokens of it.
    pub filter: TokenFilter,
}

/// How many tokens there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenCount {
    /// So many were counted.
    pub count: usize,
    /// Whether there may be more.
    pub more: bool,
}

/// The most tokens that are looked at for one page and not shown. It takes about as long as showing a page.
const PAGE_PATIENCE: usize = 2_500;

/// The most tokens that are looked at to count.
const COUNT_PATIENCE: usize = 100_000;

/// The most bytes of tokens in one page: a quarter of what gRPC clients take in one message by default.
const PAGE_BYTES: usize = 1 << 20;

/// How many tokens are read at once: with all at their largest, a few times a page and no more.
const CHUNK: usize = 64;

impl Service {
    /// Reads one page of a workspace's tokens, newest first. It may hold fewer than asked for, or none, and not be the last,
    /// since no more than a bounded number is looked at.
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
        let TokenPageRequest { workspace, filter, size, .. } = request;
        let rotation_due_after = self.rotation_due_after(&mut connection, &workspace, &filter).await?;
        let query = TokenQuery { workspace, filter, rotation_due_after, after, patience: PAGE_PATIENCE };
        let (items, next) = page(&mut connection, query, size).await?;
        let next = next.map(|last| self.token_page_token(&context, last)).transpose()?;
        drop(connection);
        // They are all of one workspace.
        self.learn_profile(items.first()).await;
        let items = items.into_iter().map(|token| self.profiles.advise(token)).collect();
        Ok(Page { items, next })
    }

    /// Counts the tokens of a workspace, as far as they are looked at.
    ///
    /// # Errors
    /// [`Error::WorkspaceDenied`], [`Error::WorkspaceNotFound`].
    pub async fn count_tokens(
        &self,
        caller: &Caller,
        request: TokenCountRequest,
    ) -> Result<TokenCount, Error> {
        caller.require_workspace(&request.workspace)?;
        let mut connection = self.store.connection().await?;
        let TokenCountRequest { workspace, filter } = request;
        let rotation_due_after = self.rotation_due_after(&mut connection, &workspace, &filter).await?;
        let query =
            TokenQuery { workspace, filter, rotation_due_after, after: None, patience: COUNT_PATIENCE };
        let (count, more) = tokens::count(&mut connection, &query).await?;
        Ok(TokenCount { count, more })
    }

    /// After which age secrets of a workspace that is there are due to be replaced, if the filter asks for that.
    pub(super) async fn rotation_due_after(
        &self,
        connection: &mut Connection,
        id: &WorkspaceId,
        filter: &TokenFilter,
    ) -> Result<Option<Duration>, Error> {
        if !filter.rotation_due {
            return require_workspace(connection, id).await.map(|()| None);
        }
        let workspace = workspaces::find(connection, id).await?;
        let workspace = workspace.ok_or_else(|| Error::WorkspaceNotFound(id.clone()))?;
        let Some(name) = workspace.profile else { return Ok(None) };
        Ok(self.profiles.now(connection, &name).await?.rotation_due_after)
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
}

/// The tokens of one page, and after which one the next begins: as many as asked for, or as fit, or as are found.
async fn page(
    connection: &mut Connection,
    query: TokenQuery,
    size: usize,
) -> Result<(Vec<Token>, Option<TokenId>), Error> {
    let mut listing = Listing::begin(connection, query).await?;
    let (mut items, mut bytes) = (Vec::<Token>::new(), 0);
    loop {
        // One more than asked for tells whether there is a next page.
        let limit = CHUNK.min(size + 1 - items.len());
        for token in listing.next(connection, limit).await? {
            bytes += token.size();
            let last = items.last().filter(|_| items.len() == size || bytes > PAGE_BYTES);
            if let Some(last) = last.map(|last| last.id) {
                return Ok((items, Some(last)));
            }
            items.push(token);
        }
        if listing.is_over() {
            return Ok((items, listing.rest()));
        }
    }
}

/// What a page token is bound to: all that decides which tokens follow, and who asks.
fn page_context(caller: &Caller, request: &TokenPageRequest) -> Vec<u8> {
    format!("{}\0{}\0{}", caller.token(), request.workspace, request.filter.canonical()).into_bytes()
}
