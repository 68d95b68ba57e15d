//! The vocabulary of principals: who tokens act for.

use std::time::SystemTime;

use crate::profile::PrincipalKind;
use crate::text::{Handle, Initiator, Name, PrincipalId, Reason};
use crate::token::{Etag, ExternalId, Precondition, Revision, ScopeSet};
use crate::workspace::WorkspaceId;

/// A user or a service account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The workspace it belongs to, for the whole life.
    pub workspace: WorkspaceId,
    /// The id, unique in the workspace, for the whole life and after.
    pub id: PrincipalId,
    /// A person or a program.
    pub kind: PrincipalKind,
    /// What people call it.
    pub name: Name,
    /// What the product calls it.
    pub handle: Option<Handle>,
    /// The number that the product names it by.
    pub external_id: Option<ExternalId>,
    /// What it may do.
    pub scopes: ScopeSet,
    /// On whose behalf it was created.
    pub creator: Initiator,
    /// Whether its tokens are inactive for now.
    pub disabled: bool,
    /// When it was created.
    pub create_time: SystemTime,
    /// When it was last edited.
    pub update_time: SystemTime,
    /// Counts the edits, from 1.
    pub version: i32,
    /// The position of its last change.
    pub revision: Revision,
}

impl Principal {
    /// Names this version of the principal.
    #[must_use]
    pub fn etag(&self) -> Etag {
        Etag::of_version(self.version)
    }
}

/// What a caller decides about a new principal.
#[derive(Debug, Clone)]
pub struct NewPrincipal {
    /// The workspace it will belong to.
    pub workspace: WorkspaceId,
    /// The id.
    pub id: PrincipalId,
    /// A person or a program.
    pub kind: PrincipalKind,
    /// What people call it.
    pub name: Name,
    /// What the product calls it.
    pub handle: Option<Handle>,
    /// The number that the product names it by.
    pub external_id: Option<ExternalId>,
    /// What it may do.
    pub scopes: ScopeSet,
    /// Whether its tokens are inactive at first.
    pub disabled: bool,
}

/// How a principal is named, within its workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrincipalKey {
    /// By its id.
    Id(PrincipalId),
    /// By what the product calls it.
    Handle(Handle),
    /// By the product's number.
    ExternalId(ExternalId),
}

/// What to change of a principal; `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct PrincipalEdit {
    /// What people call it.
    pub name: Option<Name>,
    /// What the product calls it, or that it has no such name.
    pub handle: Option<Option<Handle>>,
    /// What it may do.
    pub scopes: Option<ScopeSet>,
    /// Whether its tokens are inactive.
    pub disabled: Option<bool>,
}

impl PrincipalEdit {
    /// Whether a principal is already as this edit would make it.
    #[must_use]
    pub fn changes_nothing_of(&self, principal: &Principal) -> bool {
        self.name.as_ref().is_none_or(|name| *name == principal.name) && !self.concerns_tokens_of(principal)
    }

    /// Whether an introspection of its tokens could be answered otherwise after it.
    #[must_use]
    pub fn concerns_tokens_of(&self, principal: &Principal) -> bool {
        self.handle.as_ref().is_some_and(|handle| *handle != principal.handle)
            || self.scopes.as_ref().is_some_and(|scopes| *scopes != principal.scopes)
            || self.disabled.is_some_and(|disabled| disabled != principal.disabled)
    }
}

/// What becomes of the tokens of a principal that is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Legacy {
    /// They are revoked, for this reason.
    Revoked(Reason),
    /// They act for this principal of the same workspace.
    HandedOver(PrincipalId),
}

/// Which principal to edit, and how.
#[derive(Debug, Clone)]
pub struct PrincipalChange {
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// Which one.
    pub id: PrincipalId,
    /// Which version of it.
    pub precondition: Precondition,
    /// What to edit.
    pub edit: PrincipalEdit,
    /// On whose behalf.
    pub initiator: Option<Initiator>,
    /// Whether the caller will wait until no cache answers from before.
    pub awaited: bool,
}

/// Which principal to end.
#[derive(Debug, Clone)]
pub struct PrincipalEnd {
    /// Its workspace.
    pub workspace: WorkspaceId,
    /// Which one.
    pub id: PrincipalId,
    /// Which version of it.
    pub precondition: Precondition,
    /// What becomes of its tokens.
    pub legacy: Legacy,
    /// On whose behalf.
    pub initiator: Option<Initiator>,
    /// Whether the caller will wait until no cache answers from before.
    pub awaited: bool,
}
