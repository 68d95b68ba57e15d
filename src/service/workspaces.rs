//! Workspaces: adding, reading, listing and editing them, and invalidating all that was issued in them.

use std::sync::Arc;

use tokio::time::Instant;

use super::retries::{self, Many};
use super::{Caller, Error, Page, Reach, Service};
use crate::audit::{Action, Details, Entry, Subject};
use crate::keyring::Purpose;
use crate::profile::{Forbidden, Profile, ProfileName};
use crate::revocation::{Appended, Change, NewEvent};
use crate::store::{self, Transaction, log, tokens, workspaces};
use crate::text::{Initiator, Invalid};
use crate::token::{Precondition, Revision};
use crate::workspace::{
    Invalidation, Limits, NewWorkspace, TokenPrefix, Workspace, WorkspaceEdit, WorkspaceId,
};

/// Which page of the workspaces.
#[derive(Debug)]
pub struct WorkspacePageRequest {
    /// How many at most.
    pub size: usize,
    /// The page token of the page before.
    pub after: Option<String>,
}

/// What became of a workspace's secrets.
#[derive(Debug)]
pub struct Invalidated {
    /// The workspace, as it is then.
    pub workspace: Workspace,
    /// How many tokens were active.
    pub token_count: i64,
    /// Whether no cache accepts them any more, as far as was waited for.
    pub everywhere: bool,
}

impl Service {
    /// Adds a workspace.
    ///
    /// # Errors
    /// [`Error::EveryWorkspaceRequired`], [`Error::WorkspaceExists`], [`Error::ProfileNotFound`], [`Error::ProfileForbids`].
    pub async fn create_workspace(&self, caller: &Caller, new: NewWorkspace) -> Result<Workspace, Error> {
        if caller.reach() != Reach::Every {
            return Err(Error::EveryWorkspaceRequired);
        }
        let initiator = caller.on_behalf_of(None)?;
        let before = |_| self.get_workspace(caller, new.id.clone());
        let work = async {
            let mut transaction = retries::begin(&self.store, caller, None, None).await?;
            let created = async {
                self.require_prefix(&mut transaction, new.profile.as_ref(), &new.token_prefix).await?;
                let connection = transaction.connection();
                let created = workspaces::insert(connection, &new).await?;
                let created = created.ok_or_else(|| Error::WorkspaceExists(new.id.clone()))?;
                let entry = caller.entry(Action::known("create_workspace"), &initiator, subject(&new.id));
                let details = told(&created);
                store::audit::record(connection, &[Entry { details, ..entry }]).await?;
                Ok(created)
            };
            let created = created.await;
            transaction.finish(created).await
        };
        self.once(caller, work, before).await
    }

    /// Reads one workspace.
    ///
    /// # Errors
    /// [`Error::WorkspaceDenied`], [`Error::WorkspaceNotFound`].
    pub async fn get_workspace(&self, caller: &Caller, id: WorkspaceId) -> Result<Workspace, Error> {
        caller.require_workspace(&id)?;
        let mut connection = self.store.connection().await?;
        workspaces::find(&mut connection, &id).await?.ok_or(Error::WorkspaceNotFound(id))
    }

    /// Reads one page of the workspaces that the caller acts on, by id.
    ///
    /// # Errors
    /// [`Error::InvalidPageToken`].
    pub async fn list_workspaces(
        &self,
        caller: &Caller,
        request: WorkspacePageRequest,
    ) -> Result<Page<Workspace>, Error> {
        let context = caller.token().to_string();
        let after =
            request.after.as_deref().map(|text| self.read_workspace_page(&context, text)).transpose()?;
        let mut connection = self.store.connection().await?;
        if let Reach::One(own) = caller.reach() {
            let own = if after.is_none() { workspaces::find(&mut connection, &own).await? } else { None };
            return Ok(Page { items: own.into_iter().collect(), next: None });
        }
        let mut items = workspaces::list(&mut connection, after.as_ref(), request.size + 1).await?;
        let more = items.len() > request.size;
        items.truncate(request.size);
        let last = items.last().filter(|_| more);
        let next = last.map(|last| self.workspace_page_token(&context, &last.id)).transpose()?;
        Ok(Page { items, next })
    }

    fn workspace_page_token(&self, context: &str, last: &WorkspaceId) -> Result<String, Error> {
        let (kid, last) = (self.keys.minting(), last.as_str().as_bytes());
        Ok(self.keyring.seal(kid, Purpose::WorkspacePage, context.as_bytes(), last)?)
    }

