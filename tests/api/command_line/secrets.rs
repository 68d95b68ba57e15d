//! The way of secrets: in by a file or the standard input, out once, and nowhere else.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::json;

use super::ground::{Ended, Ground};

#[tokio::test(flavor = "multi_thread")]
async fn a_presented_token_is_read_from_a_file_or_the_standard_input() {
    let ground = Ground::new().await;
    let (id, secret) = ground.token("ci");
    let judged = ground.run_with(&["token", "introspect"], &format!("{secret}\n")).json();
    assert_eq!((&judged["active"], &judged["jti"]), (&json!(true), &json!(id)));
    fs::write(ground.path("presented"), &secret).unwrap();
    let file = ground.path("presented").display().to_string();
    let words = ["token", "introspect", "--token-file", &file];
    let allowed = ground.run(&[&words[..], &["--required-scope", "articles:find", "--strong"]].concat());
    assert_eq!(allowed.json()["decision"], "DECISION_ALLOW");
    let short = ground.run(&[&words[..], &["--required-scope", "orders:find"]].concat());
    assert_eq!((short.code, &short.lines()[0]["missingScopes"]), (Some(3), &json!(["orders:find"])));
    let other = ground.run(&[&words[..], &["--workspace", "tokenkeep"]].concat());
    assert_eq!((other.code, &other.lines()[0]["active"]), (Some(3), &json!(false)));
    let unknown = ground.run_with(&["token", "introspect"], "noise");
    assert_eq!(
        (unknown.code, &unknown.lines()[0]["inactiveReason"]),
        (Some(3), &json!("INACTIVE_REASON_MALFORMED"))
    );
    ground.run_with(&["token", "introspect"], " \n").refused(2, &["no token in the standard input"]);
    ground
        .run(&["token", "introspect", "--token-file", "/not/there"])
        .refused(1, &["cannot read /not/there"]);
    // Where a secret might be put by mistake, it is refused, and not repeated.
    let argument = ground.run(&["token", "introspect", "--token", &secret]);
    assert_eq!(argument.code, Some(2));
    assert!(!argument.error.contains(&secret), "{argument:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_secret_goes_to_a_file_for_its_owner_only() {
    let ground = Ground::new().await;
    let file = ground.path("secret").display().to_string();
    let made = ground.run(&["token", "create", "ci", "-w", "acme", "--out", &file]).json();
    assert_eq!(made["secret"], "");
    let secret = fs::read_to_string(&file).unwrap();
    assert!(secret.starts_with("tk_") && secret.ends_with('\n'));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(ground.run_with(&["token", "introspect"], &secret).code, Some(0));
    let id = made["token"]["id"].as_str().unwrap();
    // A place that cannot be written is found out before the present secret ends.
    let nowhere = ground.run(&["token", "regenerate", id, "--yes", "--out", "/not/there/secret"]);
    nowhere.refused(1, &["cannot write /not/there/secret"]);
    assert_eq!(ground.run_with(&["token", "introspect"], &secret).code, Some(0));
    ground.run(&["token", "regenerate", id, "--yes", "--out", &file]).json();
    assert_ne!(fs::read_to_string(&file).unwrap(), secret);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_output_but_the_one_that_shows_it_holds_a_secret() {
    let ground = Ground::new().await;
    let (id, secret) = ground.token("ci");
    let operator = &ground.server.database.operator_secret;
    let all = [
        ground.run(&["token", "show", &id, "--log", "trace"]),
        ground.run_with(&["token", "introspect", "--log", "trace"], &secret),
        ground.run(&["token", "list", "-w", "acme", "--log", "trace"]),
        ground.run_with(&["token", "introspect", "-w", "NOT AN ID", "--log", "trace"], &secret),
        ground.run(&["token", "revoke", &id, "--yes", "--log", "trace"]),
    ];
    for ended in all {
        let told = format!("{}{}", ended.out, ended.error);
        assert!(!told.contains(&secret) && !told.contains(operator), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_credential_is_a_file_or_a_variable_and_never_an_argument() {
    let ground = Ground::new().await;
    let secret = ground.server.database.operator_secret.clone();
    let list = |change: &dyn Fn(&mut std::process::Command)| {
        let mut command = ground.command(&["workspace", "list"]);
        change(&mut command);
        Ended::of(&mut command)
    };
    let by_variable = list(&|command| {
        command.env_remove("TOKENKEEP_CREDENTIAL_FILE").env("TOKENKEEP_CREDENTIAL", &secret);
    });
    assert_eq!(by_variable.code, Some(0), "{by_variable:?}");
    let by_argument = list(&|command| {
        command.args(["--credential", &secret]);
    });
    by_argument.refused(2, &["TOKENKEEP_CREDENTIAL", "--credential-file"]);
    assert!(!by_argument.error.contains(&secret));
    list(&|command| {
        command.env("TOKENKEEP_CREDENTIAL", &secret);
    })
    .refused(2, &["are both set"]);
    let none = list(&|command| {
        command.env_remove("TOKENKEEP_CREDENTIAL_FILE");
    });
    none.refused(2, &["--credential-file", "TOKENKEEP_CREDENTIAL_FILE"]);
    fs::write(ground.path("noise"), "hunter2").unwrap();
    let noise = list(&|command| {
        command.env("TOKENKEEP_CREDENTIAL_FILE", ground.path("noise"));
    });
    noise.refused(1, &["noise holds no token"]);
    assert!(!noise.error.contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn leaked_secrets_are_revoked_by_whoever_holds_them() {
    let ground = Ground::new().await;
    let leaked: Vec<(String, String)> = (0..101).map(|number| ground.token(&number.to_string())).collect();
    let secrets: Vec<&str> = leaked.iter().map(|(_, secret)| secret.as_str()).collect();
    let list = format!("{}\n\nnoise\n", secrets.join("\n"));
    let words = ["token", "revoke-secret", "--reason", "leaked"];
    ground.run_with(&words, &list).refused(2, &["--yes"]);
    let ended = ground.run_with(&[&words[..], &["--yes"]].concat(), &list);
    assert_eq!(ended.json(), json!({}));
    assert!(!ended.error.contains("tk_"), "{}", ended.error);
    for (id, _) in [&leaked[0], &leaked[100]] {
        assert_eq!(ground.state(id), "TOKEN_STATE_REVOKED");
    }
    ground.run_with(&[&words[..], &["--yes"]].concat(), "\n").refused(2, &["no token in the standard input"]);
}
