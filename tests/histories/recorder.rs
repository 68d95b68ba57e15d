//! What everybody writes into: the operations, the streams, and the tokens that are known.

use std::collections::BTreeMap;
use std::sync::Mutex;

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
}

#[derive(Default)]
pub struct Recorder {
    operations: Mutex<Vec<Operation>>,
    streams: Mutex<Vec<Stream>>,
    tokens: Mutex<Vec<Known>>,
}

impl Recorder {
    /// Writes down one operation that has come back, or has not.
    pub fn record(&self, client: usize, node: Node, call: Call, invoke: Moment, answer: Answer) {
        let returned = if answer == Answer::Unknown { Moment::NEVER } else { Moment::now() };
        let operation = Operation { client, node, call, invoke, returned, answer };
        self.operations.lock().unwrap().push(operation);
    }

    pub fn record_stream(&self, stream: Stream) {
        self.streams.lock().unwrap().push(stream);
    }

    pub fn add(&self, id: String, secret: String, expires: bool) {
        let known = Known {
            id,
            secrets: BTreeMap::from([(1, secret)]),
            version: 0,
            revision: 0,
            expires,
            alive: true,
        };
        self.tokens.lock().unwrap().push(known);
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
