//! Defects of the cache of records.

use super::Scenario;
use super::scene::{Scene, milliseconds};
use crate::check::Promise;
use crate::client::{How, WORKSPACES};
use crate::history::{Freshness, Node};

const HERE: Node = Node::Server(0);
const OTHER: Node = Node::Server(1);
const SIDECAR: Node = Node::Sidecar(0);

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new("ExpiryIgnored", "expired tokens work on in caches", &[Promise::Expiry], |scene| {
            Box::pin(expiry(scene))
        }),
        Scenario::new(
            "ReplacedSecretKept",
            "the old secret works on after a regenerate",
            &[Promise::WithinLease],
            |scene| Box::pin(replaced(scene)),
        ),
        Scenario::new(
            "UpdatesIgnored",
            "scopes that were taken away are granted on at sidecars",
            &[Promise::WithinLease],
            |scene| Box::pin(updated(scene)),
        ),
        Scenario::new(
            "NoFillFence",
            "a revoked token is cached by whoever was just looking it up",
            &[Promise::WithinLease, Promise::Converges],
            |scene| Box::pin(fill(scene)),
        )
        .with_flags(&[("--argon2-cost", "owasp"), ("--argon2-width", "1")]),
        Scenario::new(
            "OwnChangesNotOvertaken",
            "a server accepts what it has just revoked itself",
            &[Promise::OwnChanges],
            |scene| Box::pin(own(scene)),
        ),
        Scenario::new(
            "HistoryKeepsEntries",
            "after a restore, caches answer from before it",
            &[Promise::WithinLease, Promise::Converges],
            |scene| Box::pin(restored(scene)),
        ),
    ]
}

/// A short life, looked at from before its end to after it.
async fn expiry(scene: &mut Scene) {
    let known = scene.token_of(WORKSPACES[0], Some(milliseconds(1_500))).await;
    scene.look(&[OTHER, SIDECAR], &[&known], Freshness::Leased, milliseconds(2_500));
    scene.done().await;
}

async fn replaced(scene: &mut Scene) {
    let known = scene.token_known_at(&[OTHER, SIDECAR]).await;
    scene.look(&[OTHER, SIDECAR], &[&known], Freshness::Leased, milliseconds(2_000));
    scene.client.regenerate(HERE, &known.id, How::default()).await;
    scene.done().await;
}

async fn updated(scene: &mut Scene) {
    let known = scene.token_known_at(&[SIDECAR]).await;
    scene.look(&[SIDECAR], &[&known], Freshness::Leased, milliseconds(2_000));
    scene.client.update(HERE, &known.id).await;
    scene.done().await;
}

/// Many secrets are proved one after the other, which takes long; meanwhile each is revoked elsewhere.
async fn fill(scene: &mut Scene) {
    for _ in 0..4 {
        let mut tokens = Vec::new();
        for _ in 0..4 {
            tokens.push(scene.token().await);
        }
        for known in &tokens {
            scene.look(&[OTHER], &[known], Freshness::Leased, milliseconds(1_600));
        }
        scene.wait(milliseconds(15)).await;
        for known in &tokens {
            scene.client.revoke(HERE, &known.id, false, How::default()).await;
        }
        scene.done().await;
    }
}

/// What is read of the log comes late, so that a server that waits for it does not know what it has done itself.
async fn own(scene: &mut Scene) {
    for _ in 0..6 {
        let known = scene.token_known_at(&[OTHER]).await;
        scene.world.links.server_database[1].set(|weather| weather.down.delay = milliseconds(60));
        scene.look(&[OTHER], &[&known], Freshness::Leased, milliseconds(800));
        scene.client.revoke(OTHER, &known.id, false, How::default()).await;
        scene.client.introspect(OTHER, &known, 1, Freshness::Leased).await;
        scene.done().await;
        scene.world.links.server_database[1].clear();
    }
}

/// The database is restored by hand: in its new history a token was revoked that was not in the old.
async fn restored(scene: &mut Scene) {
    let known = scene.token_known_at(&[OTHER, SIDECAR]).await;
    let other = scene.token().await;
    scene.client.update(HERE, &other.id).await;
    scene.wait(milliseconds(300)).await;
    scene.look(&[OTHER, SIDECAR], &[&known], Freshness::Leased, milliseconds(3_000));
    scene.restore_with_revoked(&known, &other).await;
    scene.done().await;
}
