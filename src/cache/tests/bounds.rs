//! How much the cache may know, and what that takes.

use super::*;
use crate::cache::shard::Slot;

#[test]
fn it_never_knows_more_than_it_may_and_keeps_what_is_used() {
    let cache = following(64);
    assert!(fill(&cache, token(0), 4));
    for number in 1..1000 {
        assert!(knows(&cache, token(0)), "lost at {number}");
        assert!(fill(&cache, token(number), 4));
        assert!(cache.len() <= 64);
    }
    assert_eq!(cache.len(), 64);
    let kept = (900..1000).filter(|number| knows(&cache, token(*number))).count();
    assert_eq!(kept, 63, "who came last stays longest");
}

#[test]
fn a_cache_of_none_knows_none() {
    let cache = following(0);
    assert!(!fill(&cache, token(1), 4) && cache.is_empty());
}

#[test]
fn an_entry_takes_little_beside_its_record() {
    assert!(size_of::<Slot>() <= 104, "{}", size_of::<Slot>());
}

/// `cargo test --release --lib cache::tests::measure -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn measure_a_million_tokens() {
    const TOKENS: u128 = 1_000_000;
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/statm").unwrap();
        status.split(' ').nth(1).unwrap().parse::<u128>().unwrap() * 4096
    };
    let cache = following(1_000_000);
    let shared = learned(&cache, token(0), 4);
    let before = resident();
    for number in 0..TOKENS {
        // The records would be counted with them: one is shared, but for the id that it is known by.
        let id = TokenId::from_uuid(Uuid::from_u128(
            number.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835),
        ));
        let record = Record { id, ..Record::clone(&shared.record) };
        assert!(cache.begin(id).land(Learned { record: Arc::new(record), ..shared.clone() }, OURS));
    }
    let bytes = (resident() - before) / cache.len() as u128;
    println!("{} tokens of {TOKENS} known, {bytes} bytes each with a small record", cache.len());
}
