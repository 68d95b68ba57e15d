//! The fence under threads: fills race with changes, and none that is stale is ever seen.

use std::sync::atomic::AtomicBool;
use std::thread;

use super::bulk::bulk_revoked;
use super::*;

const TOKENS: usize = 16;

/// A source of truth: the revisions of the changes of each token, and the log of them all.
struct Source {
    revisions: Vec<Mutex<Vec<i64>>>,
    head: AtomicI64,
    done: AtomicBool,
}

impl Source {
    /// The last change of a token, as far as is known up to a revision.
    fn revision(&self, number: usize, known: i64) -> i64 {
        let revisions = lock(&self.revisions[number]);
        revisions.iter().rev().find(|revision| **revision <= known).copied().unwrap_or_default()
    }

    /// Changes a token, or several at once, and then lets the cache know, as the tail of the log does.
    fn change(&self, cache: &Cache, number: usize) {
        let revision = self.head.load(Ordering::SeqCst) + 1;
        let (numbers, event) = if revision % 4 == 0 {
            let numbers: Vec<usize> = (0..TOKENS).filter(|other| other % 3 == number % 3).collect();
            let tokens = numbers.iter().map(|number| token(*number as u128)).collect();
            (numbers, bulk_revoked(Some(tokens), revision))
        } else {
            (vec![number], event(token(number as u128), revision))
        };
        for number in numbers {
            lock(&self.revisions[number]).push(revision);
        }
        self.head.store(revision, Ordering::SeqCst);
        if revision % 3 == 0 {
            cache.overtake(&event);
        }
        if revision % 7 == 0 {
            cache.advance(ours(revision - 1));
        }
        cache.apply(OURS, &event);
    }
}

/// Looks tokens up, fills what it misses, and gives how many looks and fills it made.
fn ask(source: &Source, cache: &Arc<Cache>, seed: usize) -> usize {
    let mut rounds = 0_usize;
    let generation = Generation::FIRST;
    while !source.done.load(Ordering::Relaxed) {
        rounds += 1;
        let number = (rounds.wrapping_mul(0x9E37_79B9) >> 7).wrapping_add(seed) % TOKENS;
        let id = token(number as u128);
        let changed = source.revision(number, i64::MAX);
        let is_applied = changed <= cache.applied().unwrap().revision.0;
        if let Some(known) = cache.look_up_by_id(id, generation, NOW) {
            let fresh = known.record.revision.0 >= changed;
            assert!(fresh || !is_applied, "an answer from before what was applied when it was asked");
            continue;
        }
        let flight = cache.begin(id);
        // A sidecar's source knows no more than it is asked to know.
        let known = if rounds.is_multiple_of(2) { i64::MAX } else { flight.applied().unwrap().revision.0 };
        let read = source.revision(number, known);
        if rounds.is_multiple_of(5) {
            thread::yield_now();
        }
        flight.land(learned(cache, id, read), OURS);
    }
    rounds
}

/// Has two threads ask while one changes tokens, so often; gives how many looks and fills were made.
fn race(changes: usize) -> usize {
    let cache = following(1000);
    cache.follow(ours(0));
    cache.offer(Offer { until: at(1000), needs: ours(0) });
    let revisions = (0..TOKENS).map(|_| Mutex::default()).collect();
    let source = Source { revisions, head: AtomicI64::new(0), done: AtomicBool::new(false) };
    thread::scope(|scope| {
        let asking = [1, 2].map(|seed| {
            scope.spawn({
                let (source, cache) = (&source, &cache);
                move || ask(source, cache, seed)
            })
        });
        for change in 0..changes {
            source.change(&cache, change.wrapping_mul(7) % TOKENS);
        }
        source.done.store(true, Ordering::Relaxed);
        asking.into_iter().map(|asking| asking.join().unwrap()).sum()
    })
}

#[test]
fn no_stale_fill_is_ever_seen() {
    race(20_000);
}

/// `cargo test --release --lib cache::tests::stress -- --ignored --nocapture`
#[test]
#[ignore = "a minute of racing; the short one runs always"]
fn no_stale_fill_is_ever_seen_in_a_million_changes() {
    println!("1,000,000 changes, {} looks and fills, none stale", race(1_000_000));
}
