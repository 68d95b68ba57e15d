//! A session with one server: connect, learn where its log is, follow, hold a lease; and when it ends, for whatever
//! reason, the next one, with any server.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tonic::{Status, Streaming};

use super::counts::Call;
use super::failure::Failure;
use super::holding::Grant;
use super::links::Link;
use super::upstream::{Connections, within};
use super::{Place, Sidecar, acknowledging, following, holding, revalidating};
use crate::proto::v1;
use crate::revocation::Position;
use crate::token::{Revision, TokenId};
use crate::upstream::{CredentialFile, Upstream};

/// How long a session may take to get going; a lease is granted within about 250 ms.
const SETUP: Duration = Duration::from_secs(3);

/// The pause before the next session in milliseconds: drawn evenly from the shortest to a longest that doubles with every
/// failure, so that the sidecars of a lost server do not come to the others all at once.
const SHORTEST_PAUSE: u64 = 50;
const FIRST_PAUSE: u64 = 250;
const LONGEST_PAUSE: u64 = 1_000;

/// Follows one of the servers after the other, and never ends.
pub async fn follow_upstreams(sidecar: Arc<Sidecar>, upstreams: Vec<Upstream>, credential: CredentialFile) {
    let mut sessions = Sessions {
        known_by: credential.credential().token(),
        sidecar,
        credential,
        number: 0,
        asked: None,
        away: false,
        pause: FIRST_PAUSE,
    };
    let begin = rand::random_range(0..upstreams.len().max(1));
    for upstream in upstreams.iter().cycle().skip(begin) {
        let ended = sessions.next(upstream).await;
        sessions.note_end(upstream, &ended);
        sleep(sessions.pause()).await;
    }
}

struct Sessions {
    sidecar: Arc<Sidecar>,
    credential: CredentialFile,
    /// The token that everything that is known was seen with.
    known_by: TokenId,
    number: u64,
    /// The address of the server that is asked though it grants no lease, if there is one.
    asked: Option<String>,
    /// Whether it was told that there is no session.
    away: bool,
    /// The longest that the next pause may be.
    pause: u64,
}

/// What a session begins with.
struct Opening {
    stream: Streaming<v1::WatchRevocationsResponse>,
    grant: Grant,
    resumed: bool,
}

impl Sessions {
    async fn next(&mut self, upstream: &Upstream) -> Failure {
        self.credential.renew();
        let token = self.credential.credential().token();
        if token != std::mem::replace(&mut self.known_by, token) {
            // Another token may see other workspaces: no revocation in those that were seen until now would be heard.
            self.sidecar.forget();
        }
        self.number += 1;
        self.sidecar.counts.call_was_made(Call::Follow);
        let opened = timeout(SETUP, self.open(upstream)).await;
        let (connections, opening) = match opened.unwrap_or_else(|_| Err(Failure::silent())) {
            Ok(opened) => opened,
            Err(failure) => {
                self.leave_asking(upstream, &failure);
                return failure;
            }
        };
        tracing::info!(upstream = upstream.address(), resumed = opening.resumed, "following");
        (self.away, self.pause) = (false, FIRST_PAUSE);
        let ended = self.run(connections, opening).await;
        self.sidecar.links.down();
        ended
    }

    async fn open(&mut self, upstream: &Upstream) -> Result<(Arc<Connections>, Opening), Failure> {
        let connections = Connections::to(upstream, self.credential.credential()).await?;
        let opened = self.sidecar.open(&connections).await;
        if opened.as_ref().is_err_and(Failure::is_no_lease) {
            self.ask(upstream, Arc::clone(&connections));
        }
        Ok((connections, opened?))
    }

    /// Has every request asked of a server that grants no lease, until one that does is followed.
    fn ask(&mut self, upstream: &Upstream, connections: Arc<Connections>) {
        let (session, _) = mpsc::channel(1);
        self.sidecar.links.up(Link { number: self.number, connections, is_followed: false, session });
        self.asked = Some(upstream.address().to_owned());
    }

    /// Asks a server no more that could not even say that it grants no lease.
    fn leave_asking(&self, upstream: &Upstream, failure: &Failure) {
        if !failure.is_no_lease() && self.asked.as_deref() == Some(upstream.address()) {
            self.sidecar.links.down();
        }
    }

