//! What many tokens have in common: histories in which a principal's power, its end, or an invalidation is not felt, is
//! felt without being there, or leaves tables that say something else.

use super::tale::{HERE, THERE, Tale, active};
use crate::check::Promise;
use crate::history::{Answer, Call, Change, Edit, Freshness, PrincipalRow, Reason, Scopes, WorkspaceRow};

const HEIR: &str = "q";

/// The token acts for the principal `p`, and another principal is there.
fn held() -> Tale {
    let mut tale = Tale::begin();
    tale.0.operations[0].call = Call::Create { principal: Some("p".to_owned()), group: "red".to_owned() };
    tale.0.tokens[0].principal = Some("p".to_owned());
    tale.0.principals = [("p", 0), (HEIR, 0)].map(|(name, revision)| row(name, revision)).into();
    tale.0.workspaces = vec![WorkspaceRow { workspace: "acme".to_owned(), epoch: 0, revision: 0 }];
    tale
}

fn row(name: &str, revision: i64) -> PrincipalRow {
    let principal = name.to_owned();
    PrincipalRow { principal, revision, wide: true, held: 0, disabled: false, deleted: false }
}

const DISABLED: Edit = Edit::Held { wide: true, disabled: true };
const ENABLED: Edit = Edit::Held { wide: true, disabled: false };
const NARROW: Edit = Edit::Held { wide: false, disabled: false };

fn handed_over() -> Edit {
    Edit::HandedOver { to: HEIR.to_owned() }
}

fn call(principal: &str, edit: &Edit, mark: u32) -> Call {
    Call::ChangePrincipal { principal: principal.to_owned(), edit: edit.clone(), mark, fleet: false }
}

const fn acknowledged(revision: i64, confirmed: bool) -> Answer {
    Answer::Changed { revision, generation: 0, confirmed }
}

fn logged(tale: Tale, revision: i64, change: Change, subject: &str, mark: u32) -> Tale {
    let (workspace, subject) = ("acme".to_owned(), subject.to_owned());
    let mut tale = tale.log(revision, change, 0);
    if let Some(row) = tale.0.log.last_mut() {
        (row.workspace, row.subject, row.mark) = (workspace, subject, Some(mark));
    }
    tale
}

/// What the tables say after a change of a principal.
fn written(mut tale: Tale, revision: i64, principal: &str, edit: &Edit, mark: u32) -> Tale {
    let place = usize::from(principal == HEIR);
    let row = &mut tale.0.principals[place];
    row.revision = revision;
    let token = &mut tale.0.tokens[0];
    match edit {
        Edit::Held { wide, disabled } => (row.wide, row.disabled, row.held) = (*wide, *disabled, mark),
        Edit::Deleted => (row.deleted, token.revoked, token.revision) = (true, true, revision),
        Edit::HandedOver { to } => {
            (row.deleted, token.principal, token.revision) = (true, Some(to.clone()), revision);
        }
    }
    tale
}

/// An acknowledged change of a principal, in the log and the tables as well; the mark is the revision.
fn change(tale: Tale, principal: &str, edit: &Edit, (invoke, returned): (u64, u64), mark: u32) -> Tale {
    let revision = i64::from(mark);
    let answer = acknowledged(revision, false);
    let tale = tale.operation(HERE, call(principal, edit, mark), invoke, Some(returned), answer);
    let tale = logged(tale, revision, Change::PrincipalChanged, principal, mark);
    written(tale, revision, principal, edit, mark)
}

fn invalidate(tale: Tale, (invoke, returned): (u64, u64), mark: u32, dry: bool) -> Tale {
    let revision = i64::from(mark);
    let call = Call::Invalidate { workspace: "acme".to_owned(), mark, dry, fleet: false };
    let answer = if dry { Answer::Done } else { acknowledged(revision, false) };
    let mut tale = tale.operation(HERE, call, invoke, Some(returned), answer);
    let row = &mut tale.0.workspaces[0];
    (row.epoch, row.revision) = (row.epoch + 1, revision);
    logged(tale, revision, Change::WorkspaceInvalidated, "", mark)
}

/// An accept with the scopes of version 0, and those of the principal by their mark.
fn look(tale: Tale, invoke: u64, freshness: Freshness, revision: i64, wide: bool, mark: u32) -> Tale {
    let scopes = Some(Scopes { version: wide.then_some(0), held: Some(mark) });
    tale.look(THERE, invoke, freshness, 1, Answer::Active { revision, generation: 1, scopes })
}

fn denied(tale: Tale, invoke: u64, generation: i32, reason: Reason) -> Tale {
    tale.look(THERE, invoke, Freshness::Strong, generation, Answer::Inactive(reason))
}

