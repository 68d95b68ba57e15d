//! The lives of tokens: regenerate, suspend, resume, revoke, one and many.

use serde_json::json;

use super::ground::Ground;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_regenerated_and_only_as_it_was_seen() {
    let ground = Ground::new().await;
    let (id, old) = ground.token("ci");
    let unsure = ground.run(&["token", "regenerate", &id]);
    unsure.refused(2, &["--yes", "cannot be undone"]);
    ground.run(&["token", "regenerate", &id, "--yes", "--etag", "stale"]).refused(1, &["(ETAG_MISMATCH)"]);
    let made = ground.run(&["token", "regenerate", &id, "--yes", "--lifetime", "12h"]).json();
    assert_eq!((&made["token"]["generation"], &made["token"]["id"]), (&json!(2), &json!(id)));
    assert!(made["token"]["expireTime"].is_string());
    assert_ne!(made["secret"], json!(old));
    let judged = ground.run_with(&["token", "introspect"], &old);
    assert_eq!(judged.code, Some(3), "{judged:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overlap_needs_no_question_and_is_ended_by_one_that_does() {
    let ground = Ground::new().await;
    let (id, old) = ground.token("ci");
    let made = ground.run(&["token", "regenerate", &id, "--overlap", "24h"]).json();
    assert_eq!(made["token"]["previousSecret"]["generation"], 1);
    assert_eq!(ground.run_with(&["token", "introspect"], &old).code, Some(0));
    ground.run(&["token", "end-overlap", &id]).refused(2, &["--yes"]);
    let ended = ground.run(&["token", "end-overlap", &id, "--yes", "--wait", "fleet"]).json();
    assert_eq!((ended["token"].get("previousSecret"), &ended["fleetConfirmed"]), (None, &json!(true)));
    assert_eq!(ground.run_with(&["token", "introspect"], &old).code, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_suspended_and_resumed() {
    let ground = Ground::new().await;
    let (id, _) = ground.token("ci");
    let suspended = ground.run(&["token", "suspend", &id, "--reason", "leave", "--wait", "fleet"]).json();
    assert_eq!(suspended["token"]["state"], "TOKEN_STATE_SUSPENDED");
    assert_eq!(suspended["token"]["suspendReason"], "leave");
    assert_eq!(suspended["fleetConfirmed"], true);
    let resumed = ground.run(&["token", "resume", &id]).json();
    assert_eq!(resumed["token"]["state"], "TOKEN_STATE_ACTIVE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoke_is_sure_and_waits_for_the_fleet_if_asked() {
    let ground = Ground::new().await;
    let (id, _) = ground.token("ci");
    ground.run(&["token", "revoke", &id]).refused(2, &["to revoke a token cannot be undone", "--yes"]);
    assert_eq!(ground.state(&id), "TOKEN_STATE_ACTIVE");
    let revoked =
        ground.run(&["token", "revoke", &id, "--yes", "--reason", "lost laptop", "--wait", "fleet"]);
    // Progress is for terminals.
    assert_eq!(revoked.error, "");
    let revoked = revoked.json();
    assert_eq!(revoked["token"]["state"], "TOKEN_STATE_REVOKED");
    assert_eq!(
        (&revoked["token"]["revokeReason"], &revoked["fleetConfirmed"]),
        (&json!("lost laptop"), &json!(true))
    );
    // It is idempotent.
    assert_eq!(ground.run(&["token", "revoke", &id, "-y"]).json()["token"], revoked["token"]);
    ground.run(&["token", "edit", &id, "--name", "x"]).refused(1, &["(TOKEN_REVOKED)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_revoked_as_many_as_were_counted() {
    let ground = Ground::new().await;
    let ids: Vec<String> = ["old 1", "old 2", "new"].iter().map(|name| ground.token(name).0).collect();
    let bulk = |words: &[&str]| ground.run(&[&["token", "bulk-revoke", "-w", "acme"], words].concat());
    bulk(&["--yes"]).refused(2, &["--all"]);
    bulk(&["--yes", "--all", "--never-used"]).refused(2, &["--all and a filter"]);
    bulk(&["--name-prefix", "old"]).refused(2, &["--yes"]);
    let counted = bulk(&["--name-prefix", "old", "--dry-run"]).json();
    assert_eq!((&counted["tokenCount"], &counted["revision"]), (&json!("2"), &json!("0")));
    assert_eq!(counted["sample"].as_array().unwrap().len(), 2);
    bulk(&["--name-prefix", "old", "--yes", "--expected-count", "3"])
        .refused(1, &["(COUNT_MISMATCH)", "dry run"]);
    let revoked = bulk(&["--name-prefix", "old", "--yes", "--wait", "fleet", "--reason", "cleaning"]).json();
    assert_eq!((&revoked["tokenCount"], &revoked["fleetConfirmed"]), (&json!("2"), &json!(true)));
    let states: Vec<String> = ids.iter().map(|id| ground.state(id)).collect();
    assert_eq!(states, ["TOKEN_STATE_REVOKED", "TOKEN_STATE_REVOKED", "TOKEN_STATE_ACTIVE"]);
    // There is nothing left to be asked about.
    assert_eq!(bulk(&["--name-prefix", "old", "--yes"]).json()["tokenCount"], "0");
}
