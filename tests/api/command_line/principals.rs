//! Principals, and the audit trail of what was done to them.

use serde_json::json;

use super::ground::Ground;

#[tokio::test(flavor = "multi_thread")]
async fn a_service_account_is_born_with_a_token_edited_and_deleted() {
    let ground = Ground::new().await;
    let made = ground.run(&[
        "principal",
        "create",
        "robot",
        "-w",
        "acme",
        "--kind",
        "service-account",
        "--handle",
        "robot@acme",
        "--scope",
        "*",
        "--token",
        "first",
        "--token-scope",
        "a:read",
        "--token-never-expires",
    ]);
    let made = made.json();
    assert_eq!((&made["principal"]["name"], &made["token"]["principal"]), (&json!("robot"), &json!("robot")));
    let secret = made["secret"].as_str().unwrap();
    assert_eq!(ground.run_with(&["token", "introspect"], secret).json()["sub"], "robot");
    let shown = ground.run(&["principal", "show", "--handle", "robot@acme", "-w", "acme"]).json();
    assert_eq!(shown["principal"]["id"], "robot");
    assert_eq!(
        ground.run(&["principal", "list", "-w", "acme", "--kind", "user"]).lines(),
        Vec::<serde_json::Value>::new()
    );
    assert_eq!(ground.run(&["principal", "list", "-w", "acme"]).lines().len(), 1);
    let edit = |words: &[&str]| ground.run(&[&["principal", "edit", "robot", "-w", "acme"], words].concat());
    let disabled = edit(&["--disable", "--wait", "fleet"]).json();
    assert_eq!(
        (&disabled["principal"]["disabled"], &disabled["fleetConfirmed"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(ground.run_with(&["token", "introspect"], secret).code, Some(3));
    assert_eq!(edit(&["--enable", "--scope", "a:*"]).json()["principal"]["scopes"], json!(["a:*"]));
    ground.run(&["principal", "delete", "robot", "-w", "acme"]).refused(2, &["--yes"]);
    let deleted =
        ground.run(&["principal", "delete", "robot", "-w", "acme", "--yes", "--reason", "gone"]).json();
    assert_eq!(deleted["tokenCount"], "1");
    ground.run(&["principal", "show", "robot", "-w", "acme"]).refused(4, &["(PRINCIPAL_NOT_FOUND)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_a_first_token_needs_one() {
    let ground = Ground::new().await;
    let create = ["principal", "create", "ann", "-w", "acme", "--kind", "user"];
    ground.run(&[&create[..], &["--token-scope", "a"]].concat()).refused(2, &["--token"]);
    ground.run(&[&create[..], &["--out", "/tmp/never"]].concat()).refused(2, &["--token NAME"]);
    ground.run(&[&create[..], &["--name", "Ann"]].concat()).json();
    ground.run(&["principal", "show", "-w", "acme"]).refused(2, &["--handle"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_trail_is_listed_newest_first() {
    let ground = Ground::new().await;
    let (id, _) = ground.token("ci");
    ground.run(&["token", "revoke", &id, "--yes", "--initiator", "ann"]).json();
    let events =
        ground.run(&["audit", "list", "--workspace", "acme", "--token", &id, "--since", "1h"]).lines();
    let actions: Vec<_> = events.iter().map(|event| event["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["revoke_token", "create_token"]);
    assert_eq!(events[0]["initiator"], "ann");
    assert_eq!(ground.run(&["audit", "list", "--refused", "--limit", "1"]).code, Some(0));
}