#[test]
fn a_principals_whole_life_keeps_every_promise() {
    let tale = look(held(), 1, Freshness::Strong, 0, true, 0);
    let tale = change(tale, "p", &DISABLED, (2, 3), 1);
    let tale = denied(tale, 4, 1, Reason::PrincipalDisabled);
    let tale = change(tale, "p", &NARROW, (6, 7), 2);
    let tale = look(tale, 8, Freshness::Strong, 2, false, 2);
    let tale = change(tale, HEIR, &ENABLED, (9, 10), 3);
    let tale = change(tale, "p", &handed_over(), (11, 12), 4);
    let tale = look(tale, 13, Freshness::Strong, 4, true, 3);
    let tale = change(tale, HEIR, &Edit::Deleted, (14, 15), 5);
    denied(tale, 16, 1, Reason::Revoked).keeps_everything();
}

#[test]
fn a_token_of_a_disabled_principal_that_passes_for_alive() {
    let tale = || change(held(), "p", &DISABLED, (2, 4), 1);
    look(tale(), 3, Freshness::Strong, 0, true, 0).keeps_everything();
    look(tale(), 5, Freshness::Strong, 0, true, 0).breaks_all(&[Promise::Linearizable, Promise::Strong]);
    look(tale(), 5, Freshness::AtLeast(1), 0, true, 0).breaks(Promise::AtLeast);
    look(tale(), 6, Freshness::Leased, 0, true, 0).keeps_everything();
    look(tale(), 8, Freshness::Leased, 0, true, 0).breaks(Promise::WithinLease);
    look(tale(), 5, Freshness::Leased, 1, true, 1).breaks(Promise::True);
    let here = Answer::Active {
        revision: 0,
        generation: 1,
        scopes: Some(Scopes { version: Some(0), held: Some(0) }),
    };
    tale().look(HERE, 5, Freshness::Leased, 1, here).breaks(Promise::OwnChanges);
    let mut confirmed = tale();
    confirmed.0.operations[1].answer = acknowledged(1, true);
    look(confirmed, 5, Freshness::Leased, 0, true, 0).breaks(Promise::Confirmed);
}

#[test]
fn a_narrowed_principal_whose_tokens_are_as_wide_as_before() {
    let tale = || change(held(), "p", &NARROW, (2, 4), 1);
    look(tale(), 5, Freshness::Leased, 1, false, 1).keeps_everything();
    look(tale(), 5, Freshness::Leased, 1, true, 1).breaks(Promise::True);
    look(tale(), 5, Freshness::Leased, 1, false, 0).breaks(Promise::True);
    look(tale(), 5, Freshness::Strong, 1, true, 1).breaks_all(&[Promise::Linearizable, Promise::True]);
}

#[test]
fn a_token_that_outlives_its_principal() {
    let tale = || change(held(), "p", &Edit::Deleted, (2, 4), 1);
    look(tale(), 5, Freshness::Leased, 1, true, 0).breaks(Promise::True);
    let mut kept = tale();
    (kept.0.tokens[0].revoked, kept.0.tokens[0].revision) = (false, 0);
    kept.breaks(Promise::ExactlyOnce);
    // Whoever revokes it then is told of that.
    let revoke = Call::Change { token: "t".to_owned(), change: Change::Revoked, fleet: false };
    let answer = Answer::Changed { revision: 1, generation: 1, confirmed: false };
    tale().operation(HERE, revoke.clone(), 5, Some(6), answer.clone()).keeps_everything();
    change(held(), "p", &DISABLED, (2, 4), 1)
        .operation(HERE, revoke, 5, Some(6), answer)
        .breaks_all(&[Promise::Durable]);
}

#[test]
fn a_token_that_was_handed_over_and_acts_for_whom_it_did() {
    let tale = || change(change(held(), HEIR, &NARROW, (2, 3), 1), "p", &handed_over(), (4, 5), 2);
    look(tale(), 6, Freshness::Leased, 2, false, 1).keeps_everything();
    look(tale(), 6, Freshness::Leased, 2, true, 0).breaks(Promise::True);
    let mut tale = tale();
    tale.0.tokens[0].principal = Some("p".to_owned());
    tale.breaks(Promise::ExactlyOnce);
}

