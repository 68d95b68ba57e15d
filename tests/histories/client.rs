//! A client at work: it does what chance tells it until it is told to stop.

mod life;
mod principals;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use life::How;
pub use principals::SALTED;

use crate::calls::{self, Products, Tokens, Wanted};
use crate::chance::Chance;
use crate::history::{Answer, Call, Change, Freshness, Node};
use crate::moment::Moment;
use crate::recorder::{Known, Recorder};
use crate::world::Reach;

/// The last is the one whose tokens are invalidated now and then.
pub const WORKSPACES: [&str; 3] = ["acme", "umbra", "salted"];

/// The names that tokens share.
pub const GROUPS: [&str; 6] = ["red", "amber", "green", "cyan", "blue", "mauve"];

/// One client, with a connection to every node. Whoever tells a scenario uses it as well.
pub struct Client {
    number: usize,
    reach: Arc<Reach>,
    recorder: Arc<Recorder>,
    servers: Vec<Tokens>,
    products: Vec<Products>,
    sidecars: Vec<Tokens>,
}

impl Client {
    pub fn new(number: usize, reach: &Arc<Reach>, recorder: &Arc<Recorder>) -> Self {
        Self {
            number,
            reach: Arc::clone(reach),
            recorder: Arc::clone(recorder),
            servers: (0..reach.servers.len()).map(|server| reach.client(Node::Server(server))).collect(),
            products: (0..reach.servers.len()).map(|server| reach.products(server)).collect(),
            sidecars: (0..reach.sidecars.len()).map(|sidecar| reach.client(Node::Sidecar(sidecar))).collect(),
        }
    }

    fn at(&mut self, node: Node) -> &mut Tokens {
        match node {
            Node::Server(number) => &mut self.servers[number],
            Node::Sidecar(number) => &mut self.sidecars[number],
        }
    }

    /// After silence, no connection is trusted any more.
    fn note(&mut self, node: Node, answer: &Answer) {
        if *answer == Answer::Unknown {
            *self.at(node) = self.reach.client(node);
            if let Node::Server(number) = node {
                self.products[number] = self.reach.products(number);
            }
        }
    }

    fn record(&mut self, node: Node, call: Call, invoke: Moment, answer: Answer) -> Answer {
        self.record_attempts(node, call, invoke, answer, false)
    }

    fn record_attempts(
        &mut self,
        node: Node,
        call: Call,
        invoke: Moment,
        answer: Answer,
        retried: bool,
    ) -> Answer {
        self.note(node, &answer);
        self.recorder.record_attempts(self.number, node, call, invoke, answer.clone(), retried);
        answer
    }

    /// Writes down what came of the creation of a token; gives its id if there is one.
    fn created(
        &mut self,
        node: Node,
        (principal, group): (Option<&str>, &str),
        invoke: Moment,
        (answer, secret): (Answer, Option<String>),
        retried: bool,
    ) -> Option<String> {
        let (principal, group) = (principal.map(str::to_owned), group.to_owned());
        let call = Call::Create { principal: principal.clone(), group: group.clone() };
        let answer = self.record_attempts(node, call, invoke, answer, retried);
        let (Answer::Created { token, workspace, expires }, Some(secret)) = (answer, secret) else {
            return None;
        };
        self.recorder.add(Known {
            id: token.clone(),
            secrets: BTreeMap::from([(1, secret)]),
            version: 0,
            revision: 0,
            expires: expires.is_some(),
            alive: true,
            workspace,
            group,
            suspended: false,
            principal,
        });
        Some(token)
    }

    pub async fn introspect(
        &mut self,
        node: Node,
        known: &Known,
        generation: i32,
        freshness: Freshness,
    ) -> Answer {
        let Some(secret) = known.secrets.get(&generation) else { return Answer::Unknown };
        let call = Call::Introspect { token: known.id.clone(), generation, freshness, batch: false };
        let invoke = Moment::now();
        let answer = calls::introspect(self.at(node), secret, freshness).await;
        self.record(node, call, invoke, answer)
    }

    /// Presents secrets of several tokens at once, each by its generation.
    pub async fn introspect_batch(
        &mut self,
        node: Node,
        presented: &[(&Known, i32)],
        freshness: Freshness,
    ) -> Vec<Answer> {
        let secrets: Vec<String> =
            presented.iter().map(|(known, generation)| known.secrets[generation].clone()).collect();
        let invoke = Moment::now();
        let answers = calls::introspect_batch(self.at(node), &secrets, freshness).await;
        for ((known, generation), answer) in presented.iter().zip(&answers) {
            let call =
                Call::Introspect { token: known.id.clone(), generation: *generation, freshness, batch: true };
            self.record(node, call, invoke, answer.clone());
        }
        answers
    }