    /// Runs every part of the session until the first of them ends.
    async fn run(&self, connections: Arc<Connections>, opening: Opening) -> Failure {
        let (session, mut failures) = mpsc::channel(1);
        let (number, is_followed) = (self.number, true);
        let link = Link { number, connections: Arc::clone(&connections), is_followed, session };
        let sidecar = || Arc::clone(&self.sidecar);
        let mut parts = JoinSet::new();
        parts.spawn(following::follow(sidecar(), opening.stream));
        parts.spawn(holding::hold(sidecar(), Arc::clone(&connections), opening.grant));
        parts.spawn(acknowledging::acknowledge(sidecar(), connections));
        parts.spawn(revalidating::revalidate(sidecar(), link.clone()));
        let credential = self.credential.clone();
        parts.spawn(async move {
            credential.changed().await;
            Failure::Away(Status::unavailable("the credential has changed"))
        });
        self.sidecar.links.up(link);
        let ended = tokio::select! {
            Some(failure) = failures.recv() => failure,
            ended = parts.join_next() => match ended {
                Some(Ok(failure)) => failure,
                // Nothing but the end of the program takes a part out of its session, which ends with it.
                Some(Err(error)) if error.is_cancelled() => std::future::pending().await,
                Some(Err(_)) | None => Failure::Away(Status::internal("a part of the session panicked")),
            },
        };
        // None of them may apply anything while the consequences are drawn.
        parts.shutdown().await;
        ended
    }

    fn pause(&mut self) -> Duration {
        let longest = self.pause;
        self.pause = LONGEST_PAUSE.min(longest * 2);
        Duration::from_millis(rand::random_range(SHORTEST_PAUSE..=longest))
    }

    /// Draws the consequences of an end, and tells of it once.
    fn note_end(&mut self, upstream: &Upstream, ended: &Failure) {
        match ended {
            Failure::Refused(_) => self.sidecar.forget(),
            Failure::Astray(_) => drop(self.sidecar.place.send_replace(None)),
            Failure::LeaseUnknown => self.sidecar.cache.lose_lease(),
            Failure::Away(_) => {}
        }
        let refused = matches!(ended, Failure::Refused(_));
        let (upstream, reason) = (upstream.address(), ended.reason());
        if std::mem::replace(&mut self.away, true) {
            tracing::debug!(upstream, reason, refused, "no session with the server; trying on");
        } else {
            tracing::warn!(upstream, reason, refused, "no session with the server; trying on");
        }
    }
}

impl Sidecar {
    /// Begins to follow: right after the last frame if the history still is the same, else anew.
    ///
    /// A stream that begins anew does not name its history. It is the one that leases are granted in both before and
    /// after its first frame, since a history that has ended never comes back.
    async fn open(&self, connections: &Connections) -> Result<Opening, Failure> {
        let before = self.renew(connections).await?;
        let place = self.place.borrow().clone();
        let place = place.filter(|place| place.position.history == before.offer.needs.history);
        if let Some(Place { cursor, .. }) = place {
            let stream = watch(connections, cursor).await?;
            self.cache.offer(before.offer);
            return Ok(Opening { stream, grant: before, resumed: true });
        }
        self.place.send_replace(None);
        let mut stream = watch(connections, String::new()).await?;
        let frame = stream.message().await?.ok_or_else(Failure::silent)?;
        let position = Position { revision: Revision(frame.revision), history: before.offer.needs.history };
        self.cache.follow(position);
        // Only what is asked for from here on is as of what is followed.
        self.profiles.outdate();
        self.place.send_replace(Some(Place { position, cursor: frame.cursor }));
        let after = self.renew(connections).await?;
        if after.offer.needs.history != position.history {
            return Err(Failure::Astray("the history has changed".to_owned()));
        }
        self.cache.offer(after.offer);
        Ok(Opening { stream, grant: after, resumed: false })
    }
}

async fn watch(
    connections: &Connections,
    cursor: String,
) -> Result<Streaming<v1::WatchRevocationsResponse>, Failure> {
    let request = v1::WatchRevocationsRequest { workspace: String::new(), cursor };
    within(SETUP, connections.log.clone().watch_revocations(request)).await
}
