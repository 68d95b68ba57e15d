//! Changes of tokens and new tokens, committed together with others that come at the same time.

mod batch;
mod mutation;
mod traces;

use std::fmt;
use std::sync::Arc;

use tokio::task::{JoinHandle, JoinSet};

pub(super) use batch::Outcome;
pub(super) use mutation::{Action, Mutation, require_custom, require_regenerable};

use super::Error;
use super::drafting::Draft;
use super::gathering::{Effect, Gathering};
use crate::revocation::{Appended, Committed, Event, Position};
use crate::store::{Store, Transaction};
use crate::token::Token;

/// How many make changes at once: each holds the log until it has committed, so more would only wait for each other.
const WRITERS_OF_CHANGES: usize = 1;

/// How many make new tokens at once, which take no revision: while one waits for the disk, the others write.
const WRITERS_OF_TOKENS: usize = 2;

/// Where changes and new tokens are handed in. Cheap to clone.
#[derive(Clone)]
pub struct Committing {
    changes: Gathering<Mutation>,
    drafts: Gathering<Draft>,
    effect: Effect,
}

impl fmt::Debug for Committing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Committing").finish_non_exhaustive()
    }
}

impl Committing {
    /// Starts the writers. What they commit `takes_effect` here before anybody is answered. Their task ends when nobody can
    /// hand in anything any more.
    #[must_use]
    pub fn start(
        store: Store,
        takes_effect: impl Fn(&[Event]) + Send + Sync + 'static,
    ) -> (Self, JoinHandle<()>) {
        let effect: Effect = Arc::new(takes_effect);
        let mut writers = JoinSet::new();
        let changes = Gathering::start(store.clone(), Arc::clone(&effect), WRITERS_OF_CHANGES, &mut writers);
        // A new token takes no revision: no cache can hold an answer about it.
        let drafts = Gathering::start(store, Arc::new(|_| {}), WRITERS_OF_TOKENS, &mut writers);
        // One that panics takes the others along, so that it is heard of.
        let all = tokio::spawn(async move { while let Some(Ok(())) = writers.join_next().await {} });
        (Self { changes, drafts, effect }, all)
    }

    /// Finishes a transaction of one's own that may have logged a change, which takes effect here before anybody is
    /// answered. Gives what the work gave, and the change.
    ///
    /// # Errors
    /// That of the work, or that of committing.
    pub(super) async fn finish<Done>(
        &self,
        transaction: Transaction,
        work: Result<(Done, Option<Appended>), Error>,
    ) -> Result<(Done, Option<Committed>), Error> {
        let (done, appended) = transaction.finish(work).await?;
        Ok((done, appended.and_then(|appended| self.takes_effect(&appended))))
    }

    /// Has what was committed take effect here; gives the last change.
    pub(super) fn takes_effect(&self, appended: &Appended) -> Option<Committed> {
        (self.effect)(&appended.events);
        let Appended { history, longest_lease, events } = appended;
        let position = Position { history: *history, revision: events.last()?.revision };
        Some(Committed { position, longest_lease: *longest_lease })
    }

    /// Makes a change, together with others unless it must find room, for which it would keep them waiting; gives the token
    /// as it is then.
    ///
    /// # Errors
    /// Why the change is refused, or [`Error::DatabaseUnavailable`], [`Error::Overloaded`], [`Error::OutcomeUnknown`].
    pub(super) async fn commit(&self, mutation: Mutation) -> Result<Outcome, Error> {
        self.changes.hand_in(mutation).await
    }

    /// Makes a token, together with others unless it would keep them waiting or may be refused late.
    ///
    /// # Errors
    /// As [`Committing::commit`].
    pub(super) async fn create(&self, draft: Draft) -> Result<Token, Error> {
        self.drafts.hand_in(draft).await
    }
}
