//! Defects of the revision log and of how it is followed.

use super::Scenario;
use super::scene::{Scene, milliseconds};
use crate::check::Promise;
use crate::client::{Client, How};
use crate::history::{Freshness, Node};
use crate::moment::Moment;

const HERE: Node = Node::Server(0);
const OTHER: Node = Node::Server(1);
const SIDECAR: Node = Node::Sidecar(0);

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "NaiveCursor",
            "events that commit out of order are never told",
            &[
                Promise::Reliable,
                Promise::Bookmarkable,
                Promise::Contiguous,
                Promise::WithinLease,
                Promise::EndsWithReason,
            ],
            |scene| Box::pin(out_of_order(scene)),
        ),
        Scenario::new(
            "NotifyOnly",
            "while the doorbell is dead, watchers at other servers are told nothing",
            &[Promise::Prompt],
            |scene| Box::pin(doorbell(scene)),
        )
        .with_flags(&[("--doorbell", "false")])
        .calm(),
    ]
}

/// One server's commits are long under way; another's overtake them.
async fn out_of_order(scene: &mut Scene) {
    scene.watch(1, OTHER, None, milliseconds(5_000));
    scene.watch(2, Node::Server(2), None, milliseconds(5_000));
    let (mut slow, mut quick) = (Vec::new(), Vec::new());
    for _ in 0..8 {
        slow.push(scene.token_known_at(&[OTHER, SIDECAR]).await);
    }
    for _ in 0..60 {
        quick.push(scene.token().await);
    }
    scene.world.links.server_database[0].set(|weather| weather.up.delay = milliseconds(60));
    scene.look(&[OTHER, SIDECAR], &slow.iter().collect::<Vec<_>>(), Freshness::Leased, milliseconds(4_500));
    let mut other = Client::new(2, &scene.world.reach, &scene.world.recorder);
    let until = Moment::now().after(milliseconds(2_500));
    let quickly = tokio::spawn(async move {
        for known in quick {
            if Moment::now() < until {
                other.revoke(OTHER, &known.id, false, How::default()).await;
            }
        }
    });
    for known in &slow {
        scene.client.revoke(HERE, &known.id, false, How::default()).await;
    }
    quickly.await.unwrap();
    scene.done().await;
}

/// Nobody asks for anything, so that nothing but the poll can find what was changed elsewhere.
async fn doorbell(scene: &mut Scene) {
    let known = scene.token().await;
    scene.watch(1, OTHER, None, milliseconds(4_000));
    scene.watch(2, Node::Server(2), None, milliseconds(4_000));
    scene.wait(milliseconds(1_000)).await;
    scene.client.revoke(HERE, &known.id, false, How::default()).await;
    scene.done().await;
}
