//! Workspaces.

use serde_json::json;

use super::ground::Ground;

#[tokio::test(flavor = "multi_thread")]
async fn a_workspace_is_created_listed_shown_and_edited() {
    let ground = Ground::new().await;
    let made =
        ground.run(&["workspace", "create", "shop", "--token-prefix", "sk_live", "--profile", "strapi"]);
    let made = made.json()["workspace"].clone();
    assert_eq!((&made["name"], &made["tokenPrefix"]), (&json!("shop"), &json!("sk_live")));
    ground.run(&["workspace", "create", "shop"]).refused(1, &["(WORKSPACE_EXISTS)"]);
    let ids: Vec<_> =
        ground.run(&["workspace", "list"]).lines().iter().map(|line| line["id"].clone()).collect();
    assert_eq!(ids, [json!("acme"), json!("shop"), json!("tokenkeep")]);
    assert_eq!(ground.run(&["workspace", "show", "shop"]).json()["workspace"], made);
    ground.run(&["workspace", "edit", "shop"]).refused(2, &["--name"]);
    let edited = ground.run(&["workspace", "edit", "shop", "--name", "The Shop", "--profile", "none"]).json();
    let edited = &edited["workspace"];
    assert_eq!((&edited["name"], &edited["profile"]), (&json!("The Shop"), &json!("")));
    assert_eq!(edited["tokenPrefix"], "sk_live");
    ground.run(&["workspace", "show", "none"]).refused(4, &["(WORKSPACE_NOT_FOUND)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_profile_of_a_workspace_shows_what_there_is_to_choose_from() {
    let ground = Ground::new().await;
    ground.run(&["workspace", "create", "blog", "--profile", "strapi"]).json();
    let profile = ground.run(&["workspace", "profile", "blog"]).json();
    assert_eq!(profile["profile"]["name"], "strapi");
    assert!(!profile["profile"]["types"].as_array().unwrap().is_empty());
    ground.run(&["workspace", "profile", "acme"]).refused(4, &["(PROFILE_NOT_FOUND)"]);
    let create = ["token", "create", "x", "-w", "blog", "--lifetime", "1234h"];
    ground.run(&create).refused(2, &["(PROFILE_FORBIDS)", "\n  lifetime: must be", "workspace profile"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secrets_of_a_workspace_are_invalidated_after_a_count() {
    let ground = Ground::new().await;
    let (id, secret) = ground.token("ci");
    ground.run(&["workspace", "invalidate", "acme"]).refused(2, &["--yes"]);
    let counted = ground.run(&["workspace", "invalidate", "acme", "--dry-run"]).json();
    assert_eq!(counted["tokenCount"], "1");
    assert_eq!(ground.state(&id), "TOKEN_STATE_ACTIVE");
    let words = ["workspace", "invalidate", "acme", "--yes", "--reason", "breach", "--wait", "fleet"];
    let done = ground.run(&words).json();
    assert_eq!((&done["tokenCount"], &done["fleetConfirmed"]), (&json!("1"), &json!(true)));
    assert_eq!(ground.run_with(&["token", "introspect"], &secret).code, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_limit_is_edited_and_the_others_stay() {
    let ground = Ground::new().await;
    let made =
        ground.run(&["workspace", "create", "small", "--max-tokens", "5", "--max-lifetime", "30d"]).json();
    assert_eq!(made["workspace"]["limits"]["maxTokens"], "5");
    let edited = ground.run(&["workspace", "edit", "small", "--max-tokens", "1"]).json();
    let limits = &edited["workspace"]["limits"];
    assert_eq!((&limits["maxTokens"], &limits["maxLifetime"]), (&json!("1"), &json!("2592000s")));
    let create = ["token", "create", "x", "-w", "small", "--lifetime", "1d"];
    ground.run(&create).json();
    ground.run(&create).refused(1, &["(TOKEN_LIMIT_REACHED)", "raise the limit"]);
}
