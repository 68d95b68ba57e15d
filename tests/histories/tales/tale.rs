//! How a history is made by hand: one token's life, told in seconds.

use std::time::Duration;

use crate::check::{self, Promise};
use crate::history::{
    Answer, Call, Change, Content, Frame, Freshness, History, LogRow, Node, Operation, Reason, Scopes,
    Stream, TokenRow,
};
use crate::moment::Moment;

pub const HERE: Node = Node::Server(0);
pub const THERE: Node = Node::Sidecar(1);

/// A history told in seconds: one token, `t` of the workspace `acme`, created between 0 and 1.
pub struct Tale(pub History);

pub fn seconds(seconds: u64) -> Moment {
    Moment(seconds * 1_000_000_000)
}

impl Tale {
    pub fn begin() -> Self {
        let history = History { lease: Duration::from_secs(3), ..Default::default() };
        let tale = Self(history).expiring(None);
        tale.table(1, false, 0)
    }

    pub fn expiring(mut self, expires: Option<Moment>) -> Self {
        let answer = Answer::Created { token: "t".to_owned(), workspace: "acme".to_owned(), expires };
        self.0.operations.clear();
        self.operation(HERE, Call::Create { principal: None, group: "red".to_owned() }, 0, Some(1), answer)
    }

    /// What the tables say of the token.
    pub fn table(mut self, generation: i32, revoked: bool, revision: i64) -> Self {
        let (token, principal) = ("t".to_owned(), self.0.tokens.pop().and_then(|row| row.principal));
        let (epoch, held_back, told) = (0, false, revision);
        let (name, previous, uses) = ("red".to_owned(), None, 0);
        let row = TokenRow {
            token,
            name,
            generation,
            previous,
            uses,
            revoked,
            revision,
            principal,
            epoch,
            held_back,
            told,
        };
        self.0.tokens = vec![row];
        self
    }

    pub fn operation(
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
            retried: false,
            answer,
        });
        self
    }

    pub fn log(mut self, revision: i64, change: Change, generation: i32) -> Self {
        let (workspace, subject) = ("acme".to_owned(), "t".to_owned());
        self.0.log.push(LogRow {
            revision,
            change,
            workspace,
            subject,
            generation,
            mark: None,
            overlap_end: None,
            ended: Vec::new(),
            listed: None,
        });
        self
    }

    /// An acknowledged change, in the log as well.
    pub fn change(self, change: Change, invoke: u64, returned: u64, revision: i64, generation: i32) -> Self {
        let call = Call::Change { token: "t".to_owned(), change, fleet: false };
        let answer = Answer::Changed { revision, generation, confirmed: false };
        let tale = self.operation(HERE, call, invoke, Some(returned), answer);
        tale.log(revision, change, generation).table(generation, change == Change::Revoked, revision)
    }

    pub fn look(
        self,
        node: Node,
        invoke: u64,
        freshness: Freshness,
        generation: i32,
        answer: Answer,
    ) -> Self {
        let call = Call::Introspect { token: "t".to_owned(), generation, freshness, batch: false };
        self.operation(node, call, invoke, Some(invoke + 1), answer)
    }

    pub fn active(self, invoke: u64, freshness: Freshness, revision: i64) -> Self {
        self.look(THERE, invoke, freshness, 1, active(revision, 1, 0))
    }

    pub fn stream(
        mut self,
        workspace: Option<&str>,
        resumes: Option<(i64, u64)>,
        frames: Vec<Frame>,
    ) -> Self {
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

    pub fn breaks(&self, promise: Promise) {
        self.breaks_all(&[promise]);
    }

    pub fn breaks_all(&self, promises: &[Promise]) {
        let broken: Vec<Promise> = check::check(&self.0).iter().map(|violation| violation.promise).collect();
        assert_eq!(broken, promises, "{:#?}", check::check(&self.0));
    }

    pub fn keeps_everything(&self) {
        let broken = check::check(&self.0);
        assert!(broken.is_empty(), "{broken:#?}");
    }
}

pub fn active(revision: i64, generation: i32, scopes: u32) -> Answer {
    let scopes = Some(Scopes { version: Some(scopes), held: None });
    Answer::Active { revision, generation, scopes }
}

pub fn event(revision: i64, change: Change, workspace: &str) -> Frame {
    let (subject, workspace) = ("t".to_owned(), workspace.to_owned());
    let generation = if change == Change::Revoked { 2 } else { 1 };
    Frame { at: seconds(60), revision, content: Content::Event { change, subject, workspace, generation } }
}

pub fn progress(revision: i64, confirmed: bool) -> Frame {
    Frame { at: seconds(60), revision, content: Content::Progress { confirmed } }
}

pub const REVOKED: Answer = Answer::Inactive(Reason::Revoked);

/// Updated at 1 and 2, regenerated at 3, revoked at 4.
pub fn life() -> Tale {
    let tale = Tale::begin().change(Change::Updated(1), 2, 3, 1, 1).change(Change::Updated(2), 4, 5, 2, 1);
    tale.change(Change::SecretReplaced, 6, 7, 3, 2).change(Change::Revoked, 8, 9, 4, 2)
}

pub fn told() -> Vec<Frame> {
    vec![
        progress(0, false),
        event(1, Change::Updated(0), "acme"),
        progress(1, true),
        event(2, Change::Updated(0), "acme"),
    ]
}