#[test]
fn an_invalidated_secret_that_passes_for_alive_and_a_new_one_that_is_denied() {
    let tale = || invalidate(held(), (2, 4), 1, false);
    denied(tale(), 5, 1, Reason::Invalidated).keeps_everything();
    denied(tale(), 5, 1, Reason::PrincipalDisabled).breaks(Promise::NeverDeniedAlive);
    look(tale(), 5, Freshness::Leased, 1, true, 0).breaks(Promise::True);
    look(tale(), 8, Freshness::Leased, 0, true, 0).breaks(Promise::WithinLease);
    look(tale(), 5, Freshness::Strong, 0, true, 0).breaks_all(&[Promise::Linearizable, Promise::Strong]);
    let again = || {
        let mut tale = tale().change(Change::SecretReplaced, 5, 6, 2, 2);
        tale.0.tokens[0].epoch = 1;
        tale
    };
    let scopes = Some(Scopes { version: Some(0), held: Some(0) });
    let alive = Answer::Active { revision: 2, generation: 2, scopes };
    again().look(THERE, 7, Freshness::Strong, 2, alive).keeps_everything();
    denied(again(), 7, 2, Reason::Invalidated)
        .breaks_all(&[Promise::Linearizable, Promise::NeverDeniedAlive]);
    let mut of_old = again();
    of_old.0.tokens[0].epoch = 0;
    of_old.breaks(Promise::ExactlyOnce);
}

#[test]
fn a_token_that_was_created_during_an_invalidation_may_be_of_either_epoch() {
    let tale = || {
        let mut tale = Tale::begin();
        tale.0.workspaces = held().0.workspaces;
        invalidate(tale, (0, 1), 1, false)
    };
    tale().look(THERE, 2, Freshness::Leased, 1, active(1, 1, 0)).breaks(Promise::True);
    denied(tale(), 2, 1, Reason::Invalidated).keeps_everything();
    let mut later = tale();
    later.0.tokens[0].epoch = 1;
    later.look(THERE, 2, Freshness::Strong, 1, active(1, 1, 0)).keeps_everything();
}

#[test]
fn a_denial_for_a_principal_that_lets_it_work() {
    let tale = || change(held(), "p", &DISABLED, (4, 5), 1);
    denied(held(), 2, 1, Reason::PrincipalDisabled)
        .breaks_all(&[Promise::Linearizable, Promise::NeverDeniedAlive]);
    let enabled = || change(tale(), "p", &ENABLED, (6, 7), 2);
    denied(enabled(), 6, 1, Reason::PrincipalDisabled).keeps_everything();
    denied(enabled(), 8, 1, Reason::PrincipalDisabled)
        .breaks_all(&[Promise::Linearizable, Promise::NeverDeniedAlive]);
}

#[test]
fn a_change_that_nobody_knows_the_end_of_counts_if_it_is_in_the_log() {
    let tale = || held().operation(HERE, call("p", &DISABLED, 1), 2, None, Answer::Unknown);
    let made = || {
        let tale = logged(tale(), 1, Change::PrincipalChanged, "p", 1);
        written(tale, 1, "p", &DISABLED, 1)
    };
    look(tale(), 5, Freshness::Strong, 0, true, 0).keeps_everything();
    denied(tale(), 5, 1, Reason::PrincipalDisabled).breaks(Promise::NeverDeniedAlive);
    denied(made(), 5, 1, Reason::PrincipalDisabled).keeps_everything();
    look(made(), 5, Freshness::Leased, 1, true, 1).breaks(Promise::True);
}

#[test]
fn a_change_of_a_principal_that_is_lost_or_made_by_nobody() {
    let mut lost = change(held(), "p", &DISABLED, (2, 4), 1);
    lost.0.log.clear();
    lost.0.principals[0] = row("p", 0);
    lost.breaks(Promise::Durable);
    let refused = || Answer::Refused("DATABASE_UNAVAILABLE".to_owned());
    let tale = held().operation(HERE, call("p", &DISABLED, 1), 2, Some(3), refused());
    let tale = logged(tale, 1, Change::PrincipalChanged, "p", 1);
    written(tale, 1, "p", &DISABLED, 1).breaks(Promise::ExactlyOnce);
    let mut unwritten = change(held(), "p", &DISABLED, (2, 4), 1);
    unwritten.0.principals[0].disabled = false;
    unwritten.breaks(Promise::ExactlyOnce);
    let create = Call::CreatePrincipal { principal: HEIR.to_owned() };
    held().operation(HERE, create, 2, Some(3), refused()).breaks(Promise::ExactlyOnce);
    let create = Call::CreatePrincipal { principal: "nobody".to_owned() };
    held().operation(HERE, create, 2, Some(3), Answer::Done).breaks(Promise::Durable);
}

#[test]
fn an_invalidation_that_was_only_to_be_counted_or_is_not() {
    let mut dry = invalidate(held(), (2, 4), 1, true);
    dry.0.tokens[0].epoch = 1;
    dry.breaks(Promise::ExactlyOnce);
    let mut uncounted = invalidate(held(), (2, 4), 1, false);
    uncounted.0.workspaces[0].epoch = 0;
    uncounted.breaks(Promise::ExactlyOnce);
}
