//! What the cache promises, rule by rule.

mod bounds;
mod bulk;
mod common;
mod floors;
mod overlap;
mod reference;
mod stress;

use std::time::Duration;

use uuid::Uuid;

use super::*;
use crate::lease::Offer;
use crate::profile::{ProfileName, TokenType};
use crate::revocation::{Change, Event, HistoryId, NewEvent, TokenChange};
use crate::text::{Initiator, Name, PrincipalId};
use crate::token::{IssuedSecret, PresentedText, Secret, Tag};
use crate::workspace::{TokenPrefix, WorkspaceId};

const OURS: HistoryId = HistoryId(Uuid::from_u128(1));
const OTHER: HistoryId = HistoryId(Uuid::from_u128(2));

/// While the lease of [`following`] is held.
const NOW: BootTime = at(10);

const fn at(milliseconds: u64) -> BootTime {
    BootTime::from_start(Duration::from_millis(milliseconds))
}

const fn ours(revision: i64) -> Position {
    Position { history: OURS, revision: Revision(revision) }
}

fn workspace(name: &str) -> WorkspaceId {
    WorkspaceId::parse(name.to_owned()).unwrap()
}

fn principal(name: &str) -> PrincipalId {
    PrincipalId::parse(name.to_owned()).unwrap()
}

fn token(number: u128) -> TokenId {
    TokenId::from_uuid(Uuid::from_u128(number))
}

fn record(id: TokenId, revision: i64) -> Record {
    Record {
        id,
        workspace: workspace("acme").into(),
        name: Name::parse("ci".to_owned()).unwrap(),
        principal: Some(principal("alice").into()),
        username: None,
        token_type: TokenType::Custom,
        scopes: Arc::default(),
        external_id: None,
        profile: None,
        extras: Arc::default(),
        expire_time: None,
        create_time: SystemTime::UNIX_EPOCH.into(),
        generation: Generation::FIRST,
        revision: Revision(revision),
    }
}

fn learned_from(cache: &Cache, record: Record) -> Learned {
    let proof = cache.prover().proof(PresentedText::new("a secret that nobody asks about"));
    Learned { record: Arc::new(record), proof, deadline: None }
}

fn learned(cache: &Cache, id: TokenId, revision: i64) -> Learned {
    learned_from(cache, record(id, revision))
}

fn event(id: TokenId, revision: i64) -> Event {
    let (workspace, generation, what) = (workspace("acme"), Generation::FIRST, TokenChange::Updated);
    happened(Change::Token { workspace, token: id, generation, what }, revision)
}

fn happened(change: Change, revision: i64) -> Event {
    let event = NewEvent { change, initiator: Initiator::parse("somebody".to_owned()).unwrap() };
    Event { revision: Revision(revision), time: SystemTime::UNIX_EPOCH, event, awaited: false }
}

/// A cache that has applied everything up to revision 10 and holds a lease for a second.
fn following(capacity: usize) -> Arc<Cache> {
    let cache = Arc::new(Cache::new(capacity, Prover::new().unwrap()));
    cache.follow(ours(10));
    cache.offer(Offer { until: at(1000), needs: ours(10) });
    cache
}

fn fill(cache: &Arc<Cache>, id: TokenId, revision: i64) -> bool {
    cache.begin(id).land(learned(cache, id, revision), OURS)
}

fn issue(id: TokenId, secret: &Secret) -> IssuedSecret {
    IssuedSecret::issue(&TokenPrefix::default(), Kid::FIRST, id, secret, |_| Tag([0; 8]))
}

fn knows(cache: &Cache, id: TokenId) -> bool {
    cache.look_up_by_id(id, Generation::FIRST, NOW).is_some()
}

#[test]
fn what_was_found_is_known_up_to_what_is_applied() {
    let cache = following(8);
    assert!(fill(&cache, token(1), 4));
    cache.advance(ours(12));
    let known = cache.look_up_by_id(token(1), Generation::FIRST, NOW).unwrap();
    assert_eq!((known.applied, known.record.revision), (ours(12), Revision(4)));
}

#[test]
fn a_fill_is_refused_if_its_token_changed_while_it_was_aloft() {
    let cache = following(8);
    let changes: [fn(&Cache); 2] =
        [|cache| cache.apply(OURS, &event(token(1), 11)), |cache| cache.overtake(&event(token(1), 11))];
    for change in changes {
        let flight = cache.begin(token(1));
        change(&cache);
        assert!(!flight.land(learned(&cache, token(1), 4), OURS));
        assert!(!knows(&cache, token(1)));
    }
}

#[test]
fn a_fill_that_knows_of_the_change_is_remembered() {
    let cache = following(8);
    let flight = cache.begin(token(1));
    cache.apply(OURS, &event(token(1), 11));
    assert!(flight.land(learned(&cache, token(1), 11), OURS) && knows(&cache, token(1)));
}

#[test]
fn a_change_of_another_token_hinders_no_fill() {
    let cache = following(8);
    let flight = cache.begin(token(1));
    cache.apply(OURS, &event(token(2), 11));
    assert!(flight.land(learned(&cache, token(1), 4), OURS));
}

#[test]
fn flights_of_one_token_do_not_hide_changes_from_each_other() {
    let cache = following(8);
    let (first, second) = (cache.begin(token(1)), cache.begin(token(1)));
    drop(first);
    cache.apply(OURS, &event(token(1), 11));
    assert!(!second.land(learned(&cache, token(1), 4), OURS));
    drop(second);
    // Nothing is left behind: the next is a matter of its own.
    assert!(fill(&cache, token(1), 4));
}

