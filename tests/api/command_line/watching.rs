//! `token watch`: every event, once, in order, whatever happens to the server meanwhile.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use super::ground::Ground;
use crate::harness::{Server, signal};

/// A watch that goes on, and what it prints.
struct Watch {
    process: Child,
    lines: Receiver<Value>,
}

impl Watch {
    fn run(command: &mut Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let out = BufReader::new(process.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                sender.send(serde_json::from_str(&line).unwrap()).ok();
            }
        });
        Self { process, lines }
    }

    /// The next line.
    #[track_caller]
    fn next(&self) -> Value {
        self.lines.recv_timeout(Duration::from_secs(20)).unwrap()
    }

    /// Tells it to stop: the exit code, and what it said on the error stream.
    fn stop(mut self, with: &str) -> (Option<i32>, String) {
        signal(self.process.id(), with);
        self.end()
    }

    fn end(&mut self) -> (Option<i32>, String) {
        let mut error = String::new();
        std::io::Read::read_to_string(&mut self.process.stderr.take().unwrap(), &mut error).unwrap();
        (self.process.wait().unwrap().code(), error)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// The cursor that it told at its end.
fn cursor(error: &str) -> String {
    error.split("--cursor '").nth(1).unwrap().split('\'').next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_as_they_happen_and_a_cursor_goes_on_right_after_them() {
    let ground = Ground::new().await;
    let ids: Vec<String> = (0..3).map(|number| ground.token(&number.to_string()).0).collect();
    let revoke = |id: &str| ground.run(&["token", "revoke", id, "--yes", "--reason", "gone"]).json();
    let watch = Watch::run(&mut ground.command(&["token", "watch", "--workspace", "acme", "--progress"]));
    // The first frame says where the watch begins.
    assert!(watch.next().get("progress").is_some());
    revoke(&ids[0]);
    let event = std::iter::repeat_with(|| watch.next()).find(|line| line.get("event").is_some()).unwrap();
    assert_eq!(event["event"]["tokenId"], ids[0]);
    assert_eq!(
        (&event["event"]["kind"], &event["event"]["reason"]),
        (&"REVOCATION_KIND_REVOKED".into(), &"gone".into())
    );
    assert!(event["cursor"].is_string() && event["revision"].is_string());
    let (code, error) = watch.stop("INT");
    assert_eq!(code, Some(0), "{error}");
    revoke(&ids[1]);
    let watch =
        Watch::run(&mut ground.command(&["token", "watch", "-w", "acme", "--cursor", &cursor(&error)]));
    assert_eq!(watch.next()["event"]["tokenId"], ids[1]);
    revoke(&ids[2]);
    let last = watch.next();
    assert_eq!(last["event"]["tokenId"], ids[2]);
    let (code, error) = watch.stop("TERM");
    assert_eq!(code, Some(0), "{error}");
    assert!(cursor(&error).len() > 10, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_outlives_its_server_and_misses_nothing() {
    let mut ground = Ground::new().await;
    let ids: Vec<String> = (0..2).map(|number| ground.token(&number.to_string()).0).collect();
    let watch = Watch::run(&mut ground.command(&["token", "watch", "--workspace", "acme", "--progress"]));
    watch.next();
    let (address, database) = (ground.server.address.to_string(), ground.server.database.clone());
    ground.server.signal("KILL");
    ground.server.wait(Duration::from_secs(5)).await;
    // Another server revokes while nobody is at the first one's address.
    let other = Server::start_with(database.clone(), |command| command).await;
    other.operator().await.revoke(&ids[0]).await.unwrap();
    let mut again = database.command("serve");
    again.args(["--listen", &address, "--operations-listen", "127.0.0.1:0", "--database-connections", "6"]);
    ground.server = Server::of(again, database).await;
    ground.run(&["token", "revoke", &ids[1], "--yes"]).json();
    let mut events = std::iter::repeat_with(|| watch.next()).filter(|line| line.get("event").is_some());
    for id in &ids {
        assert_eq!(events.next().unwrap()["event"]["tokenId"], *id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_cannot_be_gone_on_from_has_an_exit_code() {
    let ground = Ground::new().await;
    ground.run(&["token", "watch", "--cursor", "noise"]).refused(8, &["(INVALID_CURSOR)"]);
    let watch = Watch::run(&mut ground.command(&["token", "watch", "--progress"]));
    let old = watch.next()["cursor"].as_str().unwrap().to_owned();
    let renewed = ground.server.database.command("renew-history").args(["--log", "error"]).output().unwrap();
    assert!(renewed.status.success());
    let mut watch = watch;
    let (code, error) = watch.end();
    assert_eq!(code, Some(8), "{error}");
    assert!(error.contains("(CURSOR_FOREIGN)") && error.contains("watch without --cursor"), "{error}");
    ground.run(&["token", "watch", "--cursor", &old]).refused(8, &["(CURSOR_FOREIGN)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_with_the_right_to_it() {
    let ground = Ground::new().await;
    let file = ground.path("watcher").display().to_string();
    let create = [
        "token",
        "create",
        "watcher",
        "-w",
        "acme",
        "--scope",
        "tokenkeep:revocations:watch",
        "--out",
        &file,
    ];
    let id = ground.run(&create).json()["token"]["id"].as_str().unwrap().to_owned();
    let mut command = ground.command(&["token", "watch", "--progress"]);
    let mut watch = Watch::run(command.args(["--credential-file", &file]));
    watch.next();
    ground.run(&["token", "revoke", &id, "--yes"]).json();
    let (code, error) = watch.end();
    assert_eq!(code, Some(5), "{error}");
    assert!(error.contains("(CREDENTIAL_INVALID)") && error.contains("--cursor"), "{error}");
}
