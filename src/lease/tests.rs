//! What leases and grants promise.

use super::*;
use crate::revocation::HistoryId;
use crate::token::Revision;

const OURS: HistoryId = HistoryId(Uuid::from_u128(1));
const OTHER: HistoryId = HistoryId(Uuid::from_u128(2));

fn at(milliseconds: u64) -> BootTime {
    BootTime::from_start(Duration::from_millis(milliseconds))
}

fn place(history: HistoryId, revision: i64) -> Position {
    Position { history, revision: Revision(revision) }
}

fn ours(revision: i64) -> Position {
    place(OURS, revision)
}

fn holder(number: u128) -> Holder {
    Holder { caller: TokenId::from_uuid(Uuid::from_u128(7)), sidecar: Uuid::from_u128(number) }
}

#[test]
fn a_lease_counts_only_once_what_it_needs_is_applied() {
    let mut lease = Lease::default();
    lease.offer(Offer { until: at(100), needs: ours(5) }, ours(4));
    assert_eq!(lease.until(), BootTime::ZERO);
    lease.applied(ours(5));
    assert_eq!(lease.until(), at(100));
}

#[test]
fn an_offer_whose_needs_are_met_counts_at_once_and_never_shortens() {
    let mut lease = Lease::default();
    lease.offer(Offer { until: at(100), needs: ours(5) }, ours(5));
    lease.offer(Offer { until: at(90), needs: ours(4) }, ours(5));
    assert_eq!(lease.until(), at(100));
}

#[test]
fn an_offer_of_another_history_never_counts() {
    let mut lease = Lease::default();
    lease.offer(Offer { until: at(100), needs: place(OTHER, 1) }, ours(5));
    lease.applied(place(OTHER, 9));
    assert_eq!(lease.until(), BootTime::ZERO);
    lease.offer(Offer { until: at(100), needs: ours(8) }, ours(5));
    lease.applied(place(OTHER, 9));
    assert_eq!(lease.until(), BootTime::ZERO);
}

#[test]
fn whoever_is_always_a_little_behind_still_holds_a_lease() {
    let mut lease = Lease::default();
    for beat in 0..100_u64 {
        let head = i64::try_from(beat).unwrap();
        lease.offer(Offer { until: at(1000 + beat), needs: ours(head) }, ours(head - 10));
        lease.applied(ours(head - 10));
        assert!(beat < 10 || lease.until() == at(990 + beat));
    }
}

#[test]
fn a_lost_lease_takes_its_offers_along() {
    let mut lease = Lease::default();
    lease.offer(Offer { until: at(100), needs: ours(5) }, ours(5));
    lease.offer(Offer { until: at(200), needs: ours(6) }, ours(5));
    lease.lose();
    lease.applied(ours(6));
    assert_eq!(lease.until(), BootTime::ZERO);
}

#[test]
fn a_granter_acknowledges_only_what_every_live_holder_has_applied() {
    let mut grants = Grants::new(2);
    assert_eq!(grants.acknowledged(ours(9), at(0)), Some(ours(9)));
    grants.grant(holder(1), at(100), at(0)).unwrap();
    assert_eq!(grants.acknowledged(ours(9), at(0)), None);
    grants.acknowledge(holder(1), ours(7), at(1)).unwrap();
    assert_eq!(grants.acknowledged(ours(9), at(99)), Some(ours(7)));
    assert_eq!(grants.acknowledged(ours(6), at(99)), Some(ours(6)));
    assert_eq!(grants.acknowledged(place(OTHER, 9), at(99)), None);
    assert_eq!(grants.acknowledged(ours(9), at(100)), Some(ours(9)));
}

#[test]
fn an_acknowledgement_never_goes_back_within_a_history() {
    let mut grants = Grants::new(1);
    grants.grant(holder(1), at(100), at(0)).unwrap();
    grants.acknowledge(holder(1), ours(7), at(1)).unwrap();
    grants.acknowledge(holder(1), ours(3), at(2)).unwrap();
    assert_eq!(grants.acknowledged(ours(9), at(3)), Some(ours(7)));
    grants.acknowledge(holder(1), place(OTHER, 2), at(4)).unwrap();
    assert_eq!(grants.acknowledged(place(OTHER, 3), at(5)), Some(place(OTHER, 2)));
}

#[test]
fn a_renewed_grant_lasts_longer_never_shorter_and_keeps_what_was_acknowledged() {
    let mut grants = Grants::new(1);
    grants.grant(holder(1), at(100), at(0)).unwrap();
    grants.acknowledge(holder(1), ours(7), at(1)).unwrap();
    grants.grant(holder(1), at(50), at(2)).unwrap();
    assert_eq!(grants.next_end(at(3)), Some(at(100)));
    grants.grant(holder(1), at(200), at(3)).unwrap();
    assert_eq!(grants.next_end(at(100)), Some(at(200)));
    assert_eq!(grants.acknowledged(ours(9), at(100)), Some(ours(7)));
}

#[test]
fn a_lease_that_ran_out_is_unknown_and_begins_anew_with_nothing_acknowledged() {
    let mut grants = Grants::new(1);
    grants.grant(holder(1), at(100), at(0)).unwrap();
    grants.acknowledge(holder(1), ours(7), at(1)).unwrap();
    assert_eq!(grants.acknowledge(holder(1), ours(8), at(100)), Err(GrantError::Unknown));
    assert_eq!(grants.acknowledge(holder(2), ours(8), at(1)), Err(GrantError::Unknown));
    grants.grant(holder(1), at(200), at(100)).unwrap();
    assert_eq!(grants.acknowledged(ours(9), at(101)), None);
}

#[test]
fn there_are_never_more_grants_than_may_be_and_dead_ones_make_room() {
    let mut grants = Grants::new(2);
    grants.grant(holder(1), at(100), at(0)).unwrap();
    grants.grant(holder(2), at(50), at(0)).unwrap();
    assert_eq!(grants.grant(holder(3), at(100), at(49)), Err(GrantError::Full));
    grants.grant(holder(1), at(110), at(49)).unwrap();
    grants.grant(holder(3), at(100), at(50)).unwrap();
    assert_eq!(grants.live(at(51)), 2);
    grants.release(holder(3));
    assert_eq!((grants.live(at(51)), grants.next_end(at(51))), (1, Some(at(110))));
}

#[test]
fn a_stretched_time_has_passed_on_every_clock() {
    assert_eq!(stretched(Duration::from_secs(3)), Duration::from_millis(3030));
}
