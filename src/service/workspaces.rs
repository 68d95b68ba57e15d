//! Workspaces: adding, reading, listing and editing them.

use super::{Caller, Error, Page, Reach, Service};
use crate::keyring::Purpose;
use crate::store::{Transaction, workspaces};
use crate::text::Name;
use crate::workspace::{TokenPrefix, Workspace, WorkspaceEdit, WorkspaceId};

/// Which page of the workspaces.
#[derive(Debug)]
pub struct WorkspacePageRequest {
    /// How many at most.
    pub size: usize,
    /// The page token of the page before.
    pub after: Option<String>,
}

impl Service {
    /// Adds a workspace.
    ///
    /// # Errors
    /// [`Error::EveryWorkspaceRequired`], [`Error::WorkspaceExists`].
    pub async fn create_workspace(
        &self,
        caller: &Caller,
        id: WorkspaceId,
        name: Name,
        token_prefix: TokenPrefix,
    ) -> Result<Workspace, Error> {
        if caller.reach() != Reach::Every {
            return Err(Error::EveryWorkspaceRequired);
        }
        // In a transaction, although it is one statement: a loss before COMMIT is then known to have changed nothing.
        let mut transaction = self.store.begin().await?;
        let created = workspaces::insert(transaction.connection(), &id, &name, &token_prefix).await;
        let created =
            created.map_err(Error::from).and_then(|created| created.ok_or(Error::WorkspaceExists(id)));
        transaction.finish(created).await
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

    /// Edits a workspace.
    ///
    /// # Errors
    /// [`Error::WorkspaceDenied`], [`Error::WorkspaceNotFound`], [`Error::EtagMismatch`].
    pub async fn update_workspace(&self, caller: &Caller, edit: WorkspaceEdit) -> Result<Workspace, Error> {
        caller.require_workspace(&edit.id)?;
        let mut transaction = self.store.begin().await?;
        let updated = update(&mut transaction, edit).await;
        transaction.finish(updated).await
    }
}

async fn update(transaction: &mut Transaction, edit: WorkspaceEdit) -> Result<Workspace, Error> {
    let connection = transaction.connection();
    let found = workspaces::lock(connection, &edit.id).await?;
    let workspace = found.ok_or_else(|| Error::WorkspaceNotFound(edit.id.clone()))?;
    if !edit.precondition.holds_for(&workspace.etag()) {
        return Err(Error::EtagMismatch);
    }
    let same_name = edit.name.as_ref().is_none_or(|name| *name == workspace.name);
    let same_prefix = edit.token_prefix.as_ref().is_none_or(|prefix| *prefix == workspace.token_prefix);
    if same_name && same_prefix {
        return Ok(workspace);
    }
    Ok(workspaces::update(connection, &edit.id, edit.name.as_ref(), edit.token_prefix.as_ref()).await?)
}
