//! Work on tokens that shares transactions: while one commits, whoever comes next gathers.
//!
//! Each piece is judged by itself, and one that is refused is an answer like any other. What goes wrong with a transaction
//! goes wrong for all who share it, so unless it may have committed, everybody has another one to themselves.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;

use super::{Caller, Error};
use crate::request::RequestDigest;
use crate::revocation::Event;
use crate::store::requests::{self, Undertaking};
use crate::store::{Store, StoreError, Transaction};
use crate::token::TokenId;

/// The most pieces of work in one transaction.
const MOST: usize = 256;

/// How many have a transaction to themselves at once.
const APART: usize = 8;

/// What is done here with what was committed, before anybody is answered.
pub(super) type Effect = Arc<dyn Fn(&[Event]) + Send + Sync>;

/// Something that is to be done to a token, or to make it.
pub(super) trait Work: Send + Sync + Sized + 'static {
    /// What comes of it.
    type Answer: Send;

    /// Which token.
    fn token(&self) -> TokenId;

    /// Who asks.
    fn caller(&self) -> &Caller;

    /// What is entered before it is done, if it may be repeated.
    fn undertaking(&self) -> Option<Undertaking>;

    /// Whether it can share a transaction: it needs nothing that would keep others waiting, and will not spoil it.
    fn can_share(&self) -> bool;

    /// Does several, each to another token. One that is refused is in the answers; an error is the transaction's, and is
    /// told to whoever has it to themselves.
    fn make(
        transaction: &mut Transaction,
        works: &[&Self],
    ) -> impl Future<Output = Result<Made<Self::Answer>, Error>> + Send;
}

/// What was made, once it has committed.
pub(super) struct Made<Answer> {
    /// The answer to each, by its token.
    pub(super) answers: HashMap<TokenId, Result<Answer, Error>>,
    /// What was logged, in order.
    pub(super) events: Vec<Event>,
}

/// Enters those of the requests that may be repeated; gives those that were not carried out before.
pub(super) async fn enter<Piece: Work>(
    transaction: &mut Transaction,
    works: &[&Piece],
) -> Result<HashSet<RequestDigest>, StoreError> {
    let undertakings: Vec<_> = works.iter().filter_map(|work| work.undertaking()).collect();
    let window = works.iter().filter_map(|work| work.caller().intention()).map(|it| it.window).max();
    requests::enter(transaction, &undertakings, window.unwrap_or_default()).await
}

/// Whoever waits for their work. It is done whether or not they still wait.
struct Member<Piece: Work> {
    work: Piece,
    reply: oneshot::Sender<Result<Piece::Answer, Error>>,
}

/// Where work is handed in.
pub(super) struct Gathering<Piece: Work> {
    members: mpsc::Sender<Member<Piece>>,
    writer: Writer,
}

impl<Piece: Work> Clone for Gathering<Piece> {
    fn clone(&self) -> Self {
        Self { members: self.members.clone(), writer: self.writer.clone() }
    }
}

impl<Piece: Work> Gathering<Piece> {
    /// Starts so many writers, each with one transaction at a time, which end when nobody can hand in work any more.
    pub(super) fn start(store: Store, effect: Effect, count: usize, writers: &mut JoinSet<()>) -> Self {
        let (members, receiver) = mpsc::channel(MOST);
        let queue = Arc::new(Mutex::new(Queue { receiver, waiting: Vec::new() }));
        let writer = Writer { store, effect };
        for _ in 0..count {
            writers.spawn(writer.clone().run(Arc::clone(&queue)));
        }
        Self { members, writer }
    }

    /// Does a piece of work, together with others if it can share.
    ///
    /// # Errors
    /// Why it is refused, or [`Error::DatabaseUnavailable`], [`Error::Overloaded`], [`Error::OutcomeUnknown`].
    pub(super) async fn hand_in(&self, work: Piece) -> Result<Piece::Answer, Error> {
        let (reply, answer) = oneshot::channel();
        let member = Member { work, reply };
        if member.work.can_share() {
            let handed_in = self.members.send(member).await;
            handed_in.map_err(|_| Error::Internal("nobody commits any more".into()))?;
        } else {
            self.writer.commit(vec![member]).await;
        }
        answer.await.unwrap_or_else(|lost| Err(StoreError::CommitUnknown { source: Arc::new(lost) }.into()))
    }
}

/// Those who wait.
struct Queue<Piece: Work> {
    receiver: mpsc::Receiver<Member<Piece>>,
    /// Those of them who were not in the batch before.
    waiting: Vec<Member<Piece>>,
}

impl<Piece: Work> Queue<Piece> {
    /// Everybody who waits, as soon as there is somebody, but not more than go together; `None` if nobody can come any more.
    async fn next(&mut self) -> Option<Vec<Member<Piece>>> {
        if self.waiting.is_empty() {
            self.waiting.push(self.receiver.recv().await?);
        }
        while let Ok(next) = self.receiver.try_recv() {
            self.waiting.push(next);
        }
        Some(next_batch(&mut self.waiting, |member| {
            let request = member.work.caller().intention().map(|intention| intention.digest);
            (member.work.token(), request)
        }))
    }
}

/// One who commits.
#[derive(Clone)]
struct Writer {
    store: Store,
    effect: Effect,
}

