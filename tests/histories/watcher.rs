//! A watcher that writes down every frame, and resumes where it stopped, at whichever server chance picks.

use std::sync::Arc;
use std::time::Duration;

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::watch_revocations_response::Frame as WireFrame;
use tonic::{Status, Streaming};

use crate::calls;
use crate::chance::Chance;
use crate::history::{Change, Content, Frame, Node, Stream};
use crate::moment::Moment;
use crate::recorder::Recorder;
use crate::world::Reach;

/// How long a watcher usually waits for a frame.
const SILENCE: Duration = Duration::from_millis(1_500);

pub struct Watcher {
    pub number: usize,
    pub reach: Arc<Reach>,
    pub recorder: Arc<Recorder>,
    pub workspace: Option<String>,
    /// The cursor of the last frame, that frame's revision, and when it came.
    pub place: Option<(String, i64, Moment)>,
    /// It leaves a stream after so many frames.
    pub frames: usize,
    /// After so long without a frame it leaves as well.
    pub patience: Duration,
}

impl Watcher {
    pub fn new(number: usize, reach: &Arc<Reach>, recorder: &Arc<Recorder>, workspace: Option<&str>) -> Self {
        let workspace = workspace.map(str::to_owned);
        Self {
            number,
            reach: Arc::clone(reach),
            recorder: Arc::clone(recorder),
            workspace,
            place: None,
            frames: usize::MAX,
            patience: SILENCE,
        }
    }

    /// Watches until the time is up.
    pub async fn work(mut self, mut chance: Chance, until: Moment) {
        while Moment::now() < until {
            let node = Node::Server(chance.below(self.reach.servers.len()));
            // Now and then it leaves a stream that is well.
            let leave =
                if chance.percent(50) { until } else { Moment::now().after(chance.milliseconds(200, 3_000)) };
            self.watch(node, until.min(leave)).await;
            tokio::time::sleep(chance.milliseconds(10, 200)).await;
        }
    }

    /// Opens a stream, from the place if there is one, and reads it until it ends, falls silent, or the time is up.
    pub async fn watch(&mut self, node: Node, until: Moment) {
        let mut stream = Stream {
            watcher: self.number,
            node,
            workspace: self.workspace.clone(),
            invoke: Moment::now(),
            resumes: self.place.as_ref().map(|(_, revision, came)| (*revision, *came)),
            frames: Vec::new(),
            closed: Moment::NEVER,
            end: None,
        };
        let end = match self.open(node).await {
            Ok(frames) => self.read(frames, &mut stream, until).await,
            Err(status) => calls::reason(&status),
        };
        if end.as_ref().is_some_and(|reason| FORGET.contains(&reason.as_str())) {
            self.place = None;
        }
        (stream.end, stream.closed) = (end, Moment::now());
        self.recorder.record_stream(stream);
    }

    async fn open(&self, node: Node) -> Result<Streaming<v1::WatchRevocationsResponse>, Status> {
        let request = v1::WatchRevocationsRequest {
            workspace: self.workspace.clone().unwrap_or_default(),
            cursor: self.place.as_ref().map(|(cursor, ..)| cursor.clone()).unwrap_or_default(),
        };
        calls::patiently(self.reach.client(node).watch_revocations(request)).await
    }

    async fn read(
        &mut self,
        mut frames: Streaming<v1::WatchRevocationsResponse>,
        stream: &mut Stream,
        until: Moment,
    ) -> Option<String> {
        loop {
            let left = until.since(Moment::now()).min(self.patience);
            if left.is_zero() || stream.frames.len() >= self.frames {
                return None;
            }
            match tokio::time::timeout(left, frames.message()).await {
                Ok(Ok(Some(frame))) => stream.frames.push(self.take(frame)),
                Ok(Ok(None)) => return Some("OK".to_owned()),
                Ok(Err(status)) => return calls::reason(&status),
                Err(_) if Moment::now() < until => return None,
                Err(_) => {}
            }
        }
    }

    fn take(&mut self, frame: v1::WatchRevocationsResponse) -> Frame {
        let at = Moment::now();
        self.place = Some((frame.cursor, frame.revision, at));
        let content = match frame.frame.unwrap() {
            WireFrame::Event(event) => Content::Event {
                change: change(event.kind()),
                subject: [event.token_id, event.principal, event.profile].concat(),
                workspace: event.workspace,
                generation: event.generation,
            },
            WireFrame::Progress(progress) => Content::Progress { confirmed: progress.confirmed },
        };
        Frame { at, revision: frame.revision, content }
    }
}

/// The ends after which a cursor is of no use.
const FORGET: [&str; 4] = ["CURSOR_FOREIGN", "CURSOR_AHEAD", "REVISION_COMPACTED", "INVALID_CURSOR"];

fn change(kind: v1::RevocationKind) -> Change {
    match kind {
        v1::RevocationKind::Revoked => Change::Revoked,
        v1::RevocationKind::SecretReplaced => Change::SecretReplaced,
        v1::RevocationKind::Updated => Change::Updated(0),
        v1::RevocationKind::PrincipalChanged => Change::PrincipalChanged,
        v1::RevocationKind::WorkspaceInvalidated => Change::WorkspaceInvalidated,
        v1::RevocationKind::ProfileUpdated => Change::ProfileUpdated,
        v1::RevocationKind::Suspended => Change::Suspended,
        v1::RevocationKind::Resumed => Change::Resumed,
        v1::RevocationKind::BulkRevoked => Change::GroupRevoked,
        other => panic!("nobody asks for a change of the kind {other:?}"),
    }
}
