//! The revision log: contiguous, in commit order, and of one history.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tokenkeep::revocation::{HistoryId, Position, TokenChange};
use tokenkeep::store::{Store, StoreError, log};
use tokenkeep::token::{Revision, TokenId};

use crate::harness::Database;
use crate::samples::{event, reason};

const WRITERS: i64 = 16;
const ROUNDS: i64 = 20;

#[tokio::test]
async fn an_event_is_read_back_as_it_was_appended() {
    let database = Database::new().await;
    let store = database.store();
    let start = log::head(&mut store.connection().await.unwrap()).await.unwrap().position;
    assert_eq!(start.revision, Revision::ZERO);
    let end = SystemTime::UNIX_EPOCH + Duration::from_micros(1_234_567);
    let changes = [
        TokenChange::Revoked { reason: reason("lost") },
        TokenChange::SecretReplaced { overlap_end: None },
        TokenChange::SecretReplaced { overlap_end: Some(end) },
    ];
    let news: Vec<_> = changes.into_iter().map(|change| event(TokenId::generate(), change)).collect();
    let mut appended = Vec::new();
    for (batch, awaited) in [(&news[..2], false), (&news[2..], true)] {
        let mut transaction = store.begin().await.unwrap();
        let made = log::append_all(&mut transaction, batch.to_vec(), awaited).await;
        let made = transaction.finish(made).await.unwrap();
        assert_eq!(made.history, start.history);
        appended.extend(made.events);
    }
    assert!(appended.iter().map(|event| event.awaited).eq([false, false, true]));
    assert!(appended.iter().map(|event| &event.event).eq(&news));
    let mut connection = store.connection().await.unwrap();
    assert_eq!(log::read_after(&mut connection, start, 9).await.unwrap().events, appended);
    let first = Position { revision: Revision(1), ..start };
    assert_eq!(log::read_after(&mut connection, first, 1).await.unwrap().events, appended[1..2]);
    let other = Position { history: HistoryId(uuid::Uuid::nil()), ..start };
    let foreign = log::read_after(&mut connection, other, 9).await.unwrap();
    assert!(foreign.events.is_empty() && !foreign.head.reaches_back_to(other));
    let head = Position { revision: Revision(3), ..start };
    assert_eq!(foreign.head.position, head);
    let end = log::read_after(&mut connection, head, 9).await.unwrap();
    assert_eq!((end.events, end.head), (vec![], log::head(&mut connection).await.unwrap()));
}

/// A reader that follows the log while it is written, and that would skip what is committed late, sees every revision.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_follows_concurrent_writers_misses_nothing() {
    let database = Database::new().await;
    let mut options = database.options();
    options.connections = usize::try_from(WRITERS).unwrap() + 1;
    let store = Store::new(&options).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn(follow(store.clone(), Arc::clone(&done)));
    let writers: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(write(store.clone(), writer))).collect();
    let mut committed = 0;
    for writer in writers {
        committed += writer.await.unwrap();
    }
    done.store(true, Ordering::Release);
    assert_eq!(reader.await.unwrap(), Revision(committed), "as many revisions as commits");
    assert!(committed > 0);
}

/// Appends batches of different sizes, of which every third is rolled back; gives the number of events that were not.
async fn write(store: Store, writer: i64) -> i64 {
    let mut committed = 0;
    for round in 0..ROUNDS {
        let mut transaction = store.begin().await.unwrap();
        let size = (writer * 7 + round * 5) % 13 + 1;
        let batch: Vec<_> = (0..size).map(|_| event(TokenId::generate(), TokenChange::Updated)).collect();
        let appended = log::append_all(&mut transaction, batch.clone(), false).await.unwrap().events;
        let first = appended[0].revision.0;
        assert!(appended.iter().map(|event| event.revision.0).eq(first..first + size), "a batch has a gap");
        assert!(appended.iter().map(|event| &event.event).eq(&batch), "a batch was shuffled");
        let kept = (writer + round) % 3 != 0;
        let result = if kept { Ok(()) } else { Err(StoreError::Overloaded) };
        if transaction.finish(result).await.is_ok() {
            committed += size;
        }
    }
    committed
}

async fn follow(store: Store, done: Arc<AtomicBool>) -> Revision {
    let mut connection = store.connection().await.unwrap();
    let history = log::head(&mut connection).await.unwrap().position.history;
    let mut seen = Revision::ZERO;
    loop {
        let finished = done.load(Ordering::Acquire);
        let segment =
            log::read_after(&mut connection, Position { history, revision: seen }, 1_000).await.unwrap();
        for event in segment.events {
            assert_eq!(event.revision, Revision(seen.0 + 1), "a revision was skipped");
            seen = event.revision;
        }
        assert_eq!(seen, segment.head.position.revision, "the head is another than what can be read");
        if finished {
            return seen;
        }
    }
}