    fn read_workspace_page(&self, context: &str, text: &str) -> Result<WorkspaceId, Error> {
        let unsealed = self.keyring.unseal(Purpose::WorkspacePage, context.as_bytes(), text);
        let bytes = unsealed.map_err(|error| self.unreadable(error, Error::InvalidPageToken))?;
        let text = String::from_utf8(bytes).map_err(|_| Error::InvalidPageToken)?;
        WorkspaceId::parse(text).map_err(|_| Error::InvalidPageToken)
    }

    /// Edits a workspace. Another profile is a change that concerns all of its tokens.
    ///
    /// # Errors
    /// [`Error::WorkspaceDenied`], [`Error::WorkspaceNotFound`], [`Error::ProfileNotFound`], [`Error::EtagMismatch`],
    /// [`Error::ProfileForbids`].
    pub async fn update_workspace(&self, caller: &Caller, edit: WorkspaceEdit) -> Result<Workspace, Error> {
        caller.require_workspace(&edit.id)?;
        require_limitable(&edit)?;
        let initiator = caller.on_behalf_of(None)?;
        let id = edit.id.clone();
        let work = async {
            let mut transaction = retries::begin(&self.store, caller, None, None).await?;
            let updated = self.update(&mut transaction, caller, edit, initiator).await;
            Ok(self.committing.finish(transaction, updated).await?.0)
        };
        self.once(caller, work, |_| self.get_workspace(caller, id)).await
    }

    async fn update(
        &self,
        transaction: &mut Transaction,
        caller: &Caller,
        edit: WorkspaceEdit,
        initiator: Initiator,
    ) -> Result<(Workspace, Option<Appended>), Error> {
        let workspace = locked(transaction, &edit.id, &edit.precondition).await?;
        if changes_nothing(&edit, &workspace) {
            return Ok((workspace, None));
        }
        let profile = edit.profile.as_ref().unwrap_or(&workspace.profile);
        let prefix = edit.token_prefix.as_ref().unwrap_or(&workspace.token_prefix);
        self.require_prefix(transaction, profile.as_ref(), prefix).await?;
        let appended = if *profile == workspace.profile {
            None
        } else {
            let change = Change::WorkspaceUpdated { workspace: edit.id.clone() };
            let event = NewEvent { change, initiator: initiator.clone() };
            Some(log::append_all(transaction, vec![event], false).await?)
        };
        let revision = appended.as_ref().and_then(|appended| appended.events.last());
        let revision = revision.map(|event| event.revision);
        let entry = caller.entry(Action::known("update_workspace"), &initiator, subject(&edit.id));
        let workspace = workspaces::update(transaction.connection(), edit, revision).await?;
        let entry =
            Entry { revision: revision.unwrap_or(Revision::ZERO), details: told(&workspace), ..entry };
        store::audit::record(transaction.connection(), &[entry]).await?;
        Ok((workspace, appended))
    }

    /// Refuses a profile that is not there, and a prefix that it does not allow.
    async fn require_prefix(
        &self,
        transaction: &mut Transaction,
        profile: Option<&ProfileName>,
        prefix: &TokenPrefix,
    ) -> Result<(), Error> {
        let Some(name) = profile else { return Ok(()) };
        let profile = self.profiles.now(transaction.connection(), name).await?;
        let within = |it: Forbidden| Forbidden { path: format!("workspace.{}", it.path), ..it };
        let forbidden = profile.forbids_prefix(prefix).map(within);
        forbidden.map_or(Ok(()), |forbidden| Err(Error::ProfileForbids(vec![forbidden])))
    }

    /// The profile of a workspace.
    ///
    /// # Errors
    /// [`Error::WorkspaceDenied`], [`Error::WorkspaceNotFound`], [`Error::WorkspaceWithoutProfile`].
    pub async fn workspace_profile(&self, caller: &Caller, id: WorkspaceId) -> Result<Arc<Profile>, Error> {
        caller.require_workspace(&id)?;
        let mut connection = self.store.connection().await?;
        let found = workspaces::find(&mut connection, &id).await?;
        let workspace = found.ok_or_else(|| Error::WorkspaceNotFound(id.clone()))?;
        let name = workspace.profile.ok_or(Error::WorkspaceWithoutProfile(id))?;
        self.profiles.now(&mut connection, &name).await
    }

