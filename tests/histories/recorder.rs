//! What everybody writes into: the operations, the streams, and the tokens that are known.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use crate::chance::Chance;
use crate::history::{Answer, Call, Node, Operation, Stream};
use crate::moment::Moment;

/// A token as the clients know it.
#[derive(Debug, Clone)]
pub struct Known {
    pub id: String,
    /// The secrets it has had, as far as anybody was told, by generation.
    pub secrets: BTreeMap<i32, String>,
    /// The last version of the scopes that was asked for.
    pub version: u32,
    /// The last revision that was acknowledged.
    pub revision: i64,
    /// It expires some day.
    pub expires: bool,
    /// Nobody has tried to revoke it.
    pub alive: bool,
    pub workspace: String,
    /// Its name, which it shares with others.
    pub group: String,
    /// Somebody has tried to suspend it, and nobody since to resume it.
    pub suspended: bool,
    /// Who it acts for, if nobody has handed it over.
    pub principal: Option<String>,
}

/// A principal as the clients know it.
#[derive(Debug, Clone)]
pub struct Principal {
    pub id: String,
    pub workspace: String,
}

#[derive(Default)]
pub struct Recorder {
    /// How many marks were given away.
    marks: AtomicU32,
    /// The last revision that was acknowledged of anything.
    latest: AtomicI64,
    /// Those that nobody has tried to delete.
    principals: Mutex<Vec<Principal>>,
    operations: Mutex<Vec<Operation>>,
    streams: Mutex<Vec<Stream>>,
    tokens: Mutex<Vec<Known>>,
}

impl Recorder {
    /// Writes down one operation that has come back, or has not.
    pub fn record(&self, client: usize, node: Node, call: Call, invoke: Moment, answer: Answer) {
        self.record_attempts(client, node, call, invoke, answer, false);
    }

    /// The same of one that may have been asked for more than once.
    pub fn record_attempts(
        &self,
        client: usize,
        node: Node,
        call: Call,
        invoke: Moment,
        answer: Answer,
        retried: bool,
    ) {
        let returned = if answer == Answer::Unknown { Moment::NEVER } else { Moment::now() };
        if let Answer::Changed { revision, .. } = answer {
            self.latest.fetch_max(revision, Ordering::Relaxed);
        }
        let operation = Operation { client, node, call, invoke, returned, retried, answer };
        self.operations.lock().unwrap().push(operation);
    }

    pub fn record_stream(&self, stream: Stream) {
        self.streams.lock().unwrap().push(stream);
    }

    /// A mark that nothing has, from 1.
    pub fn mark(&self) -> u32 {
        self.marks.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The last revision that was acknowledged of anything.
    pub fn latest(&self) -> i64 {
        self.latest.load(Ordering::Relaxed)
    }

    pub fn add(&self, known: Known) {
        self.tokens.lock().unwrap().push(known);
    }

    pub fn add_principal(&self, principal: Principal) {
        self.principals.lock().unwrap().push(principal);
    }

    /// One of the principals, of a workspace if one is given; mostly one of the last.
    pub fn pick_principal(&self, chance: &mut Chance, workspace: Option<&str>) -> Option<Principal> {
        let principals = self.principals.lock().unwrap();
        let of_it = |one: &&Principal| workspace.is_none_or(|only| only == one.workspace);
        let candidates: Vec<&Principal> = principals.iter().rev().filter(of_it).take(4).collect();
        (!candidates.is_empty()).then(|| (*chance.pick(&candidates)).clone())
    }

    /// Forgets a principal that is to be deleted; its tokens are said to be dead, or to act for another.
    pub fn bequeath(&self, principal: &str, to: Option<&String>) {
        self.principals.lock().unwrap().retain(|one| one.id != principal);
        for known in self.tokens.lock().unwrap().iter_mut() {
            if known.principal.as_deref() == Some(principal) {
                known.alive &= to.is_some();
                known.principal = to.cloned();
            }
        }
    }

    /// One of the tokens that were suspended of late.
    pub fn pick_suspended(&self, chance: &mut Chance) -> Option<Known> {
        let tokens = self.tokens.lock().unwrap();
        let suspended = tokens.iter().rev().filter(|known| known.alive && known.suspended);
        let suspended: Vec<&Known> = suspended.take(4).collect();
        (!suspended.is_empty()).then(|| (*chance.pick(&suspended)).clone())
    }

    /// Says of all tokens of a group that somebody has tried to revoke them.
    pub fn end_group(&self, workspace: &str, group: &str) {
        for known in self.tokens.lock().unwrap().iter_mut() {
            known.alive &= known.workspace != workspace || known.group != group;
        }
    }

    /// One of the tokens, most often one of the last; a live one if that is asked for.
    pub fn pick(&self, chance: &mut Chance, alive: bool) -> Option<Known> {
        let tokens = self.tokens.lock().unwrap();
        let candidates: Vec<&Known> = tokens.iter().rev().filter(|known| known.alive || !alive).collect();
        if candidates.is_empty() {
            return None;
        }
        let span = if chance.percent(70) { candidates.len().min(8) } else { candidates.len() };
        Some(candidates[chance.below(span)].clone())
    }

    pub fn change(&self, id: &str, change: impl FnOnce(&mut Known)) {
        let mut tokens = self.tokens.lock().unwrap();
        if let Some(known) = tokens.iter_mut().find(|known| known.id == id) {
            change(known);
        }
    }

    /// Forgets what was done to a token, for a past in which it was not.
    pub fn forget_changes_of(&self, id: &str) {
        let mut operations = self.operations.lock().unwrap();
        operations.retain(|operation| {
            !matches!(operation.call, Call::Change { .. }) || operation.token() != Some(id)
        });
    }

    pub fn tokens(&self) -> Vec<Known> {
        self.tokens.lock().unwrap().clone()
    }

    /// Takes everything out, in the order in which it was invoked.
    pub fn finish(&self) -> (Vec<Operation>, Vec<Stream>) {
        let mut operations = std::mem::take(&mut *self.operations.lock().unwrap());
        let mut streams = std::mem::take(&mut *self.streams.lock().unwrap());
        operations.sort_by_key(|operation| operation.invoke);
        streams.sort_by_key(|stream| stream.invoke);
        (operations, streams)
    }
}
