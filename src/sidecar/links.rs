//! Which server can be asked now, and how long it is worth waiting for one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::failure::Failure;
use super::upstream::Connections;

/// How long a request waits for a server when the last one was just lost: the next one is usually followed within half a
/// second. When none was found for so long, requests fail at once.
const PATIENCE: Duration = Duration::from_secs(2);

/// A server that can be asked.
#[derive(Clone)]
pub(super) struct Link {
    /// Tells links apart.
    pub(super) number: u64,
    pub(super) connections: Arc<Connections>,
    /// Whether its log is followed. If not, since it grants no lease, what it says is passed on and not remembered.
    pub(super) is_followed: bool,
    /// Ends the session, should a request meet what ends it.
    pub(super) session: mpsc::Sender<Failure>,
}

impl Link {
    /// Says that a request met a failure that is one of the session's.
    pub(super) fn fails(&self, failure: Failure) {
        // If others said so before, it ends already.
        let _ = self.session.try_send(failure);
    }
}

enum State {
    Up(Link),
    Down { since: Instant },
}

/// The link there is.
pub(super) struct Links(watch::Sender<State>);

impl std::fmt::Debug for Links {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Links").field("up", &self.is_up()).finish()
    }
}

impl Links {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(State::Down { since: Instant::now() }))
    }

    pub(super) fn up(&self, link: Link) {
        self.0.send_replace(State::Up(link));
    }

    pub(super) fn down(&self) {
        self.0.send_if_modified(|state| {
            let was_up = matches!(state, State::Up(_));
            if was_up {
                *state = State::Down { since: Instant::now() };
            }
            was_up
        });
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(*self.0.borrow(), State::Up(_))
    }

    /// The link there is.
    pub(super) fn get(&self) -> Option<Link> {
        match &*self.0.borrow() {
            State::Up(link) => Some(link.clone()),
            State::Down { .. } => None,
        }
    }

    /// A link other than the one of that number, if there is one before patience ends.
    pub(super) async fn other_than(&self, number: Option<u64>) -> Option<Link> {
        let wanted = |state: &State| matches!(state, State::Up(link) if Some(link.number) != number);
        let deadline = match &*self.0.borrow() {
            State::Down { since } => *since + PATIENCE,
            State::Up(_) => Instant::now() + PATIENCE,
        };
        let mut states = self.0.subscribe();
        let found = tokio::time::timeout_at(deadline, states.wait_for(wanted)).await;
        match found.ok().and_then(Result::ok).as_deref() {
            Some(State::Up(link)) => Some(link.clone()),
            Some(State::Down { .. }) | None => None,
        }
    }
}
