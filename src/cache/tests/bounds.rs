//! How much the cache may know, and what that takes.

use super::*;

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
fn an_entry_and_a_record_take_little() {
    assert_eq!((Cache::ENTRY, size_of::<Record>()), (64, 120));
}
