//! What somebody at a terminal sees: tables, colours, questions, progress; and what is not there elsewhere.

use super::ground::{Ended, Ground, Terminal};

const ESCAPE: char = '\u{1b}';

#[tokio::test(flavor = "multi_thread")]
async fn tables_and_colours_are_for_terminals() {
    let ground = Ground::new().await;
    let (id, secret) = ground.token("日本語");
    let list = ["token", "list", "-w", "acme"];
    let (code, shown) = ground.terminal(&list).end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("\u{1b}[32mACTIVE") && shown.contains("\u{1b}[1mID"), "{shown:?}");
    assert!(shown.contains(&id) && shown.contains("never") && !shown.contains(&secret), "{shown}");

    let mut plain = ground.command(&list);
    plain.env("NO_COLOR", "1");
    let (_, shown) = Terminal::run(plain).end();
    assert!(shown.starts_with("ID ") && !shown.contains(ESCAPE), "{shown:?}");
    let columns: Vec<&str> = shown.lines().map(|line| line.split("  ").next().unwrap()).collect();
    assert_eq!(columns, ["ID", &id]);

    let (_, json) = ground.terminal(&[&list[..], &["--output", "json"]].concat()).end();
    assert!(json.starts_with('{') && !json.contains(ESCAPE), "{json:?}");
    let piped = ground.run(&[&list[..], &["-o", "table"]].concat());
    assert!(piped.out.starts_with("ID ") && !piped.out.contains(ESCAPE), "{piped:?}");
    let nothing = ground.run(&["principal", "list", "-w", "acme", "-o", "table"]);
    assert_eq!((nothing.out.lines().count(), nothing.error.as_str()), (0, "none\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thing_is_shown_line_by_line() {
    let ground = Ground::new().await;
    let made = ground.run(&["token", "create", "ci", "-w", "acme", "--scope", "a", "-o", "table"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let value = |name: &str| made.out.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    assert_eq!((value("name "), value("state ")), (Some("ci"), Some("ACTIVE")));
    assert!(value("NEW SECRET ").unwrap().starts_with("tk_"), "{}", made.out);
    assert_eq!(value("revoked "), None, "what is not there has no line");
    for words in [&["workspace", "show", "acme"][..], &["workspace", "list"]] {
        let shown = ground.run(&[words, &["-o", "table"]].concat());
        assert!(shown.code == Some(0) && shown.out.contains("acme"), "{shown:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_is_asked_before_what_cannot_be_undone() {
    let ground = Ground::new().await;
    let (id, _) = ground.token("ci");
    let revoke = ["token", "revoke", &id];
    for no in ["n\n", "\n", "yep\n"] {
        let (code, shown) = ground.terminal(&revoke).when("Revoke it for good? [y/N]", no).end();
        assert_eq!(code, Some(1), "{shown}");
        assert!(shown.contains("\"ci\" in acme") && shown.contains("nothing was changed"), "{shown}");
    }
    assert_eq!(ground.state(&id), "TOKEN_STATE_ACTIVE");
    let regenerate = ground.terminal(&["token", "regenerate", &id]).when("Replace it? [y/N]", "y\n");
    let (code, shown) = regenerate.end();
    assert!(code == Some(0) && shown.contains("NEW SECRET"), "{shown}");
    let (code, shown) = ground.terminal(&revoke).when("[y/N]", "y\n").end();
    assert!(code == Some(0) && shown.contains("REVOKED"), "{shown}");
    assert_eq!(ground.state(&id), "TOKEN_STATE_REVOKED");
    let invalidate = ground.terminal(&["workspace", "invalidate", "acme"]);
    let (code, shown) = invalidate.when("Invalidate them all? [y/N]", "yes\n").end();
    assert!(code == Some(0) && shown.contains("0 tokens of acme are active"), "{shown}");
    ground.run(&["principal", "create", "ann", "-w", "acme", "--kind", "user"]).json();
    let delete = ground.terminal(&["principal", "delete", "ann", "-w", "acme"]);
    let (code, shown) = delete.when("Delete ann of acme for good, and revoke its tokens? [y/N]", "y\n").end();
    assert_eq!(code, Some(0), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_is_piped_an_answer_is_refused() {
    let ground = Ground::new().await;
    let (id, _) = ground.token("ci");
    ground.run_with(&["token", "revoke", &id], "y\n").refused(2, &["no terminal to ask at: say --yes"]);
    assert_eq!(ground.state(&id), "TOKEN_STATE_ACTIVE");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_typed_is_not_shown() {
    let ground = Ground::new().await;
    let (_, secret) = ground.token("ci");
    let (code, shown) =
        ground.terminal(&["token", "introspect"]).when("Token: ", &format!("{secret}\n")).end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("ALLOW") && !shown.contains(&secret), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_wait_says_what_for_on_a_terminal_only() {
    let ground = super::ground::ground_with(&["--lease", "4s"]).await;
    let (id, _) = ground.token("ci");
    // A server that holds a lease and has stopped is waited out.
    let other = crate::harness::Server::start_with(ground.server.database.clone(), |command| {
        command.args(["--lease", "4s"])
    })
    .await;
    other.signal("STOP");
    let (code, shown) = ground.terminal(&["token", "revoke", &id, "--yes", "--wait", "fleet"]).end();
    other.signal("CONT");
    assert_eq!(code, Some(0), "{shown}");
    assert!(
        shown.contains("waiting until no cache answers from before (1.") && shown.contains("fleet confirmed"),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_shown_before_they_are_revoked() {
    let ground = Ground::new().await;
    let ids: Vec<String> = (0..12).map(|number| ground.token(&format!("old {number}")).0).collect();
    let bulk = ["token", "bulk-revoke", "-w", "acme", "--name-prefix", "old"];
    let question = "Revoke these tokens (12) of acme for good? [y/N]";
    let (code, shown) = ground.terminal(&bulk).when(question, "n\n").end();
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("old 11") && shown.contains("… and 2 more"), "{shown}");
    assert_eq!(ground.state(&ids[0]), "TOKEN_STATE_ACTIVE");
    let (code, shown) = ground.terminal(&bulk).when(question, "y\n").end();
    assert_eq!(code, Some(0), "{shown}");
    assert_eq!(ground.state(&ids[0]), "TOKEN_STATE_REVOKED");
}

#[test]
fn the_help_is_coloured_at_terminals_only() {
    let piped = Ended::of(crate::harness::tokenkeep("token").arg("--help"));
    assert!(piped.code == Some(0) && !piped.out.contains(ESCAPE), "{piped:?}");
    assert!(piped.out.contains("Exit codes:\n  0 done"), "{}", piped.out);
}
