//! The commands of docs/command-line.md, run as they stand there in one shell.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::ground::{Ended, Ground};

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_page_do_what_it_says() {
    let page = fs::read_to_string("docs/command-line.md").unwrap();
    let blocks = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let script: String = blocks.collect();
    assert!(script.contains("tokenkeep token watch"), "the page was not found");
    let ground = Ground::new().await;
    let programs = Path::new(env!("CARGO_BIN_EXE_tokenkeep")).parent().unwrap().display();
    fs::copy(ground.path("credential"), ground.path("operator-token")).unwrap();
    let mut shell = Command::new("timeout");
    shell
        .args(["60", "bash", "-euo", "pipefail", "-c"])
        .arg(format!("trap 'kill $(jobs -p) 2> /dev/null' EXIT\n{script}"));
    shell.env_clear().env("PATH", format!("{programs}:{}", std::env::var("PATH").unwrap()));
    shell
        .env("TOKENKEEP_SERVER", format!("http://{}", ground.server.address))
        .current_dir(ground.directory.path());
    let ended = tokio::task::spawn_blocking(move || Ended::of(&mut shell)).await.unwrap();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.ends_with("exit code 3\n"), "{ended:?}");
    let watched = fs::read_to_string(ground.path("events.jsonl")).unwrap();
    assert!(watched.contains("REVOCATION_KIND_REVOKED"), "{watched}");
}

/// The page and the help list the same exit codes.
#[test]
fn the_page_tells_the_exit_codes_as_the_help_does() {
    let page = fs::read_to_string("docs/command-line.md").unwrap();
    let help = Ended::of(crate::harness::tokenkeep("token").arg("--help")).out;
    let codes = help.split("Exit codes:\n").nth(1).unwrap().trim_end();
    assert_eq!(codes.lines().count(), 9);
    for line in codes.lines() {
        let (code, meaning) = line.trim().split_once(' ').unwrap();
        assert!(page.contains(&format!("| {code} | {meaning} |")), "{line}");
    }
}
