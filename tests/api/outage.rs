//! PostgreSQL goes away under load, in each of its ways: nobody is told what is not so, and everything comes back.

use std::fs;
use std::time::{Duration, Instant};

use tokenkeep::proto::v1::WatchRevocationsResponse;
use tokenkeep::proto::v1::watch_revocations_response::Frame;
use tonic::Streaming;

use crate::harness::{Database, Run, Server, eventually, signal};
use crate::load::Load;

/// How soon after PostgreSQL is back the server must serve again.
const RECOVERY: Duration = Duration::from_secs(8);

/// A server on a cluster of its own, with clients at work and a watcher.
struct Scene {
    run: Run,
    server: Server,
    load: Load,
    watcher: Watcher,
}

impl Scene {
    async fn set() -> Self {
        let run = tokio::task::spawn_blocking(Run::begin).await.unwrap();
        let server = Server::start_with(run.template(), |command| command).await;
        let watcher = Watcher::join(&server).await;
        let load = Load::start(&server).await;
        load.decides(200).await;
        assert_eq!(server.health().await, (200, true));
        Self { run, server, load, watcher }
    }

    /// What must hold while the database is away.
    async fn is_out(&mut self) {
        self.load.cannot_decide(50).await;
        eventually("health says NOT_SERVING", || async { self.server.health().await == (503, false) }).await;
        self.watcher.hears_nothing().await;
    }

    /// What must hold once the database is back.
    async fn recovers(self) {
        let back = Instant::now();
        eventually("health says SERVING", || async { self.server.health().await == (200, true) }).await;
        self.load.decides(200).await;
        let took = back.elapsed();
        println!("served again after {took:?}");
        assert!(took < RECOVERY, "recovery took {took:?}");
        self.load.stop().await;
        self.watcher.has_missed_nothing(&self.server).await;
    }
}

/// A watcher that keeps what it is told.
struct Watcher {
    stream: Streaming<WatchRevocationsResponse>,
    told: Vec<(i64, String)>,
}

impl Watcher {
    async fn join(server: &Server) -> Self {
        let stream = server.operator().await.watch("", "").await.unwrap();
        Self { stream, told: Vec::new() }
    }

    /// The next frame; `None` if none comes for a while.
    async fn next(&mut self, wait: Duration) -> Option<WatchRevocationsResponse> {
        let frame = tokio::time::timeout(wait, self.stream.message()).await.ok()?;
        let frame = frame.expect("the stream goes on").expect("the stream never ends well");
        if let Some(Frame::Event(event)) = &frame.frame {
            self.told.push((frame.revision, event.token_id.clone()));
        }
        Some(frame)
    }

    /// Once it has what was under way, not even a progress frame comes, which would say that nothing was missed.
    async fn hears_nothing(&mut self) {
        let begun = Instant::now();
        while self.next(Duration::from_millis(1_200)).await.is_some() {
            assert!(begun.elapsed() < Duration::from_secs(5), "frames come while the database is away");
        }
    }

    /// Everything in the log, in order and once, has reached this watcher by the time of one more revoke.
    async fn has_missed_nothing(mut self, server: &Server) {
        let mut operator = server.operator().await;
        let (last, _) = operator.create_token("load", "the last", &[]).await;
        operator.revoke(&last.id).await.unwrap();
        while self.told.last().is_none_or(|(_, token)| *token != last.id) {
            self.next(Duration::from_secs(5)).await.expect("the watcher is told everything");
        }
        assert_eq!(self.told, log(&server.database).await);
    }
}

/// What the revision log tells of tokens as it stands: everything since a server entered its profiles.
async fn log(database: &Database) -> Vec<(i64, String)> {
    let query = "SELECT revision, token::text FROM revisions WHERE token IS NOT NULL ORDER BY revision";
    let rows = database.connect().await.query(query, &[]).await.unwrap();
    let log: Vec<(i64, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert!(log.is_sorted_by(|(before, _), (after, _)| before + 1 == *after), "{log:?}");
    log
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_database_is_no_verdict() {
    let mut scene = Scene::set().await;
    tokio::task::block_in_place(|| scene.run.stop_postgres());
    scene.is_out().await;
    tokio::task::block_in_place(|| scene.run.start_postgres());
    scene.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crashed_database_is_no_verdict() {
    let mut scene = Scene::set().await;
    signal(scene.run.cluster().process_id(), "KILL");
    scene.is_out().await;
    tokio::task::block_in_place(|| scene.run.stop_postgres());
    tokio::task::block_in_place(|| scene.run.start_postgres());
    scene.recovers().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_hangs_is_no_verdict() {
    let mut scene = Scene::set().await;
    let hung = Hung::new(scene.run.cluster().process_id());
    scene.is_out().await;
    drop(hung);
    scene.recovers().await;
}

/// PostgreSQL with all its processes stopped where they stand, until this is dropped.
pub struct Hung(Vec<u32>);

impl Hung {
    pub fn new(first: u32) -> Self {
        // The first process before the others, so that none is added to them.
        signal(first, "STOP");
        let mut all = vec![first];
        all.extend(children(first));
        for process in &all {
            signal(*process, "STOP");
        }
        Self(all)
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        for process in self.0.iter().rev() {
            signal(*process, "CONT");
        }
    }
}

fn children(parent: u32) -> Vec<u32> {
    let path = format!("/proc/{parent}/task/{parent}/children");
    let children = fs::read_to_string(path).unwrap();
    children.split_whitespace().map(|number| number.parse().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_connections_are_no_verdict() {
    let scene = Scene::set().await;
    let database = scene.run.template().connect().await;
    for _ in 0..20 {
        let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        database.query(cut, &[]).await.unwrap();
        scene.load.decides(20).await;
    }
    scene.recovers().await;
}
