//! Callers that were refused, on their way to the audit: as many as there is room for.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Mutex, mpsc};
use uuid::Uuid;

use super::Error;
use crate::audit::{Action, Details, Entry, Origin, Subject};
use crate::store::{Store, StoreError, audit};
use crate::token::{Revision, TokenId};

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

    /// Writes what waits, as much as may be written in a second, and how many were dropped.
    ///
    /// # Errors
    /// [`StoreError`]; what was to be written counts as dropped then.
    pub async fn write(&self, store: &Store) -> Result<(), StoreError> {
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