/// What became of an attempt.
enum Attempt<Piece: Work> {
    /// Everybody is answered.
    Answered,
    /// No transaction could be begun.
    NotBegun(Vec<Member<Piece>>, StoreError),
    /// The transaction went wrong before it was to commit; nothing has changed.
    Undone(Vec<Member<Piece>>, Error),
}

impl Writer {
    async fn run<Piece: Work>(self, queue: Arc<Mutex<Queue<Piece>>>) {
        loop {
            let next = queue.lock().await.next().await;
            let Some(members) = next else { return };
            self.commit(members).await;
        }
    }

    async fn commit<Piece: Work>(&self, members: Vec<Member<Piece>>) {
        match self.attempt(members).await {
            Attempt::Answered => {}
            Attempt::NotBegun(members, error) => refuse(members, &error),
            Attempt::Undone(members, _) if members.len() > 1 => self.commit_apart(members).await,
            Attempt::Undone(member, error) => refuse_one(member, error),
        }
    }

    /// Gives everybody a transaction of their own, until none can be begun any more.
    async fn commit_apart<Piece: Work>(&self, members: Vec<Member<Piece>>) {
        let mut members = members.into_iter();
        loop {
            let mut attempts = JoinSet::new();
            for member in members.by_ref().take(APART) {
                let writer = self.clone();
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
                    Ok(Attempt::Undone(member, error)) => refuse_one(member, error),
                    // Who panicked has dropped its member, who is told that nothing is known.
                    Ok(Attempt::Answered) | Err(_) => {}
                }
            }
        }
    }

    /// Does the work in one transaction, and answers unless it surely changed nothing.
    async fn attempt<Piece: Work>(&self, members: Vec<Member<Piece>>) -> Attempt<Piece> {
        let mut transaction = match self.store.begin().await {
            Ok(transaction) => transaction,
            Err(error) => return Attempt::NotBegun(members, error),
        };
        let works: Vec<&Piece> = members.iter().map(|member| &member.work).collect();
        match Piece::make(&mut transaction, &works).await {
            Ok(made) => self.finish(transaction, members, made).await,
            Err(error) => {
                let undone = transaction.finish::<(), _>(Err(error)).await;
                return undone.map_or_else(|error| Attempt::Undone(members, error), |()| Attempt::Answered);
            }
        }
        Attempt::Answered
    }

    /// Commits, and answers everybody. A refusal stands whether or not the work of the others is known to be done.
    async fn finish<Piece: Work>(
        &self,
        transaction: Transaction,
        members: Vec<Member<Piece>>,
        made: Made<Piece::Answer>,
    ) {
        let Made { mut answers, events } = made;
        let committed = transaction.finish::<_, StoreError>(Ok(())).await;
        if committed.is_ok() {
            (self.effect)(&events);
        }
        for member in members {
            let answer = answers.remove(&member.work.token());
            let answer = answer.unwrap_or_else(|| Err(Error::Internal("some work was not answered".into())));
            let answer = match &committed {
                Err(error) => answer.and(Err(error.clone().into())),
                Ok(()) => answer,
            };
            // Whoever is gone has their work done all the same.
            let _ = member.reply.send(answer);
        }
    }
}

/// Takes the next batch out of those who wait, in order: at most one for each token, since each is judged by what the one
/// before has made, and at most one for each request.
fn next_batch<Item>(
    waiting: &mut Vec<Item>,
    concerns: impl Fn(&Item) -> (TokenId, Option<RequestDigest>),
) -> Vec<Item> {
    let (mut tokens, mut requests) = (HashSet::new(), HashSet::new());
    let (batch, later) = std::mem::take(waiting).into_iter().partition(|item| {
        let (token, request) = concerns(item);
        tokens.len() < MOST && tokens.insert(token) && request.is_none_or(|request| requests.insert(request))
    });
    *waiting = later;
    batch
}

fn refuse<Piece: Work>(members: impl IntoIterator<Item = Member<Piece>>, error: &StoreError) {
    for member in members {
        let _ = member.reply.send(Err(error.clone().into()));
    }
}

fn refuse_one<Piece: Work>(member: Vec<Member<Piece>>, error: Error) {
    if let Some(member) = member.into_iter().next() {
        let _ = member.reply.send(Err(error));
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
            let batch = next_batch(&mut waiting, |item| (item.0, None));
            batches.push(batch.into_iter().map(|item| item.1).collect());
        }
        assert_eq!(batches, ["ac", "be", "d"]);
    }

    #[test]
    fn attempts_at_one_request_are_not_made_together() {
        let request = |number| Some(RequestDigest([number; 32]));
        let mut waiting =
            vec![(request(1), 'a'), (None, 'b'), (request(1), 'c'), (request(2), 'd'), (None, 'e')];
        let mut batches: Vec<String> = Vec::new();
        while !waiting.is_empty() {
            let batch = next_batch(&mut waiting, |item| (TokenId::generate(), item.0));
            batches.push(batch.into_iter().map(|item| item.1).collect());
        }
        assert_eq!(batches, ["abde", "c"]);
    }

    #[test]
    fn a_batch_is_no_larger_than_it_may_be() {
        let mut waiting: Vec<TokenId> = (0..=MOST).map(|_| TokenId::generate()).collect();
        assert_eq!(next_batch(&mut waiting, |token| (*token, None)).len(), MOST);
        assert_eq!(waiting.len(), 1);
    }
}
