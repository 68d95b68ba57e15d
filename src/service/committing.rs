//! Changes that take a revision are made together: while one transaction commits, the next changes gather.
//!
//! Each is judged by itself, and one that is refused is an answer like any other. What goes wrong with a transaction goes
//! wrong for all who share it, so unless it may have committed, everybody has another one to themselves.

mod batch;
mod mutation;
mod traces;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};

pub(super) use batch::Outcome;
pub(super) use mutation::{Action, Mutation, require_custom, require_regenerable};

use super::Error;
use crate::revocation::{Appended, Committed, Event, Position};
use crate::store::{Store, StoreError, Transaction};
use crate::token::TokenId;
use batch::Made;

/// The most changes in one transaction.
const MOST: usize = 256;

/// How many have a transaction to themselves at once.
const APART: usize = 8;

/// What is done here with what was committed, before anybody is answered.
type Effect = Arc<dyn Fn(&[Event]) + Send + Sync>;

/// Where changes are handed in. Cheap to clone.
#[derive(Clone)]
pub struct Committing {
    members: mpsc::Sender<Member>,
    writer: Arc<Writer>,
}

impl fmt::Debug for Committing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Committing").field("members", &self.members).finish_non_exhaustive()
    }
}

/// Whoever waits for a change. Their change is made whether or not they still wait.
#[derive(Debug)]
struct Member {
    mutation: Mutation,
    reply: oneshot::Sender<Result<Outcome, Error>>,
}

impl Committing {
    /// Starts the one writer. What it commits `takes_effect` here before anybody is answered. Its task ends when nobody
    /// can hand in changes any more.
    #[must_use]
    pub fn start(
        store: Store,
        takes_effect: impl Fn(&[Event]) + Send + Sync + 'static,
    ) -> (Self, JoinHandle<()>) {
        let (members, queue) = mpsc::channel(MOST);
        let effect: Effect = Arc::new(takes_effect);
        let writer = Arc::new(Writer { store, effect });
        (Self { members, writer: Arc::clone(&writer) }, tokio::spawn(writer.run(queue)))
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
        (self.writer.effect)(&appended.events);
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
        let (reply, answer) = oneshot::channel();
        let member = Member { mutation, reply };
        if member.mutation.needs_room() {
            self.writer.commit(vec![member]).await;
        } else {
            let handed_in = self.members.send(member).await;
            handed_in.map_err(|_| Error::Internal("nobody commits any more".into()))?;
        }
        answer.await.unwrap_or_else(|lost| Err(StoreError::CommitUnknown { source: Arc::new(lost) }.into()))
    }
}

/// The one who commits.
struct Writer {
    store: Store,
    effect: Effect,
}

/// What became of an attempt.
enum Attempt {
    /// Everybody is answered.
    Answered,
    /// No transaction could be begun.
    NotBegun(Vec<Member>, StoreError),
    /// The transaction went wrong before it was to commit; nothing has changed.
    Undone(Vec<Member>, StoreError),
}

impl Writer {
    async fn run(self: Arc<Self>, mut queue: mpsc::Receiver<Member>) {
        let mut waiting = Vec::new();
        loop {
            if waiting.is_empty() {
                let Some(first) = queue.recv().await else { return };
                waiting.push(first);
            }
            while let Ok(next) = queue.try_recv() {
                waiting.push(next);
            }
            let members = next_batch(&mut waiting, |member: &Member| member.mutation.token);
            self.commit(members).await;
        }
    }

    async fn commit(self: &Arc<Self>, members: Vec<Member>) {
        match self.attempt(members).await {
            Attempt::Answered => {}
            Attempt::Undone(members, _) if members.len() > 1 => self.commit_apart(members).await,
            Attempt::NotBegun(members, error) | Attempt::Undone(members, error) => refuse(members, &error),
        }
    }

    /// Gives everybody a transaction of their own, until none can be begun any more.
    async fn commit_apart(self: &Arc<Self>, members: Vec<Member>) {
        let mut members = members.into_iter();
        loop {
            let mut attempts = JoinSet::new();
            for member in members.by_ref().take(APART) {
                let writer = Arc::clone(self);
                attempts.spawn(async move { writer.attempt(vec![member]).await });
            }
            if attempts.is_empty() {
                return;
            }
            while let Some(attempt) = attempts.join_next().await {
                match attempt {
                    Ok(Attempt::NotBegun(member, error)) => {
                        refuse(member, &error);
                        refuse(members.by_ref(), &error);
                    }
                    Ok(Attempt::Undone(member, error)) => refuse(member, &error),
                    // Who panicked has dropped its member, who is told that nothing is known.
                    Ok(Attempt::Answered) | Err(_) => {}
                }
            }
        }
    }

    /// Makes the changes in one transaction, and answers unless it surely changed nothing.
    async fn attempt(&self, members: Vec<Member>) -> Attempt {
        let mut transaction = match self.store.begin().await {
            Ok(transaction) => transaction,
            Err(error) => return Attempt::NotBegun(members, error),
        };
        let mutations = members.iter().map(|member| &member.mutation);
        match batch::make(&mut transaction, mutations).await {
            Ok(made) => self.finish(transaction, members, made).await,
            Err(error) => {
                let undone = transaction.finish::<(), _>(Err(error)).await;
                return undone.map_or_else(|error| Attempt::Undone(members, error), |()| Attempt::Answered);
            }
        }
        Attempt::Answered
    }

    /// Commits, and answers everybody. A refusal stands whether or not the changes of the others are known to be made.
    async fn finish(&self, transaction: Transaction, members: Vec<Member>, made: Made) {
        let Made { mut answers, events } = made;
        let committed = transaction.finish::<_, StoreError>(Ok(())).await;
        if committed.is_ok() {
            (self.effect)(&events);
        }
        for member in members {
            let answer = answers.remove(&member.mutation.token);
            let answer = answer.unwrap_or_else(|| Err(Error::Internal("a change was not answered".into())));
            let answer = match &committed {
                Err(error) => answer.and(Err(error.clone().into())),
                Ok(()) => answer,
            };
            // Whoever is gone has their change all the same.
            let _ = member.reply.send(answer);
        }
    }
}

/// Takes the next batch out of those who wait, in order: at most one for each token, since each is judged by what the one
/// before has made.
fn next_batch<Item>(waiting: &mut Vec<Item>, token: impl Fn(&Item) -> TokenId) -> Vec<Item> {
    let mut tokens = HashSet::new();
    let (batch, later) = std::mem::take(waiting)
        .into_iter()
        .partition(|item| tokens.len() < MOST && tokens.insert(token(item)));
    *waiting = later;
    batch
}

fn refuse(members: impl IntoIterator<Item = Member>, error: &StoreError) {
    for member in members {
        let _ = member.reply.send(Err(error.clone().into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_concerns_one_token_stays_in_order_and_holds_nobody_else_up() {
        let [one, two] = [TokenId::generate(), TokenId::generate()];
        let mut waiting = vec![(one, 'a'), (one, 'b'), (two, 'c'), (one, 'd'), (two, 'e')];
        let mut batches: Vec<String> = Vec::new();
        while !waiting.is_empty() {
            batches.push(next_batch(&mut waiting, |item| item.0).into_iter().map(|item| item.1).collect());
        }
        assert_eq!(batches, ["ac", "be", "d"]);
    }

    #[test]
    fn a_batch_is_no_larger_than_it_may_be() {
        let mut waiting: Vec<TokenId> = (0..=MOST).map(|_| TokenId::generate()).collect();
        assert_eq!(next_batch(&mut waiting, |token| *token).len(), MOST);
        assert_eq!(waiting.len(), 1);
    }
}