    pub async fn update(&mut self, node: Node, id: &str) -> Answer {
        let mut version = 0;
        self.recorder.change(id, |known| {
            known.version += 1;
            version = known.version;
        });
        let invoke = Moment::now();
        let answer = calls::update(self.at(node), id, version).await;
        self.changed(node, (id, Change::Updated(version), false), invoke, answer, false)
    }

    fn changed(
        &mut self,
        node: Node,
        (id, change, fleet): (&str, Change, bool),
        invoke: Moment,
        answer: Answer,
        retried: bool,
    ) -> Answer {
        let call = Call::Change { token: id.to_owned(), change, fleet };
        let answer = self.record_attempts(node, call, invoke, answer, retried);
        if let Answer::Changed { revision, .. } = answer {
            self.recorder.change(id, |known| known.revision = known.revision.max(revision));
        }
        answer
    }

    pub async fn wait_for(&mut self, node: Node, revision: i64) -> Answer {
        let invoke = Moment::now();
        let answer = calls::wait_for(self.at(node), revision).await;
        self.record(node, Call::Await { revision }, invoke, answer)
    }

    /// Works until the time is up.
    pub async fn work(mut self, mut chance: Chance, until: Moment) {
        while Moment::now() < until {
            self.step(&mut chance).await;
            tokio::time::sleep(chance.milliseconds(0, 12)).await;
        }
    }

    async fn step(&mut self, chance: &mut Chance) {
        let number = chance.below(self.servers.len());
        let server = Node::Server(number);
        let picked = (self.recorder.pick(chance, false), self.recorder.pick(chance, true));
        let (Some(known), Some(alive)) = picked else {
            let (workspace, group) = (WORKSPACES[0], GROUPS[0]);
            let wanted = Wanted { workspace, group, principal: None, lifetime: None };
            self.create(server, wanted, How::default()).await;
            return;
        };
        match chance.below(100) {
            0..70 => self.look(chance, known).await,
            70..76 => self.create_some(server, chance).await,
            76..82 => self.change_products(server, chance).await,
            82..92 => self.change_life(server, chance, &alive).await,
            92..94 => drop(self.update(server, &alive.id).await),
            94..98 => drop(self.revoke(server, &alive.id, chance.percent(30), How::safely(chance)).await),
            _ => drop(self.wait_for(server, known.revision.max(1)).await),
        }
    }

    async fn create_some(&mut self, server: Node, chance: &mut Chance) {
        let lifetime = chance.percent(25).then(|| chance.milliseconds(1_000, 3_000));
        let (workspace, group) = (*chance.pick(&WORKSPACES), *chance.pick(&GROUPS));
        let principal = self.recorder.pick_principal(chance, Some(workspace));
        let principal = principal.filter(|_| chance.percent(70)).map(|principal| principal.id);
        let wanted = Wanted { workspace, group, principal: principal.as_deref(), lifetime };
        self.create(server, wanted, How::safely(chance)).await;
    }

    fn any_node(&self, chance: &mut Chance) -> Node {
        if !self.sidecars.is_empty() && chance.percent(60) {
            Node::Sidecar(chance.below(self.sidecars.len()))
        } else {
            Node::Server(chance.below(self.servers.len()))
        }
    }

    async fn look(&mut self, chance: &mut Chance, known: Known) {
        let node = self.any_node(chance);
        let freshness = match chance.below(10) {
            0 => Freshness::Strong,
            1 => Freshness::AtLeast(known.revision),
            2 => Freshness::AtLeast(self.recorder.latest()),
            _ => Freshness::Leased,
        };
        if chance.percent(10) {
            let others: Vec<Known> = (0..5).filter_map(|_| self.recorder.pick(chance, false)).collect();
            let newest =
                |known: &Known| known.secrets.last_key_value().map_or(1, |(generation, _)| *generation);
            let others: Vec<(&Known, i32)> = others.iter().map(|known| (known, newest(known))).collect();
            self.introspect_batch(node, &others, Freshness::Leased).await;
            return;
        }
        let generations: Vec<i32> = known.secrets.keys().copied().collect();
        let newest = *generations.last().unwrap_or(&1);
        let generation = if chance.percent(70) { newest } else { *chance.pick(&generations) };
        self.introspect(node, &known, generation, freshness).await;
    }
}
