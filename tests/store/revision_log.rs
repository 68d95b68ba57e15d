//! The revision log: contiguous, in commit order, and of one history.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokenkeep::revocation::{Change, HistoryId, Position};
use tokenkeep::store::{Store, StoreError, log};
use tokenkeep::token::{Revision, TokenId};

use crate::harness::Database;
use crate::samples::{event, last_revision, reason};

const WRITERS: i64 = 8;
const ROUNDS: i64 = 40;

#[tokio::test]
async fn an_event_is_read_back_as_it_was_appended() {
    let database = Database::new().await;
    let store = database.store();
    let start = log::head(&mut store.connection().await.unwrap()).await.unwrap();
    assert_eq!(start.revision, Revision::ZERO);
    let changes = [Change::Revoked { reason: reason("lost") }, Change::SecretReplaced, Change::Updated];
    let mut appended = Vec::new();
    for change in changes {
        let mut transaction = store.begin().await.unwrap();
        let event = log::append(&mut transaction, event(TokenId::generate(), change)).await;
        appended.push(transaction.finish(event).await.unwrap());
    }
    let mut connection = store.connection().await.unwrap();
    assert_eq!(log::read_after(&mut connection, start, 9).await.unwrap(), appended);
    let first = Position { revision: Revision(1), ..start };
    assert_eq!(log::read_after(&mut connection, first, 1).await.unwrap(), appended[1..2]);
    let other = Position { history: HistoryId(uuid::Uuid::nil()), ..start };
    assert_eq!(log::read_after(&mut connection, other, 9).await.unwrap(), []);
    let head = log::head(&mut connection).await.unwrap();
    assert_eq!((head.history, head.revision), (start.history, Revision(3)));
}

/// A reader that follows the log while it is written, and that would skip what is committed late, sees every revision.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_follows_concurrent_writers_misses_nothing() {
    let database = Database::new().await;
    let store = database.store();
    let done = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn(follow(store.clone(), Arc::clone(&done)));
    let writers: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(write(store.clone(), writer))).collect();
    let mut committed = 0;
    for writer in writers {
        committed += writer.await.unwrap();
    }
    done.store(true, Ordering::Release);
    assert_eq!(reader.await.unwrap(), Revision(committed), "as many revisions as commits");
    assert!(committed > 0 && committed < WRITERS * ROUNDS, "some were rolled back");
}

/// Every third transaction is rolled back; gives the number of those that were not.
async fn write(store: Store, writer: i64) -> i64 {
    let mut committed = 0;
    for round in 0..ROUNDS {
        let mut transaction = store.begin().await.unwrap();
        let appended = log::append(&mut transaction, event(TokenId::generate(), Change::Updated)).await;
        let kept = (writer + round) % 3 != 0;
        let result = appended.and_then(|_| if kept { Ok(()) } else { Err(StoreError::Overloaded) });
        if transaction.finish(result).await.is_ok() {
            assert!(kept);
            committed += 1;
        } else {
            assert!(!kept, "an append failed");
        }
    }
    committed
}

async fn follow(store: Store, done: Arc<AtomicBool>) -> Revision {
    let mut connection = store.connection().await.unwrap();
    let history = log::head(&mut connection).await.unwrap().history;
    let mut seen = Revision::ZERO;
    loop {
        let finished = done.load(Ordering::Acquire);
        let head = last_revision(&mut connection).await;
        for event in
            log::read_after(&mut connection, Position { history, revision: seen }, 1_000).await.unwrap()
        {
            assert_eq!(event.revision, Revision(seen.0 + 1), "a revision was skipped");
            seen = event.revision;
        }
        assert!(seen >= head, "the head was ahead of what can be read");
        if finished {
            return seen;
        }
    }
}
