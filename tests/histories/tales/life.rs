//! Overlaps, suspensions, groups that end at once, repeated requests, and counted uses: histories in which they are not
//! what they should be.

use super::tale::{HERE, THERE, Tale, active, seconds};
use crate::check::Promise;
use crate::history::{Answer, Call, Change, Freshness, Reason};

/// Regenerated from 2 to 3; the old secret works on up to 10.
fn overlapped() -> Tale {
    let mut tale = Tale::begin().change(Change::Overlapped, 2, 3, 1, 2);
    tale.0.log[0].change = Change::SecretReplaced;
    tale.0.log[0].overlap_end = Some(seconds(10));
    tale
}

fn look(tale: Tale, invoke: u64, generation: i32, answer: Answer) -> Tale {
    tale.look(THERE, invoke, Freshness::Leased, generation, answer)
}

const SUPERSEDED: Answer = Answer::Inactive(Reason::Superseded);
const SUSPENDED: Answer = Answer::Inactive(Reason::Suspended);

#[test]
fn an_old_secret_works_up_to_the_end_of_its_overlap() {
    let fine = look(look(overlapped(), 8, 1, active(1, 1, 0)), 8, 2, active(1, 2, 0));
    look(look(fine, 10, 1, SUPERSEDED), 20, 2, active(1, 2, 0)).keeps_everything();
    look(overlapped(), 6, 1, SUPERSEDED).breaks(Promise::NeverDeniedAlive);
    look(overlapped(), 11, 1, active(1, 1, 0)).breaks(Promise::Expiry);
}

#[test]
fn an_old_secret_works_no_more_once_its_overlap_was_ended_or_another_one_begun() {
    let ended = || overlapped().change(Change::OverlapEnded, 4, 5, 2, 2);
    look(look(ended(), 6, 1, active(1, 1, 0)), 6, 1, SUPERSEDED).keeps_everything();
    look(ended(), 9, 1, active(1, 1, 0)).breaks(Promise::WithinLease);
    look(ended(), 6, 1, active(2, 1, 0)).breaks(Promise::True);
    let twice = || overlapped().change(Change::SecretReplaced, 4, 5, 2, 3);
    look(look(twice(), 6, 3, active(2, 3, 0)), 6, 2, SUPERSEDED).keeps_everything();
    look(twice(), 6, 1, active(2, 1, 0)).breaks(Promise::True);
}

#[test]
fn a_suspended_token_does_not_work_until_it_is_resumed() {
    let tale = || Tale::begin().change(Change::Suspended, 2, 3, 1, 1);
    look(tale(), 4, 1, SUSPENDED).keeps_everything();
    look(tale(), 4, 1, active(1, 1, 0)).breaks(Promise::True);
    look(tale(), 7, 1, active(0, 1, 0)).breaks(Promise::WithinLease);
    look(Tale::begin(), 2, 1, SUSPENDED).breaks(Promise::NeverDeniedAlive);
    let resumed = || tale().change(Change::Resumed, 8, 9, 2, 1);
    look(look(resumed(), 6, 1, SUSPENDED), 10, 1, active(2, 1, 0)).keeps_everything();
    look(resumed(), 10, 1, SUSPENDED).breaks(Promise::NeverDeniedAlive);
    let strong = resumed().look(THERE, 10, Freshness::Strong, 1, active(1, 1, 0));
    strong.breaks_all(&[Promise::Strong]);
}

/// All tokens named `red` of the workspace `acme` are revoked from 4 to 5.
fn group_revoked(named: &str) -> Tale {
    let (workspace, group) = ("acme".to_owned(), named.to_owned());
    let call = Call::RevokeGroup { workspace, group, mark: 7, dry: false, fleet: false };
    let answer = Answer::Changed { revision: 1, generation: 0, confirmed: false };
    let tale = Tale::begin().operation(HERE, call, 4, Some(5), answer);
    let mut tale = tale.log(1, Change::GroupRevoked, 0).table(1, true, 1);
    if let Some(row) = tale.0.log.last_mut() {
        (row.subject, row.mark, row.ended) = (String::new(), Some(7), vec!["t".to_owned()]);
    }
    tale
}

#[test]
fn a_group_ends_as_a_whole_and_nothing_else_with_it() {
    let fine = || group_revoked("red");
    look(look(fine(), 4, 1, active(0, 1, 0)), 6, 1, Answer::Inactive(Reason::Revoked)).keeps_everything();
    look(fine(), 9, 1, active(0, 1, 0)).breaks(Promise::WithinLease);
    let mut spared = fine().table(1, false, 0);
    spared.0.log[0].ended.clear();
    spared.breaks(Promise::Durable);
    group_revoked("blue").breaks(Promise::ExactlyOnce);
    let mut unlisted = fine();
    unlisted.0.log[0].listed = Some(Vec::new());
    unlisted.breaks(Promise::ExactlyOnce);
}

#[test]
fn a_request_that_is_repeated_is_carried_out_once() {
    let repeat = |same| {
        let call = Call::Repeat { token: "t".to_owned(), generation: 1 };
        Tale::begin().operation(HERE, call, 2, Some(3), Answer::Same(same))
    };
    repeat(true).keeps_everything();
    repeat(false).breaks(Promise::ExactlyOnce);
    // A token that nobody was told of, and nobody is in doubt about.
    let mut stranger = Tale::begin();
    let mut row = stranger.0.tokens[0].clone();
    row.token = "u".to_owned();
    stranger.0.tokens.push(row);
    let again = Call::Create { principal: None, group: "red".to_owned() };
    let doubtful = Tale(stranger.0.clone()).operation(HERE, again, 2, None, Answer::Unknown);
    doubtful.keeps_everything();
    stranger.breaks(Promise::ExactlyOnce);
}

/// Whoever asks again is shown the token as it is by then.
#[test]
fn a_new_secret_that_is_asked_for_again_is_the_one_that_was_made() {
    let tale = |retried| {
        let mut tale = Tale::begin().change(Change::SecretReplaced, 2, 3, 1, 2);
        if let Some(operation) = tale.0.operations.last_mut() {
            operation.answer = Answer::Changed { revision: 2, generation: 2, confirmed: false };
            operation.retried = retried;
        }
        tale.change(Change::Updated(1), 2, 4, 2, 2)
    };
    tale(true).keeps_everything();
    tale(false).breaks_all(&[Promise::ExactlyOnce, Promise::Durable]);
}

#[test]
fn a_token_is_used_no_less_often_than_is_counted() {
    let counted = |uses| {
        let mut tale = look(look(Tale::begin(), 2, 1, active(0, 1, 0)), 3, 1, Answer::Unknown);
        tale.0.tokens[0].uses = uses;
        tale
    };
    counted(2).keeps_everything();
    counted(3).breaks(Promise::ExactlyOnce);
}
