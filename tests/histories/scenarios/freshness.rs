//! Defects of answers that somebody asked to be fresh, and of answers that cannot be given.

use super::Scenario;
use super::scene::{Scene, milliseconds};
use crate::check::Promise;
use crate::client::How;
use crate::history::{Answer, Freshness, Node};
use crate::proxy::Flow;

const HERE: Node = Node::Server(0);
const OTHER: Node = Node::Server(1);

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "MinRevisionIgnored",
            "whoever has seen a change made is answered from before it",
            &[Promise::AtLeast],
            |scene| Box::pin(at_least(scene)),
        ),
        Scenario::new(
            "StrongIsLeased",
            "a strong answer is as old as any other",
            &[Promise::Strong],
            |scene| Box::pin(strong(scene)),
        ),
        Scenario::new(
            "UnavailableIsInactive",
            "an outage of the database is told as the end of live tokens",
            &[Promise::NeverDeniedAlive],
            |scene| Box::pin(unavailable(scene)),
        ),
        Scenario::new(
            "ReplyBeforeCommit",
            "a revocation is acknowledged that is not done yet, and may never be",
            &[Promise::Strong, Promise::Durable],
            |scene| Box::pin(early(scene)),
        ),
        Scenario::new(
            "UnknownIsUndone",
            "a change that was made is told as not made",
            &[Promise::ExactlyOnce],
            |scene| Box::pin(in_doubt(scene)),
        ),
    ]
}

async fn at_least(scene: &mut Scene) {
    let known = scene.token_known_at(&[OTHER]).await;
    scene.world.links.server_database[1].set(|weather| weather.down.delay = milliseconds(80));
    let answer = scene.client.revoke(HERE, &known.id, false, How::default()).await;
    if let Answer::Changed { revision, .. } = answer {
        scene.look(&[OTHER], &[&known], Freshness::AtLeast(revision), milliseconds(800));
    }
    scene.done().await;
}

async fn strong(scene: &mut Scene) {
    let known = scene.token_known_at(&[OTHER]).await;
    scene.world.links.server_database[1].set(|weather| weather.down.delay = milliseconds(80));
    scene.client.revoke(HERE, &known.id, false, How::default()).await;
    scene.look(&[OTHER], &[&known], Freshness::Strong, milliseconds(800));
    scene.done().await;
}

async fn unavailable(scene: &mut Scene) {
    let known = scene.token_known_at(&[OTHER]).await;
    let unseen = scene.token().await;
    let link = &scene.world.links.server_database[1];
    link.set(|weather| weather.refuses = true);
    link.set(|weather| weather.up.flow = Flow::Held);
    link.cut();
    scene.look(&[OTHER], &[&known], Freshness::Leased, milliseconds(3_000));
    scene.look(&[OTHER], &[&unseen], Freshness::Leased, milliseconds(3_000));
    scene.done().await;
}

/// The way to the database is long, and COMMIT is the last to take it.
async fn early(scene: &mut Scene) {
    for _ in 0..3 {
        let known = scene.token_known_at(&[OTHER]).await;
        scene.world.links.server_database[0].set(|weather| weather.up.delay = milliseconds(150));
        scene.client.revoke(HERE, &known.id, false, How::default()).await;
        scene.client.introspect(OTHER, &known, 1, Freshness::Strong).await;
        scene.world.links.server_database[0].clear();
        scene.wait(milliseconds(500)).await;
    }
}

/// The database does what it is told, but its answers come late; the connection is cut before the last of them comes.
async fn in_doubt(scene: &mut Scene) {
    for step in 0..18 {
        let known = scene.token().await;
        let link = &scene.world.links.server_database[0];
        link.set(|weather| weather.down.delay = milliseconds(60));
        let revoke = scene.client.revoke(HERE, &known.id, false, How::default());
        let cut = async {
            tokio::time::sleep(milliseconds(240 + 45 * step)).await;
            link.cut();
        };
        tokio::join!(revoke, cut);
        link.clear();
        scene.wait(milliseconds(300)).await;
    }
}
