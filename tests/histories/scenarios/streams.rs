//! Defects of `WatchRevocations`.

use super::Scenario;
use super::scene::{Scene, milliseconds};
use crate::check::Promise;
use crate::client::{How, WORKSPACES};
use crate::history::Node;
use crate::moment::Moment;
use crate::proxy::Flow;
use crate::watcher::Watcher;

const HERE: Node = Node::Server(0);
const OTHER: Node = Node::Server(1);

const SKIPS: &[Promise] = &[
    Promise::Reliable,
    Promise::Resumable,
    Promise::Bookmarkable,
    Promise::HistorySafe,
    Promise::Filtered,
    Promise::Unique,
];

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("ResumeUnfiltered", "whoever resumes is told of other tenants", SKIPS, |scene| {
            Box::pin(filtered(scene))
        }),
        Scenario::new(
            "ResumeAtHeadOnCompacted",
            "what was deleted before a watcher came back is skipped in silence",
            SKIPS,
            |scene| Box::pin(compacted(scene)),
        ),
        Scenario::new(
            "ResumeAtHeadOnForeign",
            "what happened since another history is skipped in silence",
            SKIPS,
            |scene| Box::pin(foreign(scene)),
        ),
        Scenario::new(
            "CursorBeforeEvents",
            "a watcher that comes back misses what it was about to be told",
            SKIPS,
            |scene| Box::pin(midway(scene)),
        ),
        Scenario::new("LaggedIgnored", "a slow watcher misses events and is not told", SKIPS, |scene| {
            Box::pin(slow(scene))
        }),
    ]
}

/// Changes in both workspaces.
async fn changes(scene: &mut Scene, count: usize) {
    for number in 0..count {
        let known = scene.token_of(WORKSPACES[number % 2], None).await;
        scene.client.revoke(HERE, &known.id, false, How::default()).await;
    }
}

async fn watch_for(watcher: &mut Watcher, milliseconds: u64) {
    watcher.watch(OTHER, Moment::now().after(self::milliseconds(milliseconds))).await;
}

async fn filtered(scene: &mut Scene) {
    let mut watcher = scene.watcher(Some(WORKSPACES[0]));
    changes(scene, 2).await;
    watch_for(&mut watcher, 500).await;
    changes(scene, 6).await;
    watch_for(&mut watcher, 800).await;
}

async fn compacted(scene: &mut Scene) {
    let mut watcher = scene.watcher(None);
    changes(scene, 3).await;
    watch_for(&mut watcher, 500).await;
    changes(scene, 6).await;
    scene.wait(milliseconds(500)).await;
    scene.compact().await;
    watch_for(&mut watcher, 800).await;
    changes(scene, 2).await;
    watch_for(&mut watcher, 800).await;
}

async fn foreign(scene: &mut Scene) {
    let mut watcher = scene.watcher(None);
    changes(scene, 3).await;
    watch_for(&mut watcher, 500).await;
    changes(scene, 6).await;
    scene.renew_history().await;
    scene.wait(milliseconds(1_000)).await;
    watch_for(&mut watcher, 800).await;
    changes(scene, 2).await;
    watch_for(&mut watcher, 800).await;
}

/// A watcher leaves in the middle of what was committed at once.
async fn midway(scene: &mut Scene) {
    let mut watcher = scene.watcher(None);
    watch_for(&mut watcher, 500).await;
    watcher.frames = 20;
    for _ in 0..5 {
        scene.fill_log(60).await;
        watch_for(&mut watcher, 1_000).await;
    }
}

/// A watcher takes nothing for a while, during which more happens than anybody keeps for it.
async fn slow(scene: &mut Scene) {
    scene.watch(1, OTHER, None, milliseconds(9_000));
    scene.wait(milliseconds(500)).await;
    scene.world.links.client_server[1].set(|weather| weather.down.flow = Flow::Held);
    scene.trickle_into_log(milliseconds(4_200)).await;
    scene.world.links.client_server[1].clear();
    scene.wait(milliseconds(1_000)).await;
    changes(scene, 3).await;
    scene.done().await;
}
