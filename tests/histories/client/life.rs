//! What a client does to the lives of tokens: secrets that overlap, suspensions, groups that end at once; and how it asks
//! again under one request id when it is left in doubt.

use std::time::Duration;

use uuid::Uuid;

use super::{Client, GROUPS, WORKSPACES};
use crate::calls::{self, Tokens, Wanted};
use crate::chance::Chance;
use crate::history::{Answer, Call, Change, Freshness, Node};
use crate::moment::Moment;
use crate::recorder::Known;

/// How often a request is sent at most.
const ATTEMPTS: usize = 4;

/// How a mutation is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct How {
    /// For how long the old secret is to work on.
    pub overlap: Option<Duration>,
    /// Under a request id, and again if there is no answer.
    pub safely: bool,
    /// Once more although it was answered.
    pub again: bool,
}

impl How {
    /// As chance has it.
    pub fn safely(chance: &mut Chance) -> Self {
        let safely = chance.percent(60);
        Self { overlap: None, safely, again: safely && chance.percent(30) }
    }
}

/// What can be asked for more than once under one request id.
#[derive(Clone, Copy)]
enum Request<'r> {
    Create(Wanted<'r>),
    Regenerate { id: &'r str, overlap: Option<Duration> },
    Revoke { id: &'r str, fleet: bool },
    RevokeGroup { group: (&'r str, &'r str), mark: u32, how: (bool, bool) },
}

impl Request<'_> {
    /// Gives the secret too, if there is one.
    async fn send(self, client: &mut Tokens, request_id: &str) -> (Answer, Option<String>) {
        match self {
            Self::Create(wanted) => calls::create(client, wanted, request_id).await,
            Self::Regenerate { id, overlap } => calls::regenerate(client, id, overlap, request_id).await,
            Self::Revoke { id, fleet } => (calls::revoke(client, id, fleet, request_id).await, None),
            Self::RevokeGroup { group, mark, how } => {
                (calls::revoke_group(client, group, mark, how, request_id).await, None)
            }
        }
    }
}

/// What came of a request in the end.
struct Asked {
    /// Who answered last.
    node: Node,
    /// The id of the request.
    id: String,
    answer: Answer,
    secret: Option<String>,
    /// Whether it was asked more than once.
    retried: bool,
}

impl Client {
    /// Asks a server, and the next one if there is no answer. Whoever was in doubt once and is refused then stays in doubt.
    async fn ask(&mut self, mut node: Node, how: How, request: Request<'_>) -> Asked {
        let id = if how.safely { Uuid::new_v4().to_string() } else { String::new() };
        let (mut attempts, mut doubtful) = (0, false);
        loop {
            let (answer, secret) = request.send(self.at(node), &id).await;
            attempts += 1;
            doubtful |= answer == Answer::Unknown;
            if !how.safely || answer != Answer::Unknown || attempts == ATTEMPTS {
                let refused = matches!(answer, Answer::Refused(_));
                let answer = if doubtful && refused { Answer::Unknown } else { answer };
                return Asked { node, id, answer, secret, retried: attempts > 1 };
            }
            self.note(node, &answer);
            node = self.next(node);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    const fn next(&self, node: Node) -> Node {
        match node {
            Node::Server(number) => Node::Server((number + 1) % self.servers.len()),
            Node::Sidecar(_) => node,
        }
    }

    /// Sends a request once more that was answered with a secret.
    async fn repeat(&mut self, asked: &Asked, request: Request<'_>, token: &str, generation: i32) -> Answer {
        let (node, invoke) = (self.next(asked.node), Moment::now());
        let (answer, secret) = request.send(self.at(node), &asked.id).await;
        let same = secret == asked.secret;
        let answer = match answer {
            Answer::Created { token: made, .. } => Answer::Same(same && made == token),
            Answer::Changed { generation: made, .. } => Answer::Same(same && made == generation),
            other => other,
        };
        self.record(node, Call::Repeat { token: token.to_owned(), generation }, invoke, answer)
    }

    /// Gives the id of the new token.
    pub async fn create(&mut self, node: Node, wanted: Wanted<'_>, how: How) -> Option<String> {
        let (invoke, request) = (Moment::now(), Request::Create(wanted));
        let asked = self.ask(node, how, request).await;
        let came = (asked.answer.clone(), asked.secret.clone());
        let token =
            self.created(asked.node, (wanted.principal, wanted.group), invoke, came, asked.retried)?;
        if how.again {
            self.repeat(&asked, request, &token, 1).await;
        }
        Some(token)
    }

    pub async fn regenerate(&mut self, node: Node, id: &str, how: How) -> Answer {
        let (invoke, overlap) = (Moment::now(), how.overlap);
        let request = Request::Regenerate { id, overlap };
        let asked = self.ask(node, how, request).await;
        let change = if overlap.is_some() { Change::Overlapped } else { Change::SecretReplaced };
        let answer =
            self.changed(asked.node, (id, change, false), invoke, asked.answer.clone(), asked.retried);
        if let (Answer::Changed { generation, .. }, Some(secret)) = (&answer, &asked.secret) {
            self.recorder.change(id, |known| drop(known.secrets.insert(*generation, secret.clone())));
            if how.again {
                self.repeat(&asked, request, id, *generation).await;
            }
        }
        answer
    }

    pub async fn revoke(&mut self, node: Node, id: &str, fleet: bool, how: How) -> Answer {
        self.recorder.change(id, |known| known.alive = false);
        let invoke = Moment::now();
        let asked = self.ask(node, how, Request::Revoke { id, fleet }).await;
        self.changed(asked.node, (id, Change::Revoked, fleet), invoke, asked.answer, asked.retried)
    }

    pub async fn end_overlap(&mut self, node: Node, id: &str, fleet: bool) -> Answer {
        let invoke = Moment::now();
        let answer = calls::end_overlap(self.at(node), id, fleet).await;
        self.changed(node, (id, Change::OverlapEnded, fleet), invoke, answer, false)
    }

    pub async fn suspend(&mut self, node: Node, id: &str, fleet: bool) -> Answer {
        self.recorder.change(id, |known| known.suspended = true);
        let invoke = Moment::now();
        let answer = calls::suspend(self.at(node), id, fleet).await;
        self.changed(node, (id, Change::Suspended, fleet), invoke, answer, false)
    }

    pub async fn resume(&mut self, node: Node, id: &str) -> Answer {
        self.recorder.change(id, |known| known.suspended = false);
        let invoke = Moment::now();
        let answer = calls::resume(self.at(node), id).await;
        self.changed(node, (id, Change::Resumed, false), invoke, answer, false)
    }

    /// Revokes all tokens of a group, or only counts them.
    pub async fn revoke_group(
        &mut self,
        node: Node,
        (workspace, group): (&str, &str),
        (dry, fleet): (bool, bool),
        how: How,
    ) -> Answer {
        if !dry {
            self.recorder.end_group(workspace, group);
        }
        let (mark, invoke) = (self.recorder.mark(), Moment::now());
        let request = Request::RevokeGroup { group: (workspace, group), mark, how: (dry, fleet) };
        let asked = self.ask(node, how, request).await;
        let (workspace, group) = (workspace.to_owned(), group.to_owned());
        let call = Call::RevokeGroup { workspace, group, mark, dry, fleet };
        self.record_attempts(asked.node, call, invoke, asked.answer, asked.retried)
    }

    /// One change of a token's life, as chance has it.
    pub(super) async fn change_life(&mut self, node: Node, chance: &mut Chance, alive: &Known) {
        match chance.below(10) {
            0..2 => drop(self.regenerate(node, &alive.id, How::safely(chance)).await),
            2..5 => self.rotate(node, chance, alive).await,
            5..7 => drop(self.suspend(node, &alive.id, chance.percent(30)).await),
            7..9 => {
                if let Some(suspended) = self.recorder.pick_suspended(chance) {
                    self.resume(node, &suspended.id).await;
                }
            }
            _ => {
                let group = (*chance.pick(&WORKSPACES), *chance.pick(&GROUPS));
                let how = (chance.percent(50), chance.percent(30));
                self.revoke_group(node, group, how, How::safely(chance)).await;
            }
        }
    }

    /// Gives a token another secret beside the old one, looks at both, and sometimes ends the old one before its time.
    async fn rotate(&mut self, node: Node, chance: &mut Chance, alive: &Known) {
        let overlap = Some(chance.milliseconds(300, 2_500));
        self.regenerate(node, &alive.id, How { overlap, ..How::safely(chance) }).await;
        let elsewhere = self.any_node(chance);
        let known = self.recorder.tokens().into_iter().find(|known| known.id == alive.id);
        let Some(known) = known else { return };
        for generation in known.secrets.keys().rev().take(2) {
            for node in [node, elsewhere] {
                self.introspect(node, &known, *generation, Freshness::Leased).await;
            }
        }
        if chance.percent(40) {
            self.end_overlap(node, &alive.id, chance.percent(30)).await;
            for generation in known.secrets.keys().rev().take(2) {
                self.introspect(elsewhere, &known, *generation, Freshness::Leased).await;
            }
        }
    }
}