    /// Invalidates every secret of a workspace that was issued before, or counts them only. If that is wanted, waits until no
    /// cache accepts them any more, but not up to a deadline, and tells besides whether that came about.
    ///
    /// # Errors
    /// [`Error::WorkspaceDenied`], [`Error::WorkspaceNotFound`], [`Error::EtagMismatch`].
    pub async fn invalidate_workspace(
        &self,
        caller: &Caller,
        invalidation: Invalidation,
        deadline: Option<Instant>,
    ) -> Result<Invalidated, Error> {
        caller.require_workspace(&invalidation.id)?;
        let (initiator, awaited) = (invalidation.initiator.clone(), invalidation.awaited);
        let initiator = caller.on_behalf_of(initiator)?;
        let id = invalidation.id.clone();
        let work = async {
            let mut transaction = retries::begin(&self.store, caller, None, None).await?;
            let invalidated = invalidate(&mut transaction, caller, invalidation, initiator).await;
            let ((workspace, token_count), committed) =
                self.committing.finish(transaction, invalidated).await?;
            let revision = committed.map_or(Revision::ZERO, |it| it.position.revision);
            Ok((workspace, Many { token_count, revision, committed }))
        };
        let before = |done| async move { Ok((self.get_workspace(caller, id).await?, Many::of(&done))) };
        let (workspace, many) = self.once(caller, work, before).await?;
        let everywhere = self.wait_for_many(&many, awaited, deadline).await;
        Ok(Invalidated { workspace, token_count: many.token_count, everywhere })
    }
}

async fn invalidate(
    transaction: &mut Transaction,
    caller: &Caller,
    invalidation: Invalidation,
    initiator: Initiator,
) -> Result<((Workspace, i64), Option<Appended>), Error> {
    let Invalidation { id, dry_run, precondition, reason, awaited, .. } = invalidation;
    let workspace = locked(transaction, &id, &precondition).await?;
    let count = tokens::count_active(transaction.connection(), &id).await?;
    if dry_run {
        retries::settle(transaction, caller, count, Revision::ZERO).await?;
        return Ok(((workspace, count), None));
    }
    let details = Details::from([("tokens", count.to_string()), ("reason", reason.to_string())]);
    let entry = caller.entry(Action::known("invalidate_workspace_tokens"), &initiator, subject(&id));
    let change = Change::WorkspaceInvalidated { workspace: id.clone(), reason };
    let appended = log::append_all(transaction, vec![NewEvent { change, initiator }], awaited).await?;
    let revision = appended.events.last().map_or(workspace.revision, |event| event.revision);
    let workspace = workspaces::invalidate(transaction.connection(), &id, revision).await?;
    store::audit::record(transaction.connection(), &[Entry { revision, details, ..entry }]).await?;
    retries::settle(transaction, caller, count, revision).await?;
    Ok(((workspace, count), Some(appended)))
}

/// The workspace in the version that is wanted, locked.
async fn locked(
    transaction: &mut Transaction,
    id: &WorkspaceId,
    precondition: &Precondition,
) -> Result<Workspace, Error> {
    let found = workspaces::lock(transaction.connection(), id).await?;
    let workspace = found.ok_or_else(|| Error::WorkspaceNotFound(id.clone()))?;
    if precondition.holds_for(&workspace.etag()) { Ok(workspace) } else { Err(Error::EtagMismatch) }
}

fn subject(id: &WorkspaceId) -> Subject {
    Subject { workspace: Some(id.clone()), ..Subject::default() }
}

fn told(workspace: &Workspace) -> Details {
    let profile = workspace.profile.as_ref().map(|name| ("profile", name.to_string()));
    profile.into_iter().chain([("token_prefix", workspace.token_prefix.as_str().to_owned())]).collect()
}

/// Whoever holds the database and the keyring must always get a token of the operator.
fn require_limitable(edit: &WorkspaceEdit) -> Result<(), Error> {
    let limited = edit.limits.is_some_and(|limits| limits != Limits::default());
    if limited && edit.id.is_system() {
        let unlimited = Invalid::Malformed("left out: callers of tokenkeep itself cannot be limited");
        return Err(Error::field("workspace.limits", unlimited));
    }
    Ok(())
}

fn changes_nothing(edit: &WorkspaceEdit, workspace: &Workspace) -> bool {
    edit.name.as_ref().is_none_or(|name| *name == workspace.name)
        && edit.token_prefix.as_ref().is_none_or(|prefix| *prefix == workspace.token_prefix)
        && edit.profile.as_ref().is_none_or(|profile| *profile == workspace.profile)
        && edit.superseded_use.is_none_or(|then| then == workspace.superseded_use)
        && edit.limits.is_none_or(|limits| limits == workspace.limits)
}
