//! The database: a primary with a synchronous standby, and whatever primaries were deposed and still answer reads.

use std::collections::BTreeMap;

use tokenkeep::revocation::{HistoryId, Position};
use tokenkeep::token::Revision;
use uuid::Uuid;

/// Tokens that a schedule is about.
pub(crate) const TOKENS: usize = 3;

/// A token as a node has it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Row {
    pub(crate) exists: bool,
    pub(crate) revoked: bool,
    pub(crate) generation: i32,
    pub(crate) revision: i64,
}

/// A server as a node has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member {
    pub(crate) beat: u64,
    pub(crate) acknowledged: Option<Position>,
}

/// What is done to a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// It takes no place in the log.
    Create,
    Revoke,
    Regenerate,
    Update,
}

#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Which timeline it is on, and which the history belongs to.
    timeline: u64,
    recorded: u64,
    history: u64,
    /// Whose change each revision is, from 1.
    pub(crate) log: Vec<usize>,
    pub(crate) tokens: [Row; TOKENS],
    pub(crate) members: BTreeMap<u64, Member>,
}

/// What a heartbeat comes to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    NoRow,
    /// The history was renewed.
    Renewed(Position),
    Beat(Position),
}

impl Node {
    pub(crate) fn history(&self) -> HistoryId {
        HistoryId(Uuid::from_u128(u128::from(self.history)))
    }

    pub(crate) fn head(&self) -> Position {
        Position { history: self.history(), revision: Revision(i64::try_from(self.log.len()).unwrap()) }
    }

    /// The changes after a revision.
    pub(crate) fn after(&self, revision: Revision) -> Vec<(usize, i64)> {
        let numbered = self.log.iter().zip(1_i64..).map(|(token, revision)| (*token, revision));
        numbered.filter(|(_, at)| *at > revision.0).collect()
    }

    /// Begins a new history if this timeline has none yet, and says so. Really its name is made up; here every timeline has
    /// a number of its own.
    fn renew(&mut self) -> bool {
        let moved = self.recorded != self.timeline;
        if moved {
            (self.recorded, self.history) = (self.timeline, self.timeline);
        }
        moved
    }

    /// Does something to a token, in a history of this timeline; `None` if there is nothing to be done.
    pub(crate) fn mutate(&mut self, token: usize, mutation: Mutation, renews: bool) -> Option<Position> {
        if renews {
            self.renew();
        }
        let row = &mut self.tokens[token];
        match mutation {
            Mutation::Create if !row.exists => {
                *row = Row { exists: true, revoked: false, generation: 1, revision: 0 };
                return Some(Position { revision: Revision::ZERO, ..self.head() });
            }
            Mutation::Revoke if row.exists && !row.revoked => row.revoked = true,
            Mutation::Regenerate if row.exists && !row.revoked => row.generation += 1,
            Mutation::Update if row.exists && !row.revoked => {}
            Mutation::Create | Mutation::Revoke | Mutation::Regenerate | Mutation::Update => return None,
        }
        self.log.push(token);
        row.revision = i64::try_from(self.log.len()).unwrap();
        Some(self.head())
    }

    /// A heartbeat as it is committed.
    pub(crate) fn beat(&mut self, server: u64, acknowledged: Option<Position>) -> Answer {
        let Some(member) = self.members.get_mut(&server) else { return Answer::NoRow };
        member.beat += 1;
        member.acknowledged = acknowledged.or(member.acknowledged);
        if !self.renew() {
            return Answer::Beat(self.head());
        }
        Answer::Renewed(self.head())
    }
}

#[derive(Debug)]
pub(crate) struct Database {
    /// The last is the primary; the others were.
    pub(crate) nodes: Vec<Node>,
}

impl Database {
    pub(crate) fn new() -> Self {
        let (log, tokens, members) = (Vec::new(), [Row::default(); TOKENS], BTreeMap::new());
        Self { nodes: vec![Node { timeline: 1, recorded: 1, history: 1, log, tokens, members }] }
    }

    pub(crate) fn primary(&self) -> usize {
        self.nodes.len() - 1
    }

    /// The standby has everything that was committed; the old primary goes on without knowing.
    pub(crate) fn promote(&mut self) {
        let mut standby = self.nodes[self.primary()].clone();
        standby.timeline += 1;
        self.nodes.push(standby);
    }

    /// Runs a transaction. On a deposed primary its effects are seen by whoever reads there, since the wait for the
    /// standby can be broken off; but its commit is never reported.
    pub(crate) fn commit<T>(&mut self, node: usize, transaction: impl FnOnce(&mut Node) -> T) -> Option<T> {
        let done = transaction(&mut self.nodes[node]);
        (node == self.primary()).then_some(done)
    }
}
