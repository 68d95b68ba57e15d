//! What a change of many tokens does, be they named or not.

use super::*;
use crate::text::Reason;

pub(super) fn bulk_revoked(tokens: Option<Vec<TokenId>>, revision: i64) -> Event {
    let reason = Reason::parse(String::new()).unwrap();
    happened(Change::BulkRevoked { workspace: workspace("acme"), tokens, reason }, revision)
}

#[test]
fn what_is_found_of_a_token_that_a_change_named_with_others_is_refused() {
    let cache = following(4_096);
    let named: Vec<TokenId> = (1..=600).map(token).collect();
    let flights: Vec<Flight> = named.iter().map(|id| cache.begin(*id)).collect();
    assert!(fill(&cache, token(601), 4) && fill(&cache, token(700), 4));
    let ended = [named.clone(), vec![token(601)]].concat();
    cache.apply(OURS, &bulk_revoked(Some(ended), 11));
    for (flight, id) in flights.into_iter().zip(named) {
        assert!(!flight.land(learned(&cache, id, 4), OURS) && !knows(&cache, id));
    }
    assert!(!knows(&cache, token(601)));
    assert!(knows(&cache, token(700)), "of no other");
    assert_eq!(cache.applied(), Some(ours(11)));
}

#[test]
fn a_change_that_names_none_of_its_tokens_has_all_of_the_workspace_learned_again() {
    let cache = following(8);
    let aloft = cache.begin(token(2));
    assert!(fill(&cache, token(1), 4));
    cache.overtake(&bulk_revoked(None, 11));
    assert!(!knows(&cache, token(1)), "one's own change counts at once");
    cache.apply(OURS, &bulk_revoked(None, 11));
    aloft.land(learned(&cache, token(2), 4), OURS);
    assert!(!knows(&cache, token(2)), "what was found before it");
    assert!(fill(&cache, token(1), 4) && knows(&cache, token(1)), "one that did not end works on");
}
