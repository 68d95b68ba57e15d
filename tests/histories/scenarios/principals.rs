//! Defects of what many tokens have in common: their principal, and the epoch of their workspace.

use super::Scenario;
use super::scene::{Scene, milliseconds};
use crate::check::Promise;
use crate::client::{How, SALTED, WORKSPACES};
use crate::history::{Edit, Freshness, Node};
use crate::recorder::{Known, Principal};

const HERE: Node = Node::Server(0);
const OTHER: Node = Node::Server(1);
const SIDECAR: Node = Node::Sidecar(0);

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario::new(
            "PrincipalFloorIgnored",
            "tokens of a disabled principal work on in caches",
            &[Promise::Confirmed, Promise::WithinLease],
            |scene| Box::pin(disabled(scene)),
        ),
        Scenario::new(
            "WorkspaceFloorIgnored",
            "invalidated secrets work on in caches",
            &[Promise::WithinLease],
            |scene| Box::pin(invalidated(scene)),
        ),
        Scenario::new(
            "EpochIgnored",
            "invalidated secrets work again as soon as they are looked up",
            &[Promise::True],
            |scene| Box::pin(invalidated(scene)),
        ),
        Scenario::new(
            "EffectiveScopesAtCreation",
            "what a principal may no longer do its tokens still can",
            &[Promise::True],
            |scene| Box::pin(narrowed(scene)),
        ),
        Scenario::new(
            "FloorsPassedInFlight",
            "a token of a disabled principal is cached by whoever was just looking it up",
            &[Promise::WithinLease, Promise::Converges],
            |scene| Box::pin(in_flight(scene)),
        )
        .with_flags(&[("--argon2-cost", "owasp"), ("--argon2-width", "1")]),
    ]
}

/// A principal and a token of it that is known in caches, looked at from now on.
async fn held(scene: &mut Scene) -> (Principal, Known) {
    let principal = scene.principal(WORKSPACES[0]).await;
    let known = scene.token_for(WORKSPACES[0], Some(&principal.id), None).await;
    watched(scene, &known).await;
    (principal, known)
}

async fn watched(scene: &mut Scene, known: &Known) {
    for node in [OTHER, SIDECAR] {
        scene.warm(node, known).await;
    }
    scene.look(&[OTHER, SIDECAR], &[known], Freshness::Leased, milliseconds(2_000));
}

async fn disabled(scene: &mut Scene) {
    let (principal, _) = held(scene).await;
    let edit = Edit::Held { wide: true, disabled: true };
    scene.client.change_principal(HERE, &principal, edit, true).await;
    scene.done().await;
}

async fn narrowed(scene: &mut Scene) {
    let (principal, _) = held(scene).await;
    let edit = Edit::Held { wide: false, disabled: false };
    scene.client.change_principal(HERE, &principal, edit, false).await;
    scene.done().await;
}

async fn invalidated(scene: &mut Scene) {
    let known = scene.token_of(SALTED, None).await;
    watched(scene, &known).await;
    scene.client.invalidate(HERE, SALTED, false, false).await;
    scene.done().await;
    scene.client.regenerate(HERE, &known.id, How::default()).await;
    let known = scene.known(&known.id);
    scene.client.introspect(SIDECAR, &known, 2, Freshness::Leased).await;
}

/// Many secrets are proved one after the other, which takes long; meanwhile their principal is disabled elsewhere.
async fn in_flight(scene: &mut Scene) {
    for _ in 0..4 {
        let principal = scene.principal(WORKSPACES[0]).await;
        let mut tokens = Vec::new();
        for _ in 0..4 {
            tokens.push(scene.token_for(WORKSPACES[0], Some(&principal.id), None).await);
        }
        for known in &tokens {
            scene.look(&[OTHER], &[known], Freshness::Leased, milliseconds(1_600));
        }
        scene.wait(milliseconds(15)).await;
        let edit = Edit::Held { wide: true, disabled: true };
        scene.client.change_principal(HERE, &principal, edit, false).await;
        scene.done().await;
    }
}
