//! What is in the log and the tables: histories in which changes are lost, doubled, or leave a gap.

use super::tale::{HERE, Tale};
use crate::check::Promise;
use crate::history::{Answer, Call, Change};

#[test]
fn an_acknowledged_change_that_is_lost_or_doubled() {
    let mut tale = Tale::begin().change(Change::Updated(1), 2, 4, 1, 1);
    tale.0.log.clear();
    tale.table(1, false, 0).breaks(Promise::Durable);
    let tale = Tale::begin().change(Change::Updated(1), 2, 4, 1, 1);
    tale.log(2, Change::Updated(0), 1).table(1, false, 2).breaks(Promise::ExactlyOnce);
    let call = Call::Change { token: "t".to_owned(), change: Change::Updated(1), fleet: false };
    let refused = Answer::Refused("DATABASE_UNAVAILABLE".to_owned());
    let tale = Tale::begin().operation(HERE, call, 2, Some(3), refused);
    tale.log(1, Change::Updated(0), 1).table(1, false, 1).breaks(Promise::ExactlyOnce);
    let tale = Tale::begin().change(Change::Updated(1), 2, 4, 1, 1);
    tale.table(1, false, 0).breaks(Promise::ExactlyOnce);
    let mut tale = Tale::begin();
    tale.0.tokens.clear();
    tale.breaks(Promise::Durable);
}

#[test]
fn a_hole_in_the_log() {
    let tale = Tale::begin().change(Change::Updated(1), 2, 3, 1, 1).change(Change::Updated(2), 4, 5, 3, 1);
    tale.breaks(Promise::Contiguous);
}
