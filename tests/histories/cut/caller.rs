//! A caller that sends mutations and is cut off, in every way in which a caller can be.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tonic::Status;

use super::request::{Answered, Asked};
use super::tokens::Tokens;
use super::whole::{Kind, Mutation, Told};
use crate::calls;
use crate::chance::Chance;
use crate::history::Answer;
use crate::proxy::{Flow, Link, Target};

/// How a caller is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cut {
    /// Not at all.
    Spared,
    /// It drops the call, and goes on with the connection.
    Dropped,
    /// It gives the call so little time.
    Deadline,
    /// The connection is reset.
    Reset,
    /// It drops the call and the channel.
    Killed,
    /// Nothing comes back, then the connection is reset.
    AnswerLost,
    /// The request goes byte by byte, and the connection is reset in the middle of it.
    Trickled,
}

/// Bytes a second at which a request takes a fifth of a second.
const TRICKLE: u32 = 4_000;

/// The latest that a caller is cut off, in microseconds. Most are cut off much sooner.
const LATEST: usize = 120_000;

impl Cut {
    fn draw(chance: &mut Chance) -> Self {
        match chance.below(100) {
            0..25 => Self::Spared,
            25..45 => Self::Dropped,
            45..60 => Self::Deadline,
            60..72 => Self::Reset,
            72..82 => Self::Killed,
            82..92 => Self::AnswerLost,
            _ => Self::Trickled,
        }
    }

    /// When, counted from the moment at which the caller asked.
    fn after(self, chance: &mut Chance) -> Duration {
        let latest = if self == Self::Trickled { 2 * LATEST } else { LATEST };
        let within = 1 + chance.below(latest);
        Duration::from_micros(u64::try_from(chance.below(within)).unwrap())
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Spared => "spared",
            Self::Dropped => "call dropped",
            Self::Deadline => "deadline",
            Self::Reset => "reset",
            Self::Killed => "channel killed",
            Self::AnswerLost => "answer lost",
            Self::Trickled => "request in pieces",
        })
    }
}

/// What a caller did.
pub struct Sent {
    pub mutation: Mutation,
    pub cut: Cut,
}

impl Sent {
    /// Whether it was cut off before there was an answer.
    pub fn cut_off(&self) -> bool {
        self.cut != Cut::Spared && self.mutation.told == Told::Nothing
    }
}

/// One caller, with a link of its own to one server.
pub struct Caller {
    chance: Chance,
    link: Link,
    client: calls::Tokens,
    operator: String,
    tokens: Arc<Tokens>,
}

impl Caller {
    pub async fn new(chance: Chance, server: SocketAddr, operator: &str, tokens: &Arc<Tokens>) -> Self {
        let link = Link::to(Target::Tcp(server)).await;
        let client = calls::client(link.address, Some(operator));
        Self { chance, link, client, operator: operator.to_owned(), tokens: Arc::clone(tokens) }
    }

    /// Takes numbers until there are no more, and sends a mutation for each.
    pub async fn work(mut self, numbers: Arc<AtomicUsize>, end: usize) -> Vec<Sent> {
        let mut sent = Vec::new();
        loop {
            let number = numbers.fetch_add(1, Ordering::Relaxed);
            if number >= end {
                return sent;
            }
            sent.push(self.send(number).await);
        }
    }

    async fn send(&mut self, number: usize) -> Sent {
        let (kind, token) = self.draw();
        let cut = Cut::draw(&mut self.chance);
        let after = cut.after(&mut self.chance);
        let asked = Asked { number, kind, token };
        let answer = self.ask(&asked, cut, after).await;
        let told = match &answer {
            Ok(Answered { revision, generation, .. }) => {
                Told::Made { revision: *revision, generation: *generation }
            }
            Err(status) => told(status),
        };
        let token = asked.token.clone().or_else(|| answer.as_ref().ok().map(|made| made.token.clone()));
        if let Ok(made) = answer {
            self.tokens.note(kind, made);
        }
        Sent { mutation: Mutation { number, kind, token, told }, cut }
    }

    /// What to do, and to which token.
    fn draw(&mut self) -> (Kind, Option<String>) {
        let kind = match self.chance.below(100) {
            0..25 => return (Kind::Create, None),
            25..60 => Kind::Update,
            60..88 => Kind::Regenerate,
            _ => Kind::Revoke,
        };
        match self.tokens.pick(&mut self.chance) {
            Some(token) => (kind, Some(token)),
            None => (Kind::Create, None),
        }
    }

    async fn ask(&mut self, asked: &Asked, cut: Cut, after: Duration) -> Result<Answered, Status> {
        let within = (cut == Cut::Deadline).then_some(after);
        let call = Box::pin(asked.of(self.client.clone(), within));
        match cut {
            Cut::Spared | Cut::Deadline => return call.await,
            Cut::Dropped => return given_up(after, call).await,
            Cut::Killed => {
                let answer = given_up(after, call).await;
                self.reconnect();
                return answer;
            }
            Cut::Reset => {}
            Cut::AnswerLost => self.link.set(|weather| weather.down.flow = Flow::Swallowed),
            Cut::Trickled => self.link.set(|weather| weather.up.rate = Some(TRICKLE)),
        }
        self.until_reset(after, call).await
    }

    /// Resets the connection after a while, unless the answer is there by then. It may have come all the same.
    async fn until_reset(
        &mut self,
        after: Duration,
        mut call: impl Future<Output = Result<Answered, Status>> + Unpin,
    ) -> Result<Answered, Status> {
        let in_time = tokio::time::timeout(after, &mut call).await;
        if in_time.is_err() {
            self.link.cut();
        }
        self.link.clear();
        if let Ok(answer) = in_time {
            return answer;
        }
        let answer = call.await;
        self.reconnect();
        answer
    }

    fn reconnect(&mut self) {
        self.client = calls::client(self.link.address, Some(&self.operator));
    }
}

/// Drops the call after a while, unless the answer is there by then.
async fn given_up(
    after: Duration,
    call: impl Future<Output = Result<Answered, Status>>,
) -> Result<Answered, Status> {
    let answer = tokio::time::timeout(after, call).await;
    answer.unwrap_or_else(|_| Err(Status::cancelled("given up")))
}

/// Only a server can say that nothing was changed.
fn told(status: &Status) -> Told {
    if let Answer::Refused(reason) = calls::failure(status) { Told::Refused(reason) } else { Told::Nothing }
}
