//! Principals: adding, reading, listing and editing them, and ending them with what becomes of their tokens.

mod changes;

use tokio::time::Instant;

use super::drafting::Draft;
use super::retries::{self, Many};
use super::tokens::require_workspace;
use super::{Caller, Error, Issued, NewTokenWords, Page, Permission, Service};
use crate::keyring::Purpose;
use crate::principal::{Legacy, NewPrincipal, Principal, PrincipalChange, PrincipalEnd, PrincipalKey};
use crate::profile::PrincipalKind;
use crate::store::principals::{self, PrincipalQuery};
use crate::store::requests::Done;
use crate::text::{Initiator, Invalid, PrincipalId};
use crate::token::{IssuedSecret, Revision};
use crate::workspace::WorkspaceId;
use changes::{create, delete, update};

/// Which page of which principals.
#[derive(Debug)]
pub struct PrincipalPageRequest {
    /// The workspace.
    pub workspace: WorkspaceId,
    /// Only those of this kind.
    pub kind: Option<PrincipalKind>,
    /// How many at most.
    pub size: usize,
    /// The page token of the page before.
    pub after: Option<String>,
}

/// What became of a principal that was deleted.
#[derive(Debug)]
pub struct Deleted {
    /// How many tokens were revoked or handed over.
    pub token_count: i64,
    /// The position of the change.
    pub revision: Revision,
    /// Whether no cache answers from before it, as far as was waited for.
    pub everywhere: bool,
}

impl Service {
    /// Adds a principal; a service account possibly with its first token, in one transaction.
    ///
    /// # Errors
    /// [`Error::ScopeRequired`], [`Error::WorkspaceDenied`], [`Error::ScopeEscalation`], [`Error::WorkspaceNotFound`],
    /// [`Error::PrincipalExists`], and for the token as [`Service::create_token`].
    pub async fn create_principal(
        &self,
        caller: &Caller,
        new: NewPrincipal,
        token: Option<NewTokenWords>,
        initiator: Option<Initiator>,
    ) -> Result<(Principal, Option<Issued>), Error> {
        caller.require_workspace(&new.workspace)?;
        let (workspace, id) = (new.workspace.clone(), PrincipalKey::Id(new.id.clone()));
        let with_token = token.is_some();
        let work = self.add_principal(caller, new, token, initiator);
        let before = |done: Done| async move {
            let principal = self.get_principal(caller, &workspace, &id).await?;
            let issued = if with_token { Some(self.issued_before(caller, done).await?) } else { None };
            Ok((principal, issued))
        };
        self.once(caller, work, before).await
    }

    async fn add_principal(
        &self,
        caller: &Caller,
        new: NewPrincipal,
        token: Option<NewTokenWords>,
        initiator: Option<Initiator>,
    ) -> Result<(Principal, Option<Issued>), Error> {
        caller.require_covering(&new.scopes)?;
        let creator = caller.on_behalf_of(initiator)?;
        require_workspace(&mut self.store.connection().await?, &new.workspace).await?;
        let (draft, secret) = match token {
            Some(words) => Some(self.draft_for(caller, &new, words).await?),
            None => None,
        }
        .unzip();
        let mut transaction = match &draft {
            Some(draft) => draft.begin(&self.store).await?,
            None => retries::begin(&self.store, caller, None, None).await?,
        };
        let created = create(&mut transaction, caller, &new, &creator, draft.as_ref()).await;
        let (principal, token) = transaction.finish(created).await?;
        let issued = token.zip(secret);
        let issued = issued.map(|(token, secret)| Issued { token: self.profiles.advise(token), secret });
        Ok((principal, issued))
    }

    async fn draft_for(
        &self,
        caller: &Caller,
        new: &NewPrincipal,
        words: NewTokenWords,
    ) -> Result<(Draft, IssuedSecret), Error> {
        caller.require(Permission::CreateToken)?;
        if new.kind != PrincipalKind::ServiceAccount {
            return Err(Error::field(
                "token",
                Invalid::Malformed("left out, unless it is a service account"),
            ));
        }
        self.issuer.draft(caller, words).await
    }

    /// Reads one principal.
    ///
    /// # Errors
    /// [`Error::WorkspaceDenied`], [`Error::PrincipalNotFound`].
    pub async fn get_principal(
        &self,
        caller: &Caller,
        workspace: &WorkspaceId,
        key: &PrincipalKey,
    ) -> Result<Principal, Error> {
        caller.require_workspace(workspace)?;
        let mut connection = self.store.connection().await?;
        principals::find(&mut connection, workspace, key).await?.ok_or(Error::PrincipalNotFound)
    }

