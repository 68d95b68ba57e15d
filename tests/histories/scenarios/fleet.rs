//! Defects of who says that everybody has applied a change.

use super::Scenario;
use super::leases::only_with;
use super::scene::{Scene, milliseconds};
use crate::check::Promise;
use crate::client::How;
use crate::history::{Freshness, Node};
use crate::proxy::Flow;

const HERE: Node = Node::Server(0);
const SIDECAR: Node = Node::Sidecar(0);

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "GrantsIgnored",
            "a confirmed revocation is not yet known to a sidecar that is cut off",
            &[Promise::Confirmed],
            |scene| Box::pin(deaf_sidecar(scene)),
        )
        .with_lease(2),
        Scenario::new(
            "FleetNotAwaited",
            "a confirmed revocation is not yet known to anybody",
            &[Promise::Confirmed],
            |scene| Box::pin(deaf_sidecar(scene)),
        )
        .with_lease(2),
        Scenario::new(
            "AcknowledgeBeforeApply",
            "a confirmed revocation is applied a moment later",
            &[Promise::Confirmed],
            |scene| Box::pin(hasty_sidecar(scene)),
        )
        .with_lease(2),
        Scenario::new(
            "LeavesWithGrants",
            "a server that went away takes along that its sidecars may still answer",
            &[Promise::Confirmed],
            |scene| Box::pin(left_alone(scene)),
        )
        .with_lease(3),
    ]
}

fn hold_sidecar(scene: &Scene) {
    for link in &scene.world.links.sidecar_server[0] {
        link.set(|weather| {
            weather.up.flow = Flow::Held;
            weather.down.flow = Flow::Held;
        });
    }
}

async fn deaf_sidecar(scene: &mut Scene) {
    let known = scene.token_known_at(&[SIDECAR]).await;
    hold_sidecar(scene);
    scene.look(&[SIDECAR], &[&known], Freshness::Leased, milliseconds(2_500));
    scene.client.revoke(HERE, &known.id, true, How::default()).await;
    scene.done().await;
}

async fn hasty_sidecar(scene: &mut Scene) {
    for _ in 0..5 {
        let known = scene.token_known_at(&[SIDECAR]).await;
        scene.look(&[SIDECAR], &[&known], Freshness::Leased, milliseconds(1_000));
        scene.client.revoke(HERE, &known.id, true, How::default()).await;
        scene.done().await;
    }
}

/// The sidecar is cut off, and the server that granted its lease ends in good order.
async fn left_alone(scene: &mut Scene) {
    only_with(scene, 1).await;
    let known = scene.token_known_at(&[SIDECAR]).await;
    hold_sidecar(scene);
    scene.look(&[SIDECAR], &[&known], Freshness::Leased, milliseconds(3_500));
    scene.world.servers[1].lock().await.end(milliseconds(3_000)).await;
    scene.client.revoke(HERE, &known.id, true, How::default()).await;
    scene.done().await;
}
