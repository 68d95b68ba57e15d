//! What goes into the audit: every mutation, in its own transaction, and callers that were refused, as far as there is
//! room.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use tokio::sync::{Mutex, mpsc};
use uuid::Uuid;

use super::{Caller, Error, Service};
use crate::audit::{Action, Details, Entry, Event, Filter, Origin, Subject};
use crate::keyring::Purpose;
use crate::profile::TokenType;
use crate::store::{Store, StoreError, audit};
use crate::text::Initiator;
use crate::token::{Revision, Scope, ScopeSet, Token, TokenEdit, TokenId};
use crate::workspace::WorkspaceId;

use super::finding::Page;

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

/// How many refusals wait to be written at most.
const WAITING: usize = 1_024;

/// How many are written in a second at most: a flood costs the database one statement a second.
const RATE: usize = 50;

/// A caller that was refused.
#[derive(Debug, Clone, Copy)]
pub struct Refusal<'refused> {
    /// What it asked for.
    pub action: Action,
    /// Its token, if one was proved.
    pub caller: Option<TokenId>,
    /// Where it called from.
    pub origin: Origin,
    /// Why, by the name that it is told.
    pub reason: &'static str,
    /// Why, in full.
    pub error: &'refused Error,
}

/// Callers that were refused, on their way to the audit.
#[derive(Debug)]
pub struct Refusals {
    sender: mpsc::Sender<Entry>,
    waiting: Mutex<mpsc::Receiver<Entry>>,
    dropped: AtomicU64,
}

impl Default for Refusals {
    fn default() -> Self {
        let (sender, waiting) = mpsc::channel(WAITING);
        Self { sender, waiting: Mutex::new(waiting), dropped: AtomicU64::new(0) }
    }
}

impl Refusals {
    /// Notes that a caller was refused; what there is no room for is only counted.
    pub fn note(&self, refusal: Refusal<'_>) {
        let Refusal { action, caller, origin, reason, error } = refusal;
        let workspace =
            if let Error::WorkspaceDenied(workspace) = error { Some(workspace.clone()) } else { None };
        let entry = Entry {
            id: Uuid::now_v7(),
            action,
            caller,
            initiator: None,
            subject: Subject { workspace, ..Subject::default() },
            refusal: Some(reason),
            origin,
            request: None,
            revision: Revision::ZERO,
            details: Details::new(),
        };
        if self.sender.try_send(entry).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes what waits, as much as may be written at once, and how many were dropped.
    ///
    /// # Errors
    /// [`StoreError`]; what was to be written counts as dropped then.
    async fn write(&self, store: &Store) -> Result<(), StoreError> {
        let mut waiting = self.waiting.lock().await;
        let mut entries = Vec::new();
        while entries.len() < RATE
            && let Ok(entry) = waiting.try_recv()
        {
            entries.push(entry);
        }
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            entries.push(of_dropped(dropped));
        }
        let written = async { audit::record(&mut store.connection().await?, &entries).await };
        let refusals = entries.iter().filter(|entry| entry.refusal.is_some()).count();
        written.await.inspect_err(|_| {
            let lost = dropped + u64::try_from(refusals).unwrap_or(u64::MAX);
            self.dropped.fetch_add(lost, Ordering::Relaxed);
        })
    }

    /// Writes again and again, and never ends.
    pub async fn keep_writing(&self, store: Store) {
        let mut away = false;
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            match self.write(&store).await {
                Ok(()) => away = false,
                Err(error) if !std::mem::replace(&mut away, true) => {
                    let error = crate::telemetry::chain(&error);
                    tracing::warn!(error, "refusals cannot be written to the audit; counting them");
                }
                Err(_) => {}
            }
        }
    }
}

fn of_dropped(count: u64) -> Entry {
    Entry {
        id: Uuid::now_v7(),
        action: Action::known("audit.dropped"),
        caller: None,
        initiator: None,
        subject: Subject::default(),
        refusal: None,
        origin: Origin::default(),
        request: None,
        revision: Revision::ZERO,
        details: Details::from([("refusals", count.to_string())]),
    }
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
            (None, super::Reach::Every) => None,
            (None, super::Reach::One(own)) => Some(own),
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
