//! What records share, and that it goes with them.

use super::*;
use crate::token::{Scope, ScopeSet};

fn of(number: u128) -> Record {
    let scopes = ScopeSet::new(vec![Scope::known("read"), Scope::known("write")]).unwrap();
    Record { scopes: scopes.into(), ..record(token(number), 4) }
}

fn recall(cache: &Cache, number: u128) -> Arc<Record> {
    cache.look_up_by_id(token(number), Generation::FIRST, NOW).unwrap().record
}

#[test]
fn records_share_what_is_the_same_in_them_and_are_what_was_learned() {
    let cache = following(8);
    for number in [1, 2] {
        assert!(cache.begin(token(number)).land(learned_from(&cache, of(number)), OURS));
    }
    let (one, other) = (recall(&cache, 1), recall(&cache, 2));
    assert_eq!((&*one, &*other), (&of(1), &of(2)));
    assert!(Arc::ptr_eq(&one.workspace, &other.workspace) && Arc::ptr_eq(&one.scopes, &other.scopes));
    assert!(Arc::ptr_eq(&one.extras, &other.extras));
    assert!(Arc::ptr_eq(one.principal.as_ref().unwrap(), other.principal.as_ref().unwrap()));
}

#[test]
fn what_no_record_has_any_more_is_forgotten() {
    const TOKENS: usize = 4_096;
    let cache = following(TOKENS);
    for number in 0..100_000 {
        let principal = Some(principal(&format!("user-{number}")).into());
        let record = Record { principal, ..of(number) };
        assert!(cache.begin(record.id).land(learned_from(&cache, record), OURS));
    }
    assert!(cache.len() <= TOKENS);
    let principals = cache.common.principals();
    assert!(principals <= 3 * TOKENS, "{principals} are kept for {} tokens", cache.len());
    cache.empty();
    assert_eq!(cache.common.principals(), 0);
}
