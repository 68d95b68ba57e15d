//! Tokens: issue, find, show, edit.

use serde_json::json;

use super::ground::Ground;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_created_as_it_was_said_and_shown_as_it_is() {
    let ground = Ground::new().await;
    let words = [
        "token",
        "create",
        "ci",
        "--workspace",
        "acme",
        "--description",
        "builds",
        "--scope",
        "a:read",
        "--scope",
        "b:*",
        "--audience",
        "scim",
        "--allowed-cidr",
        "192.0.2.0/24",
        "--label",
        "team=x=y",
        "--lifetime",
        "30d",
        "--initiator",
        "ann",
        "--type",
        "custom",
    ];
    let made = ground.run(&words).json();
    let token = &made["token"];
    assert!(made["secret"].as_str().unwrap().starts_with("tk_"), "{made}");
    assert_eq!(token["name"], "ci");
    assert_eq!(token["description"], "builds");
    assert_eq!(token["scopes"], json!(["a:read", "b:*"]));
    assert_eq!(token["audiences"], json!(["scim"]));
    assert_eq!(token["allowedCidrs"], json!(["192.0.2.0/24"]));
    assert_eq!(token["metadata"], json!({"team": "x=y"}));
    assert_eq!((&token["creator"], &token["type"]), (&json!("ann"), &json!("TOKEN_TYPE_CUSTOM")));
    assert_eq!(token["state"], "TOKEN_STATE_ACTIVE");
    // What is at its default is there too, and numbers of 64 bits are texts, as the mapping has it.
    assert_eq!((&token["principal"], &token["revision"]), (&json!(""), &json!("0")));
    assert!(token["expireTime"].as_str().unwrap().ends_with('Z') && token.get("revokeTime").is_none());
    let id = token["id"].as_str().unwrap();
    assert_eq!(ground.run(&["token", "show", id]).json()["token"], *token);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_one_object_a_line_page_after_page_up_to_a_limit() {
    let ground = Ground::new().await;
    let mut operator = ground.server.operator().await;
    for number in 0..205 {
        operator.create_token("acme", &format!("token {number}"), &[]).await;
    }
    let names = |words: &[&str]| -> Vec<String> {
        let list = ground.run(&[&["token", "list", "-w", "acme"], words].concat()).lines();
        list.iter().map(|token| token["name"].as_str().unwrap().to_owned()).collect()
    };
    let all = names(&[]);
    assert_eq!((all.len(), all[0].as_str(), all[204].as_str()), (205, "token 204", "token 0"));
    assert_eq!(names(&["--limit", "3"]), all[..3]);
    assert_eq!(names(&["--limit", "0"]), Vec::<String>::new());
    assert_eq!(names(&["--name-prefix", "token 20"]).len(), 6);
    assert_eq!(names(&["--state", "revoked"]), Vec::<String>::new());
    assert_eq!(names(&["--never-used", "--unused-since", "1h"]).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_enough_ends_a_list_without_an_error() {
    let ground = Ground::new().await;
    for number in 0..3 {
        ground.token(&number.to_string());
    }
    let program = env!("CARGO_BIN_EXE_tokenkeep");
    let mut shell = std::process::Command::new("bash");
    shell.arg("-c").arg(format!("exec 3>&1; {{ {program} token list -w acme; echo $? >&3; }} | true"));
    shell.env("TOKENKEEP_SERVER", format!("http://{}", ground.server.address));
    shell.env("TOKENKEEP_CREDENTIAL_FILE", ground.path("credential"));
    let output = shell.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "0\n", "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_changes_only_what_is_said() {
    let ground = Ground::new().await;
    let (id, _) = ground.token("before");
    let edit = |words: &[&str]| ground.run(&[&["token", "edit", &id], words].concat());
    let edited = edit(&["--name", "after", "--label", "a=b", "--expire-time", "2100-01-31"]).json();
    let token = &edited["token"];
    assert_eq!((&token["name"], &token["scopes"]), (&json!("after"), &json!(["articles:*"])));
    assert_eq!(token["expireTime"], "2100-01-31T00:00:00Z");
    let edited = edit(&["--no-scopes", "--no-labels", "--never-expires", "--description", "d"]).json();
    let token = &edited["token"];
    assert_eq!((&token["scopes"], &token["metadata"]), (&json!([]), &json!({})));
    assert_eq!((&token["name"], token.get("expireTime")), (&json!("after"), None));
    edit(&["--name", "late", "--etag", "stale"]).refused(1, &["(ETAG_MISMATCH)", "look at it again"]);
    edit(&[]).refused(2, &["--name"]);
    edit(&["--scope", "a", "--no-scopes"]).refused(2, &["--no-scopes"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tokens_of_a_workspace_are_counted() {
    let ground = Ground::new().await;
    for name in ["one", "two"] {
        ground.token(name);
    }
    let count = ground.run(&["token", "count", "-w", "acme", "--name-prefix", "t"]);
    assert_eq!(count.json(), json!({"count": "1", "more": false}));
}
