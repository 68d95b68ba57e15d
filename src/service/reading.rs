//! What is on record of tokens is read for many who ask at once: while some reads are under way, those who come gather
//! for the next.
//!
//! A read begins after all who share it have asked, so nobody is told anything older than by a read of their own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::store::credentials::{self, Credentials};
use crate::store::{Store, StoreError};
use crate::token::TokenId;

/// The most tokens in one read, unless one reader asks for more.
const MOST: usize = 256;

/// The most reads under way. Few, so that many readers share each; not one, so that a slow one does not keep all waiting.
const AT_ONCE: usize = 4;

/// How long a reader waits for its read to begin.
const PATIENCE: Duration = Duration::from_millis(500);

/// Where reads are asked for.
pub(super) struct Reading {
    store: Store,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    under_way: usize,
    /// How many have come so far.
    came: u64,
    waiting: Vec<Reader>,
}

/// Whoever wants to know of some tokens.
struct Reader {
    number: u64,
    ids: Vec<TokenId>,
    reply: Reply,
}

type Reply = oneshot::Sender<Result<Arc<Credentials>, StoreError>>;

impl Reading {
    pub(super) fn new(store: Store) -> Arc<Self> {
        Arc::new(Self { store, queue: Mutex::default() })
    }

    /// What is on record of the tokens of these ids, and perhaps of others, all true of one moment after this was called.
    ///
    /// # Errors
    /// As [`credentials::read`]; [`StoreError::Overloaded`] if the read could not begin soon.
    pub(super) async fn read(self: &Arc<Self>, ids: Vec<TokenId>) -> Result<Arc<Credentials>, StoreError> {
        let (reply, mut answer) = oneshot::channel();
        let (number, turns) = self.gather(ids, reply);
        if let Some(turns) = turns {
            tokio::spawn(turns.take());
        }
        let found = match tokio::time::timeout(PATIENCE, &mut answer).await {
            Ok(found) => found,
            Err(_) if self.leave(number) => return Err(StoreError::Overloaded),
            Err(_) => answer.await,
        };
        found.unwrap_or_else(|lost| Err(StoreError::unavailable(lost)))
    }

    /// Has a reader wait; gives its number, and the turns of another read if one more may be under way.
    fn gather(self: &Arc<Self>, ids: Vec<TokenId>, reply: Reply) -> (u64, Option<Turns>) {
        let mut queue = self.lock();
        queue.came += 1;
        let number = queue.came;
        queue.waiting.push(Reader { number, ids, reply });
        if queue.under_way == AT_ONCE {
            return (number, None);
        }
        queue.under_way += 1;
        (number, Some(Turns { reading: Arc::clone(self), over: false }))
    }

    /// Has a reader wait no longer; gives whether its read had not begun.
    fn leave(&self, number: u64) -> bool {
        let waiting = &mut self.lock().waiting;
        let before = waiting.len();
        waiting.retain(|reader| reader.number != number);
        waiting.len() < before
    }

    /// Reads for these, who all are answered.
    async fn read_for(&self, readers: Vec<Reader>) {
        let ids: Vec<TokenId> = readers.iter().flat_map(|reader| &reader.ids).copied().collect();
        let found = self.find(&ids).await;
        let alone = readers.len() == 1;
        for reader in readers {
            let found = match &found {
                // What is on record of one token is no reason not to judge the others.
                Err(StoreError::Corrupt { .. }) if !alone => self.find(&reader.ids).await,
                Ok(_) | Err(_) => found.clone(),
            };
            // Whoever is gone needs no answer.
            drop(reader.reply.send(found));
        }
    }

    async fn find(&self, ids: &[TokenId]) -> Result<Arc<Credentials>, StoreError> {
        let mut connection = self.store.connection().await?;
        credentials::read(&mut connection, ids).await.map(Arc::new)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads that are under way one after another, as long as somebody waits.
struct Turns {
    reading: Arc<Reading>,
    over: bool,
}

impl Turns {
    async fn take(mut self) {
        while let Some(readers) = self.next() {
            self.reading.read_for(readers).await;
        }
    }

    /// Those who share the next read; if there are none, the turns are over, under one lock, so that nobody waits for them.
    fn next(&mut self) -> Option<Vec<Reader>> {
        let mut queue = self.reading.lock();
        if queue.waiting.is_empty() {
            queue.under_way -= 1;
            self.over = true;
            return None;
        }
        let sharing = sharing(queue.waiting.iter().map(|reader| reader.ids.len()));
        Some(queue.waiting.drain(..sharing).collect())
    }
}

impl Drop for Turns {
    /// Cut off in the middle, they leave nobody waiting who might have counted on them.
    fn drop(&mut self) {
        if !self.over {
            let mut queue = self.reading.lock();
            queue.under_way -= 1;
            queue.waiting.clear();
        }
    }
}

/// How many of those who wait, who want so many tokens each, share the next read.
fn sharing(wanted: impl ExactSizeIterator<Item = usize>) -> usize {
    let (all, mut room) = (wanted.len(), MOST);
    let fits = |wanted: &usize| {
        let fits = *wanted <= room;
        room = room.saturating_sub(*wanted);
        fits
    };
    wanted.take_while(fits).count().max(1).min(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_shared_by_as_many_as_fit_and_by_one_at_least() {
        for (wanted, expected) in [
            (vec![], 0),
            (vec![1; 1_000], MOST),
            (vec![200, 56, 1], 2),
            (vec![200, 57, 1], 1),
            (vec![MOST + 1, 1], 1),
        ] {
            assert_eq!(sharing(wanted.iter().copied()), expected, "{wanted:?}");
        }
    }
}
