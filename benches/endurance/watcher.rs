//! Watchers that hold the stream to its word.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::watch_revocations_response::Frame;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::ledger::Ledger;
use crate::measure::page::Outcome;
use crate::spread::fleet::{Fleet, Tokens};

/// How long the one stays that comes and goes.
const STAY: Duration = Duration::from_secs(2);

/// How long nothing at all may come.
const SILENCE: Duration = Duration::from_secs(30);

/// What a watcher saw.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) name: &'static str,
    /// The token of each revision, from the first revocation on.
    pub(crate) tokens: Vec<String>,
    pub(crate) missed: usize,
    pub(crate) doubled: usize,
    pub(crate) out_of_order: usize,
    pub(crate) resumed: usize,
}

/// One at each server, and one that leaves every two seconds and resumes at the other. They have begun to watch when this
/// returns: whoever has no cursor yet is told of nothing before.
pub(crate) async fn start(fleet: &Fleet, ledger: &Arc<Ledger>) -> Outcome<Vec<JoinHandle<Outcome<Found>>>> {
    let (began, mut beginnings) = mpsc::channel(1);
    let mut watchers = Vec::new();
    for (number, server) in fleet.servers.iter().enumerate() {
        let name = if number == 0 { "at the first server" } else { "at the second server" };
        let clock = (number == 0).then(|| Arc::clone(ledger));
        let watcher = Watcher { name, servers: vec![server.clone()], stay: None, began: began.clone() };
        watchers.push(tokio::spawn(watcher.watch(clock, expected(ledger))));
    }
    let servers = fleet.servers.clone();
    let comer = Watcher { name: "that comes and goes", servers, stay: Some(STAY), began };
    watchers.push(tokio::spawn(comer.watch(None, expected(ledger))));
    for _ in &watchers {
        beginnings.recv().await.ok_or("a watcher has ended")?;
    }
    Ok(watchers)
}

/// Before which revision, and how many.
fn expected(ledger: &Ledger) -> (usize, usize) {
    (ledger.before(), ledger.revisions())
}

/// What they saw, once they have seen the last event.
pub(crate) async fn finish(watchers: Vec<JoinHandle<Outcome<Found>>>) -> Outcome<Vec<Found>> {
    let mut found = Vec::new();
    for watcher in watchers {
        found.push(watcher.await??);
    }
    Ok(found)
}

struct Watcher {
    name: &'static str,
    servers: Vec<Tokens>,
    /// How long it stays each time; to the end if `None`.
    stay: Option<Duration>,
    began: mpsc::Sender<()>,
}

impl Watcher {
    async fn watch(mut self, ledger: Option<Arc<Ledger>>, (before, last): (usize, usize)) -> Outcome<Found> {
        let mut found = Found { name: self.name, ..Found::default() };
        let mut cursor = String::new();
        while found.tokens.len() < last {
            self.servers.rotate_left(1);
            let server = self.servers.first_mut().ok_or("no server")?;
            let request = v1::WatchRevocationsRequest { cursor: cursor.clone(), ..Default::default() };
            let mut frames = server.watch_revocations(request).await?.into_inner();
            let leave = self.stay.map(|stay| Instant::now() + stay);
            while found.tokens.len() < last && leave.is_none_or(|leave| Instant::now() < leave) {
                let frame = tokio::time::timeout(SILENCE, frames.message()).await??;
                let frame = frame.ok_or("a stream has ended well, which none does")?;
                if std::mem::replace(&mut cursor, frame.cursor).is_empty() {
                    self.began.send(()).await?;
                }
                if let Some(Frame::Event(event)) = frame.frame {
                    let revision = usize::try_from(frame.revision)?;
                    found.take(revision.checked_sub(before).ok_or("an old event")?, event.token_id);
                    if let Some(ledger) = &ledger {
                        ledger.heard(revision);
                    }
                }
            }
            found.resumed += 1;
        }
        found.resumed -= 1;
        Ok(found)
    }
}

impl Found {
    fn take(&mut self, number: usize, token: String) {
        let next = self.tokens.len() + 1;
        if number == next {
            self.tokens.push(token);
        } else if number > next {
            self.missed += number - next;
            self.tokens.resize(number - 1, String::new());
            self.tokens.push(token);
        } else if self.tokens.get(number - 1) == Some(&token) {
            self.doubled += 1;
        } else {
            self.out_of_order += 1;
        }
    }
}
