//! What goes into the audit of every mutation, in its own transaction, and pages of it.

use std::time::SystemTime;

use uuid::Uuid;

use super::finding::Page;
use super::{Caller, Error, Reach, Refusals, Service};
use crate::audit::{Action, Details, Entry, Event, Filter, Subject};
use crate::keyring::Purpose;
use crate::profile::TokenType;
use crate::store::audit;
use crate::text::Initiator;
use crate::token::{Revision, Scope, ScopeSet, Token, TokenEdit};
use crate::workspace::WorkspaceId;

impl Caller {
    /// What it did, on whose behalf, to what.
    pub(super) fn entry(&self, action: Action, initiator: &Initiator, subject: Subject) -> Entry {
        let (caller, origin) = self.proved().unzip();
        Entry {
            id: Uuid::now_v7(),
            action,
            caller,
            initiator: Some(initiator.clone()),
            subject,
            refusal: None,
            origin: origin.unwrap_or_default(),
            request: self.intention().map(|intention| intention.digest),
            revision: Revision::ZERO,
            details: Details::new(),
        }
    }
}

impl Subject {
    /// A token, with its workspace and whom it acts for.
    pub(super) fn token(token: &Token) -> Self {
        Self {
            workspace: Some(token.workspace.clone()),
            token: Some(token.id),
            principal: token.principal.clone(),
        }
    }
}

/// What was decided about a token that was created.
pub(super) fn created(token: &Token) -> Details {
    let mut details = Details::from([
        ("scopes", scopes(&token.scopes)),
        ("type", token_type(token.token_type).to_owned()),
        ("expire_time", expire_time(token.expire_time)),
    ]);
    if !token.audiences.as_slice().is_empty() {
        details.insert("audiences", listed(token.audiences.as_slice()));
    }
    if !token.allowed_cidrs.as_slice().is_empty() {
        details.insert("allowed_cidrs", listed(token.allowed_cidrs.as_slice()));
    }
    details
}

/// What was edited of a token: names, and what is known to hold no secret.
pub(super) fn edited(edit: &TokenEdit, token: &Token) -> Details {
    let fields = [
        ("name", edit.name.is_some()),
        ("description", edit.description.is_some()),
        ("type", edit.token_type.is_some()),
        ("scopes", edit.scopes.is_some()),
        ("audiences", edit.audiences.is_some()),
        ("allowed_cidrs", edit.allowed_cidrs.is_some()),
        ("metadata", edit.metadata.is_some()),
        ("expire_time", edit.expiry.is_some()),
    ];
    let named = fields.iter().filter(|(_, edited)| *edited).map(|(name, _)| *name).collect::<Vec<_>>();
    let after = created(token);
    let told = after.into_iter().filter(|(name, _)| named.contains(name));
    told.chain([("fields", named.join(","))]).collect()
}

pub(super) fn scopes(scopes: &ScopeSet) -> String {
    scopes.iter().map(Scope::to_string).collect::<Vec<_>>().join(" ")
}

fn listed(items: &[impl ToString]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

const fn token_type(token_type: TokenType) -> &'static str {
    match token_type {
        TokenType::ReadOnly => "READ_ONLY",
        TokenType::FullAccess => "FULL_ACCESS",
        TokenType::Custom => "CUSTOM",
    }
}

/// In seconds since 1970, or `never`.
fn expire_time(time: Option<SystemTime>) -> String {
    let seconds =
        |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    time.map_or_else(|| "never".to_owned(), |time| seconds(time).to_string())
}

/// Which page of which events.
#[derive(Debug)]
pub struct AuditPageRequest {
    /// The workspace; every one that the caller acts on if `None`.
    pub workspace: Option<WorkspaceId>,
    /// Which events.
    pub filter: Filter,
    /// How many at most.
    pub size: usize,
    /// The page token of the page before.
    pub after: Option<String>,
}

/// How many events are looked through for one page at most.
const EXAMINED: usize = 10_000;

impl Service {
    /// What is noted of callers that are refused.
    #[must_use]
    pub const fn refusals(&self) -> &Refusals {
        &self.refusals
    }

    /// Reads one page of the audit, newest first; the work for it is bounded, so that it may hold few and not be the last.
    ///
    /// # Errors
    /// [`Error::WorkspaceDenied`], [`Error::InvalidPageToken`].
    pub async fn list_audit_events(
        &self,
        caller: &Caller,
        request: AuditPageRequest,
    ) -> Result<Page<Event>, Error> {
        let AuditPageRequest { workspace, filter, size, after } = request;
        let workspace = match (workspace, caller.reach()) {
            (Some(workspace), _) => {
                caller.require_workspace(&workspace)?;
                Some(workspace)
            }
            (None, Reach::Every) => None,
            (None, Reach::One(own)) => Some(own),
        };
        let context = format!("{}\0{workspace:?}\0{filter:?}", caller.token());
        let mut after = after.map(|text| self.read_audit_page(&context, &text)).transpose()?;
        let mut connection = self.store.connection().await?;
        let (mut items, mut examined, at_once) = (Vec::new(), 0, (size + 1).clamp(100, 1_000));
        loop {
            let chunk = audit::list(&mut connection, workspace.as_ref(), &filter, after, at_once).await?;
            let is_last = chunk.len() < at_once;
            for event in chunk {
                if items.len() == size || examined == EXAMINED {
                    let next = after.map(|after| self.audit_page_token(&context, after)).transpose()?;
                    return Ok(Page { items, next });
                }
                examined += 1;
                after = Some(event.id);
                if filter.admits(&event) {
                    items.push(event);
                }
            }
            if is_last {
                return Ok(Page { items, next: None });
            }
        }
    }

    fn audit_page_token(&self, context: &str, last: Uuid) -> Result<String, Error> {
        let kid = self.keys.minting();
        Ok(self.keyring.seal(kid, Purpose::AuditPage, context.as_bytes(), last.as_bytes())?)
    }

    fn read_audit_page(&self, context: &str, text: &str) -> Result<Uuid, Error> {
        let unsealed = self.keyring.unseal(Purpose::AuditPage, context.as_bytes(), text);
        let bytes = unsealed.map_err(|error| self.unreadable(error, Error::InvalidPageToken))?;
        Uuid::from_slice(&bytes).map_err(|_| Error::InvalidPageToken)
    }
}

impl Filter {
    fn admits(&self, event: &Event) -> bool {
        self.action.as_ref().is_none_or(|action| *action == event.action)
            && self.caller.is_none_or(|caller| Some(caller) == event.caller)
            && self.initiator.as_ref().is_none_or(|initiator| Some(initiator) == event.initiator.as_ref())
            && self.token.is_none_or(|token| Some(token) == event.subject.token)
            && self
                .principal
                .as_ref()
                .is_none_or(|principal| Some(principal) == event.subject.principal.as_ref())
            && (!self.refused || event.refusal.is_some())
            && self.since.is_none_or(|since| event.time >= since)
            && self.before.is_none_or(|before| event.time < before)
    }
}