    /// Reads one page of a workspace's principals, by id.
    ///
    /// # Errors
    /// [`Error::WorkspaceDenied`], [`Error::WorkspaceNotFound`], [`Error::InvalidPageToken`].
    pub async fn list_principals(
        &self,
        caller: &Caller,
        request: PrincipalPageRequest,
    ) -> Result<Page<Principal>, Error> {
        let PrincipalPageRequest { workspace, kind, size, after } = request;
        caller.require_workspace(&workspace)?;
        let context = format!("{}\0{workspace}\0{kind:?}", caller.token());
        let after = after.as_deref().map(|text| self.read_principal_page(&context, text)).transpose()?;
        let mut connection = self.store.connection().await?;
        require_workspace(&mut connection, &workspace).await?;
        let query = PrincipalQuery { workspace, kind, after, limit: size + 1 };
        let mut items = principals::list(&mut connection, &query).await?;
        let more = items.len() > size;
        items.truncate(size);
        let last = items.last().filter(|_| more);
        let next = last.map(|last| self.principal_page_token(&context, &last.id)).transpose()?;
        Ok(Page { items, next })
    }

    fn principal_page_token(&self, context: &str, last: &PrincipalId) -> Result<String, Error> {
        let (kid, last) = (self.keys.minting(), last.as_str().as_bytes());
        Ok(self.keyring.seal(kid, Purpose::PrincipalPage, context.as_bytes(), last)?)
    }

    fn read_principal_page(&self, context: &str, text: &str) -> Result<PrincipalId, Error> {
        let unsealed = self.keyring.unseal(Purpose::PrincipalPage, context.as_bytes(), text);
        let bytes = unsealed.map_err(|error| self.unreadable(error, Error::InvalidPageToken))?;
        let text = String::from_utf8(bytes).map_err(|_| Error::InvalidPageToken)?;
        PrincipalId::parse(text).map_err(|_| Error::InvalidPageToken)
    }

    /// Edits a principal. What its tokens can do, and whether they live, changes with it in one change. If that is wanted,
    /// waits until no cache answers from before, but not up to a deadline, and tells besides whether that came about.
    ///
    /// # Errors
    /// [`Error::WorkspaceDenied`], [`Error::PrincipalNotFound`], [`Error::EtagMismatch`], [`Error::ScopeEscalation`],
    /// [`Error::PrincipalExists`].
    pub async fn update_principal(
        &self,
        caller: &Caller,
        change: PrincipalChange,
        deadline: Option<Instant>,
    ) -> Result<(Principal, bool), Error> {
        caller.require_workspace(&change.workspace)?;
        let awaited = change.awaited;
        let initiator = caller.on_behalf_of(change.initiator.clone())?;
        let (workspace, id) = (change.workspace.clone(), PrincipalKey::Id(change.id.clone()));
        let work = async {
            let mut transaction = retries::begin(&self.store, caller, None, None).await?;
            let updated = update(&mut transaction, caller, change, initiator).await;
            self.committing.finish(transaction, updated).await
        };
        let before = |_| async { Ok((self.get_principal(caller, &workspace, &id).await?, None)) };
        let (principal, committed) = self.once(caller, work, before).await?;
        let everywhere = match committed {
            _ if !awaited => false,
            Some(committed) => self.wait_for_fleet(committed, deadline).await,
            None if principal.revision == Revision::ZERO => false,
            // It is so all the same, if it cannot be told whether everybody knows.
            None => self.wait_for_revision(principal.revision, deadline).await.unwrap_or(false),
        };
        Ok((principal, everywhere))
    }

    /// Ends a principal for good, and revokes its tokens or hands them over, in one change. If that is wanted, waits until no
    /// cache answers from before, but not up to a deadline.
    ///
    /// # Errors
    /// [`Error::ScopeRequired`], [`Error::WorkspaceDenied`], [`Error::PrincipalNotFound`], also for the heir,
    /// [`Error::EtagMismatch`], [`Error::ScopeEscalation`].
    pub async fn delete_principal(
        &self,
        caller: &Caller,
        end: PrincipalEnd,
        deadline: Option<Instant>,
    ) -> Result<Deleted, Error> {
        caller.require(match &end.legacy {
            Legacy::Revoked(_) => Permission::RevokeToken,
            Legacy::HandedOver(_) => Permission::UpdateToken,
        })?;
        caller.require_workspace(&end.workspace)?;
        let awaited = end.awaited;
        let initiator = caller.on_behalf_of(end.initiator.clone())?;
        let work = async {
            let mut transaction = retries::begin(&self.store, caller, None, None).await?;
            let deleted = delete(&mut transaction, caller, end, initiator).await;
            let (token_count, committed) = self.committing.finish(transaction, deleted).await?;
            Ok(Many {
                token_count,
                revision: committed.map_or(Revision::ZERO, |it| it.position.revision),
                committed,
            })
        };
        let before = |done| async move { Ok(Many::of(&done)) };
        let many = self.once(caller, work, before).await?;
        let everywhere = self.wait_for_many(&many, awaited, deadline).await;
        Ok(Deleted { token_count: many.token_count, revision: many.revision, everywhere })
    }
}
