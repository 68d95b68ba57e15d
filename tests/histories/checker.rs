//! The checker judged in turn, by histories made by hand: one that keeps every promise, and one that breaks each.

#![expect(
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    dead_code,
    unreachable_pub,
    reason = "a test that fails should say where; the modules are those of the program beside this one"
)]

mod check;
mod history;
mod moment;

use std::time::Duration;

use check::Promise;
use history::{
    Aftermath, Answer, Call, Change, Content, Frame, Freshness, History, LogRow, Node, Operation, Reason,
    Renewal, Stream, TokenRow,
};
use moment::Moment;

const HERE: Node = Node::Server(0);
const THERE: Node = Node::Sidecar(1);

/// A history told in seconds: one token, `t` of the workspace `acme`, created between 0 and 1.
struct Tale(History);

fn seconds(seconds: u64) -> Moment {
    Moment(seconds * 1_000_000_000)
}

impl Tale {
    fn begin() -> Self {
        let history = History { lease: Duration::from_secs(3), ..Default::default() };
        let tale = Self(history).expiring(None);
        tale.table(1, false, 0)
    }

    fn expiring(mut self, expires: Option<Moment>) -> Self {
        let answer = Answer::Created { token: "t".to_owned(), workspace: "acme".to_owned(), expires };
        self.0.operations.clear();
        self.operation(HERE, Call::Create, 0, Some(1), answer)
    }

    /// What the tables say of the token.
    fn table(mut self, generation: i32, revoked: bool, revision: i64) -> Self {
        self.0.tokens = vec![TokenRow { token: "t".to_owned(), generation, revoked, revision }];
        self
    }

    fn operation(
        mut self,
        node: Node,
        call: Call,
        invoke: u64,
        returned: Option<u64>,
        answer: Answer,
    ) -> Self {
        let returned = returned.map_or(Moment::NEVER, seconds);
        self.0.operations.push(Operation {
            client: 0,
            node,
            call,
            invoke: seconds(invoke),
            returned,
            answer,
        });
        self
    }

    fn log(mut self, revision: i64, change: Change, generation: i32) -> Self {
        let (workspace, token) = ("acme".to_owned(), "t".to_owned());
        self.0.log.push(LogRow { revision, change, workspace, token, generation });
        self
    }

    /// An acknowledged change, in the log as well.
    fn change(self, change: Change, invoke: u64, returned: u64, revision: i64, generation: i32) -> Self {
        let call = Call::Change { token: "t".to_owned(), change, fleet: false };
        let answer = Answer::Changed { revision, generation, confirmed: false };
        let tale = self.operation(HERE, call, invoke, Some(returned), answer);
        tale.log(revision, change, generation).table(generation, change == Change::Revoked, revision)
    }

    fn look(self, node: Node, invoke: u64, freshness: Freshness, generation: i32, answer: Answer) -> Self {
        let call = Call::Introspect { token: "t".to_owned(), generation, freshness, batch: false };
        self.operation(node, call, invoke, Some(invoke + 1), answer)
    }

    fn active(self, invoke: u64, freshness: Freshness, revision: i64) -> Self {
        self.look(THERE, invoke, freshness, 1, active(revision, 1, 0))
    }

    fn stream(mut self, workspace: Option<&str>, resumes: Option<(i64, u64)>, frames: Vec<Frame>) -> Self {
        self.0.streams.push(Stream {
            watcher: 0,
            node: HERE,
            workspace: workspace.map(str::to_owned),
            invoke: seconds(50),
            resumes: resumes.map(|(revision, at)| (revision, seconds(at))),
            frames,
            closed: seconds(70),
            end: None,
        });
        self
    }

    fn breaks(&self, promise: Promise) {
        self.breaks_all(&[promise]);
    }

    fn breaks_all(&self, promises: &[Promise]) {
        let broken: Vec<Promise> = check::check(&self.0).iter().map(|violation| violation.promise).collect();
        assert_eq!(broken, promises, "{:#?}", check::check(&self.0));
    }

    fn keeps_everything(&self) {
        let broken = check::check(&self.0);
        assert!(broken.is_empty(), "{broken:#?}");
    }
}

fn active(revision: i64, generation: i32, scopes: u32) -> Answer {
    Answer::Active { revision, generation, scopes: Some(scopes) }
}

fn event(revision: i64, change: Change, workspace: &str) -> Frame {
    let (token, workspace) = ("t".to_owned(), workspace.to_owned());
    let generation = if change == Change::Revoked { 2 } else { 1 };
    Frame { at: seconds(60), revision, content: Content::Event { change, token, workspace, generation } }
}

fn progress(revision: i64, confirmed: bool) -> Frame {
    Frame { at: seconds(60), revision, content: Content::Progress { confirmed } }
}

const REVOKED: Answer = Answer::Inactive(Reason::Revoked);

/// Updated at 1 and 2, regenerated at 3, revoked at 4.
fn life() -> Tale {
    let tale = Tale::begin().change(Change::Updated(1), 2, 3, 1, 1).change(Change::Updated(2), 4, 5, 2, 1);
    tale.change(Change::SecretReplaced, 6, 7, 3, 2).change(Change::Revoked, 8, 9, 4, 2)
}

fn told() -> Vec<Frame> {
    vec![
        progress(0, false),
        event(1, Change::Updated(0), "acme"),
        progress(1, true),
        event(2, Change::Updated(0), "acme"),
    ]
}

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

#[test]
fn a_caller_refused_for_nothing() {
    let refused =
        |reason: &str| Tale::begin().look(HERE, 2, Freshness::Leased, 1, Answer::Refused(reason.to_owned()));
    refused("LEASE_LOST").keeps_everything();
    refused("CREDENTIAL_INVALID").breaks(Promise::Served);
    refused("INTERNAL").breaks(Promise::Served);
}

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

#[test]
fn an_aftermath_without_peace() {
    let aftermath = |took, idle_in_transaction| {
        let converged = vec![(HERE, took)];
        let mut tale = life();
        tale.0.aftermath = Aftermath { converged, idle_in_transaction, ..Default::default() };
        tale
    };
    aftermath(Some(Duration::from_secs(2)), 0).keeps_everything();
    aftermath(Some(Duration::from_secs(4)), 0).breaks(Promise::Converges);
    let mut busy = aftermath(Some(Duration::from_secs(4)), 0);
    busy.0.aftermath.stalled = Duration::from_secs(1);
    busy.keeps_everything();
    aftermath(None, 0).breaks(Promise::Converges);
    aftermath(Some(Duration::from_secs(2)), 1).breaks(Promise::NoneIdle);
    let mut tale = life();
    tale.0.aftermath.misdeeds.push((HERE, "it ended by itself".to_owned()));
    tale.breaks(Promise::Stands);
}

#[test]
fn a_history_is_kept_and_read_again_unchanged() {
    let history = life().stream(None, None, told()).0;
    let kept = serde_json::to_string(&history).unwrap();
    let read: History = serde_json::from_str(&kept).unwrap();
    assert_eq!(format!("{history:?}"), format!("{read:?}"));
}
