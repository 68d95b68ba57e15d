//! What is told of tokens: histories in which answers are stale, early, or not true.

use super::tale::{HERE, REVOKED, THERE, Tale, active, event, life, seconds, told};
use crate::check::Promise;
use crate::history::{Answer, Call, Change, Freshness, Reason};

#[test]
fn a_whole_life_keeps_every_promise() {
    let tale = life()
        .look(THERE, 1, Freshness::Strong, 1, active(0, 1, 0))
        .look(THERE, 7, Freshness::Leased, 1, active(2, 1, 2))
        .look(THERE, 7, Freshness::Leased, 2, active(3, 2, 2))
        .look(THERE, 7, Freshness::AtLeast(2), 1, active(2, 1, 2))
        .look(THERE, 7, Freshness::Strong, 1, Answer::Inactive(Reason::Superseded))
        .look(THERE, 10, Freshness::Strong, 2, REVOKED)
        .stream(None, None, told())
        .stream(Some("acme"), Some((1, 20)), vec![event(2, Change::Updated(0), "acme")]);
    tale.keeps_everything();
}

#[test]
fn a_strong_accept_after_an_acknowledged_revoke() {
    Tale::begin().change(Change::Revoked, 2, 4, 1, 1).active(3, Freshness::Strong, 0).keeps_everything();
    let late = Tale::begin().change(Change::Revoked, 2, 4, 1, 1).active(5, Freshness::Strong, 0);
    late.breaks_all(&[Promise::Linearizable, Promise::Strong]);
}

#[test]
fn strong_answers_that_no_order_explains() {
    let strong = |tale: Tale, invoke, answer| tale.look(THERE, invoke, Freshness::Strong, 1, answer);
    // Both ways between the invocation and the return; but not first dead and then alive.
    let tale = || Tale::begin().change(Change::Revoked, 2, 20, 1, 1);
    strong(strong(tale(), 4, active(0, 1, 0)), 6, REVOKED).keeps_everything();
    strong(strong(tale(), 4, REVOKED), 6, active(0, 1, 0)).breaks(Promise::Linearizable);
    let tale = || Tale::begin().change(Change::Updated(1), 2, 20, 1, 1);
    strong(strong(tale(), 4, active(0, 1, 0)), 6, active(1, 1, 1)).keeps_everything();
    strong(strong(tale(), 4, active(1, 1, 1)), 6, active(0, 1, 0)).breaks(Promise::Linearizable);
}

#[test]
fn a_cached_accept_a_lease_after_an_acknowledged_revoke() {
    Tale::begin().change(Change::Revoked, 2, 4, 1, 1).active(6, Freshness::Leased, 0).keeps_everything();
    Tale::begin()
        .change(Change::Revoked, 2, 4, 1, 1)
        .active(8, Freshness::Leased, 0)
        .breaks(Promise::WithinLease);
}

#[test]
fn an_accept_after_the_fleet_confirmed_the_revoke() {
    let tale = || Tale::begin().change(Change::Revoked, 2, 4, 1, 1);
    let waited = |confirmed| {
        tale().operation(HERE, Call::Await { revision: 1 }, 4, Some(5), Answer::Awaited { confirmed })
    };
    waited(false).active(6, Freshness::Leased, 0).keeps_everything();
    waited(true).active(6, Freshness::Leased, 0).breaks(Promise::Confirmed);
    let call = Call::Change { token: "t".to_owned(), change: Change::Revoked, fleet: true };
    let answer = Answer::Changed { revision: 1, generation: 1, confirmed: true };
    tale()
        .operation(HERE, call, 2, Some(5), answer)
        .active(6, Freshness::Leased, 0)
        .breaks(Promise::Confirmed);
}

#[test]
fn the_server_that_revoked_accepts() {
    let tale = Tale::begin().change(Change::Revoked, 2, 4, 1, 1);
    tale.look(HERE, 5, Freshness::Leased, 1, active(0, 1, 0)).breaks(Promise::OwnChanges);
}

#[test]
fn an_answer_from_before_the_revision_that_was_asked_for() {
    let tale = Tale::begin().change(Change::Updated(1), 2, 4, 1, 1);
    tale.active(5, Freshness::AtLeast(1), 0).breaks(Promise::AtLeast);
}

#[test]
fn an_old_secret_and_old_scopes_are_stale_as_well() {
    let tale = Tale::begin().change(Change::SecretReplaced, 2, 4, 1, 2);
    tale.active(5, Freshness::Strong, 0).breaks_all(&[Promise::Linearizable, Promise::Strong]);
    let tale = Tale::begin().change(Change::Updated(1), 2, 4, 1, 1);
    tale.active(8, Freshness::Leased, 0).breaks(Promise::WithinLease);
}

#[test]
fn a_dead_secret_that_passes_for_alive_at_its_revision() {
    let tale = Tale::begin().change(Change::SecretReplaced, 2, 4, 1, 2);
    tale.active(5, Freshness::Leased, 1).breaks(Promise::True);
    let tale = Tale::begin().change(Change::Updated(1), 2, 4, 1, 1);
    tale.active(5, Freshness::Leased, 1).breaks(Promise::True);
    Tale::begin().active(5, Freshness::Leased, 7).breaks(Promise::True);
}

#[test]
fn a_live_token_denied() {
    let denied = |reason| Tale::begin().look(THERE, 2, Freshness::Leased, 1, Answer::Inactive(reason));
    denied(Reason::Revoked).breaks(Promise::NeverDeniedAlive);
    denied(Reason::NotOurs).breaks(Promise::NeverDeniedAlive);
    denied(Reason::Expired).breaks(Promise::NeverDeniedAlive);
    // Once a revoke is under way it may be so; not if it was done much later.
    denied(Reason::Revoked).change(Change::Revoked, 2, 9, 1, 1).keeps_everything();
    denied(Reason::Revoked).change(Change::Revoked, 4, 9, 1, 1).breaks(Promise::NeverDeniedAlive);
    denied(Reason::NotOurs).change(Change::Revoked, 2, 9, 1, 1).breaks(Promise::NeverDeniedAlive);
}

#[test]
fn a_revoke_that_nobody_knows_the_end_of_excuses_a_denial_only_if_it_is_in_the_log() {
    let call = Call::Change { token: "t".to_owned(), change: Change::Revoked, fleet: false };
    let tale = Tale::begin().operation(HERE, call, 2, None, Answer::Unknown);
    let tale = tale.look(THERE, 5, Freshness::Leased, 1, REVOKED);
    tale.breaks(Promise::NeverDeniedAlive);
    tale.log(1, Change::Revoked, 1).table(1, true, 1).keeps_everything();
}

#[test]
fn expiry_is_neither_early_nor_late() {
    let tale = || Tale::begin().expiring(Some(seconds(5)));
    tale().active(4, Freshness::Leased, 0).keeps_everything();
    tale().active(6, Freshness::Leased, 0).breaks(Promise::Expiry);
    let expired = || Answer::Inactive(Reason::Expired);
    tale().look(THERE, 6, Freshness::Leased, 1, expired()).keeps_everything();
    tale().look(THERE, 3, Freshness::Leased, 1, expired()).breaks(Promise::NeverDeniedAlive);
}

#[test]
fn a_caller_refused_for_nothing() {
    let refused =
        |reason: &str| Tale::begin().look(HERE, 2, Freshness::Leased, 1, Answer::Refused(reason.to_owned()));
    refused("LEASE_LOST").keeps_everything();
    refused("CREDENTIAL_INVALID").breaks(Promise::Served);
    refused("INTERNAL").breaks(Promise::Served);
}