#[test]
fn a_fill_is_refused_from_another_epoch_history_or_token() {
    let cache = following(8);
    let before = cache.begin(token(1));
    cache.follow(ours(10));
    assert!(!before.land(learned(&cache, token(1), 4), OURS));
    assert!(!cache.begin(token(1)).land(learned(&cache, token(1), 4), OTHER));
    assert!(!cache.begin(token(1)).land(learned(&cache, token(2), 4), OURS));
    let aloft = cache.begin(token(1));
    cache.empty();
    assert!(!aloft.land(learned(&cache, token(1), 4), OURS));
    assert!(!fill(&cache, token(1), 4), "nothing is followed");
    assert!(cache.is_empty());
}

#[test]
fn a_flight_asks_its_source_for_what_was_applied_when_it_began() {
    let cache = following(8);
    let flight = cache.begin(token(1));
    cache.apply(OURS, &event(token(2), 11));
    assert_eq!(flight.applied(), Some(ours(10)));
    assert_eq!(cache.applied(), Some(ours(11)));
}

#[test]
fn an_older_answer_never_replaces_a_newer_one() {
    let cache = following(8);
    let late = cache.begin(token(1));
    assert!(fill(&cache, token(1), 9));
    assert!(!late.land(learned(&cache, token(1), 4), OURS));
    let known = cache.look_up_by_id(token(1), Generation::FIRST, NOW).unwrap();
    assert_eq!(known.record.revision, Revision(9));
}

#[test]
fn a_change_is_forgotten_by_nobody_who_knew_it_already() {
    let cache = following(8);
    assert!(fill(&cache, token(1), 11));
    cache.apply(OURS, &event(token(1), 11));
    assert!(knows(&cache, token(1)));
    cache.overtake(&event(token(1), 12));
    assert!(!knows(&cache, token(1)));
    assert_eq!(cache.applied(), Some(ours(11)), "what overtakes is not applied in order");
}

#[test]
fn a_change_of_another_history_is_passed_over() {
    let cache = following(8);
    assert!(fill(&cache, token(1), 4));
    cache.apply(OTHER, &event(token(1), 11));
    cache.advance(Position { history: OTHER, revision: Revision(99) });
    assert!(knows(&cache, token(1)));
    assert_eq!(cache.applied(), Some(ours(10)));
}

#[test]
fn what_is_not_found_is_not_remembered() {
    let cache = following(8);
    drop(cache.begin(token(1)));
    assert!(cache.is_empty() && !knows(&cache, token(1)));
    assert!(fill(&cache, token(1), 4), "and does not hinder the next");
}

#[test]
fn a_token_expires_at_its_deadline() {
    let cache = following(8);
    let found = Learned { deadline: Some(at(20)), ..learned(&cache, token(1), 4) };
    assert!(cache.begin(token(1)).land(found, OURS));
    let look = |now| cache.look_up_by_id(token(1), Generation::FIRST, now).is_some();
    assert!(look(at(19)) && !look(at(20)) && !look(at(21)));
}

#[test]
fn without_a_lease_nothing_is_known() {
    let cache = following(8);
    assert!(fill(&cache, token(1), 4));
    let look = |now| (cache.look_up_by_id(token(1), Generation::FIRST, now).is_some(), cache.standing(now));
    assert_eq!(look(at(999)), (true, Some(ours(10))));
    assert_eq!(look(at(1000)), (false, None));
    cache.offer(Offer { until: at(2000), needs: ours(11) });
    assert_eq!(look(at(1000)), (false, None), "what it needs is not applied");
    cache.advance(ours(11));
    assert_eq!(look(at(1000)), (true, Some(ours(11))));
    cache.lose_lease();
    assert_eq!(look(at(1000)), (false, None));
}

#[test]
fn the_lease_is_lost_and_nothing_verified_where_the_log_is_followed_anew() {
    let cache = following(8);
    assert!(fill(&cache, token(1), 4));
    cache.offer(Offer { until: at(3000), needs: ours(20) });
    cache.follow(ours(20));
    assert_eq!(cache.standing(NOW), None);
    cache.offer(Offer { until: at(1000), needs: ours(20) });
    assert!(!knows(&cache, token(1)) && cache.len() == 1);
    let [(id, generation, proof)] = cache.unverified(None, 9)[..] else { panic!() };
    assert_eq!((id, generation), (token(1), Generation::FIRST));
    // It is revalidated without its secret.
    let again = Learned { record: Arc::new(record(id, 4)), proof, deadline: None };
    assert!(cache.begin(id).land(again, OURS));
    assert!(knows(&cache, token(1)) && cache.unverified(None, 9).is_empty());
}

#[test]
fn an_unverified_token_that_changes_or_is_found_dead_is_forgotten() {
    let cache = following(8);
    assert!(fill(&cache, token(1), 400) && fill(&cache, token(2), 4));
    cache.follow(Position { history: OTHER, revision: Revision(3) });
    cache.apply(OTHER, &event(token(1), 4));
    assert_eq!(cache.len(), 1);
    cache.forget(token(2), Generation::FIRST);
    assert!(cache.is_empty());
}

#[test]
fn the_unverified_are_listed_once_each() {
    let cache = following(1000);
    for number in 0..700 {
        assert!(fill(&cache, token(number * 37), 4));
    }
    cache.follow(ours(11));
    let (mut seen, mut last) = (std::collections::HashSet::new(), None);
    loop {
        let listed = cache.unverified(last, 64);
        assert!(listed.len() <= 64);
        let Some((id, generation, _)) = listed.last() else { break };
        last = Some((*id, *generation));
        assert!(listed.iter().all(|(id, _, _)| seen.insert(*id)));
    }
    assert_eq!(seen.len(), cache.len());
}
