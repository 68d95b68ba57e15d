//! Defects of a token's life: overlaps, suspensions, tokens that end at once, requests that are repeated, counted uses.

use std::time::Duration;

use super::Scenario;
use super::scene::{Scene, milliseconds};
use crate::calls::Wanted;
use crate::check::Promise;
use crate::client::{GROUPS, How, WORKSPACES};
use crate::history::{Freshness, Node};
use crate::proxy::Flow;

const HERE: Node = Node::Server(0);
const OTHER: Node = Node::Server(1);
const SIDECAR: Node = Node::Sidecar(0);

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "OverlapNeverEnds",
            "a replaced secret works on after its overlap",
            &[Promise::Expiry],
            |scene| Box::pin(overlap_runs_out(scene)),
        ),
        Scenario::new(
            "EndOverlapIgnored",
            "a replaced secret works on though its overlap was ended",
            &[Promise::WithinLease],
            |scene| Box::pin(overlap_is_ended(scene)),
        ),
        Scenario::new(
            "SuspensionIgnored",
            "a suspended token works on in caches",
            &[Promise::Confirmed, Promise::WithinLease],
            |scene| Box::pin(suspended(scene)),
        ),
        Scenario::new(
            "BulkFloorIgnored",
            "tokens that were revoked with many others work on in caches",
            &[Promise::WithinLease],
            |scene| Box::pin(ended_with_many(scene)),
        ),
        Scenario::new(
            "RequestNotEntered",
            "a creation that is tried again makes a token that nobody knows",
            &[Promise::ExactlyOnce],
            |scene| Box::pin(repeated(scene)),
        ),
        Scenario::new(
            "ReadUnconfirmed",
            "a revocation is acknowledged that a promotion undoes",
            &[Promise::Durable, Promise::WithinLease],
            |scene| Box::pin(unconfirmed(scene)),
        )
        .with_lease(6)
        .promoting(),
        Scenario::new(
            "ReportsCountedTwice",
            "a token is said to be used more often than it was",
            &[Promise::ExactlyOnce],
            |scene| Box::pin(reported_twice(scene)),
        ),
    ]
}

/// A token whose first secret works on for a while beside its second, and is known in caches and looked at.
async fn overlapped(scene: &mut Scene, overlap: Duration) -> String {
    let known = scene.token().await;
    let how = How { overlap: Some(overlap), ..How::default() };
    scene.client.regenerate(HERE, &known.id, how).await;
    let known = scene.known(&known.id);
    for node in [OTHER, SIDECAR] {
        scene.warm(node, &known).await;
    }
    scene.look(&[OTHER, SIDECAR], &[&known], Freshness::Leased, milliseconds(2_500));
    known.id
}

async fn overlap_runs_out(scene: &mut Scene) {
    overlapped(scene, milliseconds(1_200)).await;
    scene.done().await;
}

async fn overlap_is_ended(scene: &mut Scene) {
    let id = overlapped(scene, milliseconds(60_000)).await;
    scene.client.end_overlap(HERE, &id, false).await;
    scene.done().await;
}

async fn suspended(scene: &mut Scene) {
    let known = scene.token_known_at(&[OTHER, SIDECAR]).await;
    scene.look(&[OTHER, SIDECAR], &[&known], Freshness::Leased, milliseconds(2_000));
    scene.client.suspend(HERE, &known.id, true).await;
    scene.done().await;
    scene.client.resume(HERE, &known.id).await;
}

/// So many end that the event names none of them.
async fn ended_with_many(scene: &mut Scene) {
    let known = scene.token_known_at(&[OTHER, SIDECAR]).await;
    let fill = format!(
        "INSERT INTO tokens (id, workspace, name, description, creator, scopes, metadata, generation,
             obfuscated_secret, kid, tag, secret_hash)
         SELECT gen_random_uuid(), '{}', '{} beside', '', 'nobody', '{{}}', '{{}}', 1, 'tk_…0000', '01',
             '\\x0000000000000000', '$argon2id$' FROM generate_series(1, 1000)",
        WORKSPACES[0], GROUPS[0]
    );
    scene.execute(&fill).await;
    scene.look(&[OTHER, SIDECAR], &[&known], Freshness::Leased, milliseconds(3_000));
    let group = (WORKSPACES[0], GROUPS[0]);
    scene.client.revoke_group(HERE, group, (false, false), How::default()).await;
    scene.done().await;
}

async fn repeated(scene: &mut Scene) {
    let wanted = Wanted { workspace: WORKSPACES[0], group: GROUPS[0], principal: None, lifetime: None };
    let how = How { safely: true, again: true, ..How::default() };
    scene.client.create(HERE, wanted, how).await;
}

/// A session is ended while it waits for a standby that hears no more: what it did is to be seen, and nowhere else, by
/// whoever asks again.
async fn unconfirmed(scene: &mut Scene) {
    let known = scene.token_known_at(&[OTHER]).await;
    scene.world.ground.postgres.lock().await.deafen_standby().await;
    let Scene { world, client, .. } = scene;
    let how = How { safely: true, ..How::default() };
    tokio::join!(client.revoke(HERE, &known.id, false, how), async {
        tokio::time::sleep(milliseconds(500)).await;
        world.end_sessions().await;
    });
    world.promote(&[Some(milliseconds(0)); 3]).await;
    scene.wait(milliseconds(1_000)).await;
    scene.look(&[HERE, OTHER], &[&known], Freshness::Leased, milliseconds(1_500));
    scene.done().await;
}

/// What the server says to a report is lost on its way, so that the sidecar reports again.
async fn reported_twice(scene: &mut Scene) {
    for _ in 0..3 {
        let known = scene.token_known_at(&[SIDECAR]).await;
        scene.look(&[SIDECAR], &[&known], Freshness::Leased, milliseconds(1_000));
        scene.wait(milliseconds(150)).await;
        for link in &scene.world.links.sidecar_server[0] {
            link.set(|weather| weather.down.flow = Flow::Swallowed);
        }
        scene.wait(milliseconds(500)).await;
        for link in &scene.world.links.sidecar_server[0] {
            link.cut();
            link.clear();
        }
        scene.done().await;
    }
    scene.wait(milliseconds(2_500)).await;
}
