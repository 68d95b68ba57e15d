//! What goes wrong is told clearly, on the error stream, with an exit code for scripts.

use std::fs;
use std::process::Command;
use std::time::Instant;

use super::ground::{Ended, Ground, nowhere};
use crate::harness::tokenkeep;

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_field_has_a_line_of_its_own() {
    let ground = Ground::new().await;
    let words = ["token", "create", " ", "-w", "acme", "--scope", "a b", "--allowed-cidr", "here"];
    let ended = ground.run(&words);
    ended.refused(
        2,
        &[
            "error: ",
            "(INVALID_FIELD)",
            "\n  name: is required",
            "\n  scopes[0]: must be",
            "\n  allowed_cidrs[0]: ",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_and_what_is_not_allowed_have_their_exit_codes() {
    let ground = Ground::new().await;
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    ground.run(&["token", "show", id]).refused(4, &["(TOKEN_NOT_FOUND)"]);
    ground.run(&["token", "revoke", id, "--yes"]).refused(4, &["(TOKEN_NOT_FOUND)"]);
    let file = ground.path("small").display().to_string();
    let scope =
        ["token", "create", "small", "-w", "acme", "--scope", "tokenkeep:tokens:read", "--out", &file];
    let small = ground.run(&scope).json()["token"]["id"].as_str().unwrap().to_owned();
    let by_small = |words: &[&str]| Ended::of(ground.command(words).args(["--credential-file", &file]));
    assert_eq!(by_small(&["token", "show", &small]).code, Some(0));
    by_small(&["token", "revoke", &small, "--yes"])
        .refused(5, &["(SCOPE_REQUIRED)", "has the scope tokenkeep:tokens:revoke"]);
    by_small(&["token", "list", "-w", "tokenkeep"]).refused(5, &["(WORKSPACE_DENIED)"]);
    ground.run(&["token", "revoke", &small, "--yes", "--wait", "fleet"]).json();
    by_small(&["token", "show", &small]).refused(5, &["(CREDENTIAL_INVALID)", "TOKENKEEP_CREDENTIAL_FILE"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_tried_again_a_few_times() {
    let ground = Ground::new().await;
    let begun = Instant::now();
    let ended = Ended::of(ground.command(&["workspace", "list"]).env("TOKENKEEP_SERVER", nowhere()));
    ended.refused(6, &["cannot reach http://127.0.0.1:1", "Connection refused", "--server"]);
    let tried = begun.elapsed().as_millis();
    assert!((700..10_000).contains(&tried), "{tried} ms");
    let mut impatient = ground.command(&["workspace", "list", "--timeout", "100ms"]);
    Ended::of(impatient.env("TOKENKEEP_SERVER", nowhere())).refused(6, &["no answer", "within 100ms"]);
    let mut change = ground.command(&["workspace", "create", "x", "--timeout", "100ms"]);
    Ended::of(change.env("TOKENKEEP_SERVER", nowhere())).refused(7, &["look before you try again"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_goes_through_once_the_server_is_back() {
    let ground = Ground::new().await;
    let address = ground.server.address;
    // Nobody is at this address for the first attempts.
    let late = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let there = late.local_addr().unwrap();
    drop(late);
    let mut command = ground.command(&["workspace", "list"]);
    command.env("TOKENKEEP_SERVER", format!("http://{there}"));
    let running = tokio::task::spawn_blocking(move || Ended::of(&mut command));
    tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    let listener = tokio::net::TcpListener::bind(there).await.unwrap();
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let mut to = tokio::net::TcpStream::connect(address).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut from, &mut to).await });
        }
    });
    let ended = running.await.unwrap();
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_is_one_that_no_secret_leaks_from() {
    let ground = Ground::new().await;
    let asked =
        |server: &str| Ended::of(ground.command(&["workspace", "list"]).env("TOKENKEEP_SERVER", server));
    asked("http://192.0.2.1:50051").refused(2, &["beyond loopback", "--insecure-plaintext"]);
    asked("127.0.0.1:50051").refused(2, &["no address of a server", "unix:/path"]);
    // The credential that `dev` left is presented to no server that was named.
    let home = ground.path("home");
    fs::create_dir(&home).unwrap();
    fs::copy(ground.path("credential"), home.join("operator-token")).unwrap();
    let mut named = ground.command(&["workspace", "list"]);
    named.env_remove("TOKENKEEP_CREDENTIAL_FILE").arg("--data-dir").arg(&home);
    Ended::of(&mut named).refused(2, &["no credential is set"]);
    let mut local = tokenkeep("workspace");
    local.args(["list", "--timeout", "1s", "--data-dir"]).arg(&home);
    let ended = Ended::of(&mut local);
    assert!(!ended.error.contains("no credential"), "{ended:?}");
}

#[test]
fn the_scripts_for_shells_are_right_and_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = Ended::of(tokenkeep("completion").arg(shell));
        assert_eq!((ended.code, ended.error.as_str()), (Some(0), ""));
        for word in ["bulk-revoke", "invalidate", "credential-file", "required-scope"] {
            assert!(ended.out.contains(word), "{shell} does not know {word}");
        }
        let checks =
            Command::new(shell).arg("--version").output().is_ok_and(|output| output.status.success());
        assert!(checks || shell != "bash", "there is no bash to check with");
        if checks {
            let checked = Ended::with_input(Command::new(shell).arg("-n"), &ended.out);
            assert_eq!((checked.code, checked.error.as_str()), (Some(0), ""), "{shell}");
        }
    }
    assert_eq!(Ended::of(tokenkeep("completion").arg("tcsh")).code, Some(2));
}

/// What bash offers after a word that was begun.
#[test]
fn bash_completes_a_word_that_was_begun() {
    let script = Ended::of(tokenkeep("completion").arg("bash")).out;
    let ask = "COMP_WORDS=(tokenkeep token rev); COMP_CWORD=2; _tokenkeep tokenkeep rev token; echo ${COMPREPLY[@]}";
    let ended = Ended::with_input(&mut Command::new("bash"), &format!("{script}\n{ask}\n"));
    assert_eq!((ended.code, ended.out.trim()), (Some(0), "revoke revoke-secret"), "{}", ended.error);
}
