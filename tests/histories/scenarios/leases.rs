//! Defects of leases: of who may answer, and for how long.

use super::Scenario;
use super::scene::{Scene, milliseconds};
use crate::check::Promise;
use crate::client::How;
use crate::history::{Freshness, Node};
use crate::proxy::{Flow, Link};

const HERE: Node = Node::Server(0);
const OTHER: Node = Node::Server(1);
const SIDECAR: Node = Node::Sidecar(0);

const LATE: &[Promise] = &[Promise::WithinLease, Promise::Confirmed];

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "LeaseNotChecked",
            "a server that is cut off from the database accepts for ever",
            LATE,
            |scene| Box::pin(cut_off(scene)),
        ),
        Scenario::new(
            "BeatNotReplicated",
            "a server that is left with a deposed primary accepts for ever",
            LATE,
            |scene| Box::pin(deposed(scene)),
        )
        .promoting(),
        Scenario::new(
            "RenewalWithoutBeat",
            "a server that is cut off from the database keeps its sidecars accepting for ever",
            LATE,
            |scene| Box::pin(renewed_by_the_deaf(scene)),
        ),
        Scenario::new(
            "LeaseFromReceipt",
            "a sidecar accepts longer by as much as the answer was under way",
            LATE,
            |scene| Box::pin(slow_answers(scene)),
        ),
        Scenario::new(
            "LeaseNeedsNothing",
            "a sidecar that comes back accepts what was revoked while it was away",
            LATE,
            |scene| Box::pin(slow_log(scene)),
        )
        .with_lease(2),
    ]
}

fn hold_database(scene: &Scene, server: usize) {
    scene.world.links.server_database[server].set(|weather| {
        weather.up.flow = Flow::Held;
        weather.down.flow = Flow::Held;
    });
}

async fn cut_off(scene: &mut Scene) {
    let known = scene.token_known_at(&[OTHER]).await;
    hold_database(scene, 1);
    scene.look(&[OTHER], &[&known], Freshness::Leased, milliseconds(2_500));
    scene.client.revoke(HERE, &known.id, false, How::default()).await;
    scene.done().await;
}

/// Everybody is led to the new primary but one server, whose old primary still answers whatever it is asked to read.
async fn deposed(scene: &mut Scene) {
    let known = scene.token_known_at(&[OTHER]).await;
    scene.world.promote(&[Some(milliseconds(0)), None, Some(milliseconds(0))]).await;
    scene.surely_revoke(HERE, &known).await;
    scene.look(&[OTHER], &[&known], Freshness::Leased, milliseconds(3_000));
    scene.done().await;
}

/// The sidecar reaches only the server that is cut off.
async fn renewed_by_the_deaf(scene: &mut Scene) {
    only_with(scene, 1).await;
    let known = scene.token_known_at(&[SIDECAR]).await;
    hold_database(scene, 1);
    scene.look(&[SIDECAR], &[&known], Freshness::Leased, milliseconds(3_000));
    scene.client.revoke(HERE, &known.id, false, How::default()).await;
    scene.done().await;
}

/// Leaves a sidecar one server to live with.
pub(super) async fn only_with(scene: &mut Scene, server: usize) {
    for (number, link) in scene.world.links.sidecar_server[0].iter().enumerate() {
        if number != server {
            link.set(|weather| weather.refuses = true);
            link.cut();
        }
    }
    scene.wait(milliseconds(1_500)).await;
}

/// The answer to a renewal is long under way, and what is told of the log after it is longer.
async fn slow_answers(scene: &mut Scene) {
    for _ in 0..3 {
        let known = scene.token_known_at(&[SIDECAR]).await;
        for link in &scene.world.links.sidecar_server[0] {
            link.set(|weather| (weather.down.delay, weather.down.rate) = (milliseconds(500), Some(12_000)));
        }
        scene.wait(milliseconds(340)).await;
        scene.look(&[SIDECAR], &[&known], Freshness::Leased, milliseconds(2_000));
        scene.fill_log(60).await;
        scene.client.revoke(HERE, &known.id, true, How::default()).await;
        scene.done().await;
        scene.world.links.sidecar_server[0].iter().for_each(Link::clear);
        scene.wait(milliseconds(1_500)).await;
    }
}

/// While the sidecar is away the log grows so long that reading it takes longer than a renewal.
async fn slow_log(scene: &mut Scene) {
    only_with(scene, 1).await;
    let known = scene.token_known_at(&[SIDECAR]).await;
    let link = &scene.world.links.sidecar_server[0][1];
    link.set(|weather| weather.refuses = true);
    link.cut();
    scene.fill_log(4_000).await;
    scene.client.revoke(HERE, &known.id, false, How::default()).await;
    scene.wait(milliseconds(2_200)).await;
    let link = &scene.world.links.sidecar_server[0][1];
    link.set(|weather| weather.down.rate = Some(120_000));
    link.set(|weather| weather.refuses = false);
    scene.look(&[SIDECAR], &[&known], Freshness::Leased, milliseconds(5_000));
    scene.done().await;
}
