//! What watchers are told: histories in which streams leave out, double, disorder, or end wrongly.

use super::tale::{Tale, event, life, progress, seconds, told};
use crate::check::Promise;
use crate::history::{Change, Content, Renewal};

#[test]
fn streams_that_leave_out_double_or_disorder() {
    let event = |revision| event(revision, Change::Updated(0), "acme");
    life().stream(None, None, vec![progress(0, false), event(2)]).breaks(Promise::Reliable);
    life().stream(None, None, vec![progress(0, false), event(1), event(1)]).breaks(Promise::Unique);
    life().stream(None, None, vec![progress(0, false), progress(1, false)]).breaks(Promise::Bookmarkable);
    life().stream(None, None, vec![event(1)]).breaks(Promise::Bookmarkable);
    life().stream(None, None, vec![progress(2, false), progress(1, false)]).breaks(Promise::Ordered);
    life().stream(None, Some((0, 20)), vec![event(2)]).breaks(Promise::Resumable);
    life().stream(None, Some((0, 20)), vec![progress(2, false)]).breaks(Promise::Resumable);
    life().stream(None, Some((2, 20)), vec![event(2)]).breaks(Promise::Unique);
}

#[test]
fn a_stream_that_tells_something_else_than_the_log() {
    let wrong = event(1, Change::SecretReplaced, "acme");
    life().stream(None, None, vec![progress(0, false), wrong]).breaks(Promise::Ordered);
}

#[test]
fn a_stream_of_one_workspace_that_tells_of_another() {
    let other = event(1, Change::Updated(0), "umbra");
    let mut tale = life();
    tale.0.log[0].workspace = "umbra".to_owned();
    tale.stream(Some("acme"), None, vec![progress(0, false), other]).breaks(Promise::Filtered);
}

#[test]
fn a_cursor_of_another_history_that_is_taken() {
    let mut tale = life().stream(None, Some((1, 20)), vec![event(2, Change::Updated(0), "acme")]);
    tale.keeps_everything();
    tale.0.renewals.push(Renewal { before: seconds(30), after: seconds(40) });
    tale.breaks(Promise::HistorySafe);
}

#[test]
fn a_stream_that_ends_well() {
    let mut tale = life().stream(None, None, told());
    tale.0.streams[0].end = Some("DRAINING".to_owned());
    tale.keeps_everything();
    for end in ["OK", "INTERNAL"] {
        tale.0.streams[0].end = Some(end.to_owned());
        tale.breaks(Promise::EndsWithReason);
    }
}

#[test]
fn a_change_that_a_stream_tells_late_though_nothing_fails() {
    let changed = |calm, invoke, frames| {
        let mut tale =
            Tale::begin().change(Change::Revoked, invoke, invoke + 1, 1, 1).stream(None, None, frames);
        tale.0.calm = calm;
        tale
    };
    let begun = || vec![progress(0, false)];
    changed(true, 62, begun()).breaks(Promise::Prompt);
    changed(false, 62, begun()).keeps_everything();
    changed(true, 58, begun()).keeps_everything();
    changed(true, 68, begun()).keeps_everything();
    let mut told = begun();
    told.extend([event(1, Change::Revoked, "acme")]);
    told[1].at = seconds(64);
    if let Content::Event { generation, .. } = &mut told[1].content {
        *generation = 1;
    }
    changed(true, 62, told.clone()).keeps_everything();
    told[1].at = seconds(65);
    changed(true, 62, told).breaks(Promise::Prompt);
}

#[test]
fn progress_confirmed_by_a_database_that_did_not_know() {
    let stale = vec![progress(3, true), progress(3, true)];
    life().stream(None, None, stale).breaks(Promise::Bookmarkable);
    life()
        .stream(None, None, vec![progress(3, true), event(4, Change::Revoked, "acme"), progress(4, true)])
        .keeps_everything();
}
