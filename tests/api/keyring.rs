//! The commands that tend server keys, beside servers that go on: a roll ends nothing, a retirement ends what the key
//! minted, everywhere, and no key is ever shown.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokenkeep::keyring::ServerKey;
use tokenkeep::proto::v1;
use tokenkeep::proto::v1::InactiveReason;
use tokenkeep::token::{IssuedSecret, Kid, Presented, Secret, TokenId};
use tokenkeep::workspace::TokenPrefix;
use zeroize::Zeroizing;

use crate::clients::{Client, refusal, refused};
use crate::harness::{Database, Server, eventually, tokenkeep};
use crate::refusals::end_of;
use crate::scanner::Scanner;
use crate::sidecars::{Sidecar, Told, told};
use crate::watchers::Watcher;
use tonic::Code;

const DEAD: Told = Told::Inactive(InactiveReason::Invalidated);

/// What a command said, and how it ended.
pub struct Ended {
    code: Option<i32>,
    out: String,
    error: String,
}

impl Ended {
    fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        let [out, error] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        Self { code: output.status.code(), out, error }
    }

    #[track_caller]
    pub fn well(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.error);
        self.out
    }

    #[track_caller]
    pub fn refused(self, why: &str) {
        assert_eq!((self.code, self.out.as_str()), (Some(1), ""), "{}", self.error);
        assert!(self.error.contains(why), "{}", self.error);
    }
}

/// A fresh database, and a keyring of its own that holds the key of the operator's token.
async fn ground() -> (TempDir, Database) {
    let directory = tempfile::tempdir().unwrap();
    let shared = Database::fresh().await;
    fs::copy(shared.keyring.join("01.key"), directory.path().join("01.key")).unwrap();
    let keyring = directory.path().to_owned();
    (directory, Database { keyring, ..shared })
}

/// The same with a second key, which a server lists and nothing was minted under.
pub async fn two_keys() -> (TempDir, Server) {
    let (directory, database) = ground().await;
    add(&database);
    let server = Server::start_with(database, |command| command).await;
    settle(&server.database).await;
    server.operator().await.create_workspace("acme").await;
    (directory, server)
}

pub fn keyring(database: &Database, arguments: &[&str]) -> Ended {
    let mut command = tokenkeep("keyring");
    command.args(arguments).env("TOKENKEEP_DATABASE_URL", &database.url);
    command.env("TOKENKEEP_KEYRING", &database.keyring).args(["--log", "error"]);
    Ended::of(&mut command)
}

fn add(database: &Database) -> String {
    keyring(database, &["add"]).well()
}

/// The operator's token, minted anew.
fn reset_operator(database: &Database) -> String {
    let mut command = database.command("operator-token");
    Ended::of(command.args(["--reset", "--log", "error"])).well().trim().to_owned()
}

/// Has the keys been listed for long enough to mint.
async fn settle(database: &Database) {
    let older = "UPDATE server_keys SET create_time = create_time - interval '1 minute'";
    database.connect().await.batch_execute(older).await.unwrap();
}

fn kid_of(secret: &str) -> String {
    Presented::parse(secret).unwrap().kid.to_string()
}

/// Waits until a server mints under a key; gives a token that it minted so.
async fn mints_under(client: &Client, kid: &str) -> (v1::Token, String) {
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    loop {
        let created = client.clone().create_token("acme", "minted", &["a"]).await;
        if kid_of(&created.1) == kid {
            return created;
        }
        client.clone().revoke(&created.0.id).await.unwrap();
        assert!(std::time::Instant::now() < deadline, "it never mints under {kid}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Every row that these commands could change.
async fn rows(database: &Database) -> Vec<String> {
    let client = database.connect().await;
    let mut rows = Vec::new();
    for table in ["server_keys", "tokens", "revisions", "workspaces", "histories", "principals", "profiles"] {
        let found = client.query(&format!("SELECT to_json(t)::text FROM {table} t ORDER BY 1"), &[]).await;
        rows.extend(found.unwrap().iter().map(|row| row.get::<_, String>(0)));
    }
    rows
}

/// Asks about a token on and on, and panics as soon as it is called inactive.
fn keep_asking(mut client: Client, secret: String) -> (Arc<AtomicBool>, tokio::task::JoinHandle<usize>) {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let asking = tokio::spawn(async move {
        let mut count = 0;
        while !stopped.load(Ordering::Relaxed) {
            assert_eq!(told(&mut client, &secret).await, Told::Active, "after {count} answers");
            count += 1;
        }
        count
    });
    (stop, asking)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_rolled_to_only_once_every_server_holds_it_and_ends_nothing() {
    let (_directory, database) = ground().await;
    let elsewhere = tempfile::tempdir().unwrap();
    fs::copy(database.keyring.join("01.key"), elsewhere.path().join("01.key")).unwrap();
    let other = Database { keyring: elsewhere.path().to_owned(), ..database.clone() };
    let made = add(&database);
    assert!(made.contains("02.key") && made.contains("tokenkeep keyring roll 02"), "{made}");
    let file = database.keyring.join("02.key");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    keyring(&database, &["roll", "02"])
        .refused("the database lists no key `02`; put 02.key into the keyring");

    let lease = ["--lease", "1s"];
    let without = Server::start_with(other.clone(), |command| command.args(lease)).await;
    fs::copy(elsewhere.path().join("replay"), database.keyring.join("replay")).unwrap();
    let first = Server::start_with(database.clone(), |command| command.args(lease)).await;
    first.operator().await.create_workspace("acme").await;
    let (token, old) = mints_under(&first.operator().await, "01").await;
    let lacking = "1 of 2 servers do not hold the key `02`; put 02.key into their keyrings";
    keyring(&database, &["roll", "02"]).refused(lacking);
    fs::copy(&file, elsewhere.path().join("02.key")).unwrap();
    keyring(&database, &["roll", "02"]).refused(lacking);
    drop(without);
    let second = Server::start_with(other, |command| command.args(lease)).await;
    // The one that was killed is still in the table, until the others have found its heart to stand still.
    eventually("only the age of the key is in the way", || async {
        let ended = keyring(&database, &["roll", "02"]);
        ended.error.contains("first listed less than 10 seconds ago")
    })
    .await;
    settle(&database).await;

    let clients = [first.operator().await, second.operator().await];
    let asking = clients.map(|client| keep_asking(client, old.clone()));
    let before = rows(&database).await;
    let said = keyring(&database, &["roll", "02"]).well();
    assert!(said.contains("What 01 minted stays good"), "{said}");
    assert_eq!(rows(&database).await.len(), before.len(), "no event is appended");
    for server in [&first, &second] {
        let (_, new) = mints_under(&server.operator().await, "02").await;
        for server in [&first, &second] {
            assert_eq!(told(&mut server.operator().await, &new).await, Told::Active);
        }
    }
    for (stop, asking) in asking {
        stop.store(true, Ordering::Relaxed);
        assert!(asking.await.unwrap() > 0);
    }
    let again = first.operator().await.regenerate(&token.id, "*").await.unwrap();
    assert_eq!(kid_of(&again.secret), "02");
    assert!(keyring(&database, &["roll", "02"]).well().contains("mints already"));
    // And back, as if nothing had been.
    keyring(&database, &["roll", "01"]).well();
    mints_under(&first.operator().await, "01").await;
}

/// The ids of a workspace's tokens that a list shows as invalidated.
async fn invalidated(client: &mut Client) -> Vec<String> {
    let filter = v1::TokenFilter { states: vec![v1::TokenState::Invalidated.into()], ..Default::default() };
    let list =
        v1::ListTokensRequest { workspace: "acme".to_owned(), filter: Some(filter), ..Default::default() };
    let listed = client.tokens.list_tokens(list).await.unwrap().into_inner().tokens;
    assert!(listed.iter().all(|listed| listed.state() == v1::TokenState::Invalidated));
    listed.into_iter().map(|token| token.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retirement_ends_at_every_server_and_sidecar_what_the_key_minted_and_nothing_else() {
    let (_directory, server) = two_keys().await;
    let other = Server::start_with(server.database.clone(), |command| command).await;
    let database = &server.database;
    let mut operator = server.operator().await;
    let (token, old) = mints_under(&operator, "01").await;
    let (revoked, _) = operator.create_token("acme", "revoked before", &[]).await;
    operator.revoke(&revoked.id).await.unwrap();
    keyring(database, &["retire", "01", "--confirm"]).refused("the key `01` mints; roll to another first");
    keyring(database, &["roll", "02"]).well();
    let (_, new) = mints_under(&operator, "02").await;
    mints_under(&other.operator().await, "02").await;
    let sidecar = Sidecar::beside(&[&server]).await;
    let operator_secret = reset_operator(database);
    let mut clients =
        [server.client(&operator_secret).await, other.client(&operator_secret).await, sidecar.client().await];
    for client in &mut clients {
        for secret in [&old, &new] {
            assert_eq!(told(client, secret).await, Told::Active);
        }
    }
    let mut watcher = Watcher::at_head(&clients[0]).await;
    let head = watcher.revision.unwrap();

    let done = keyring(database, &["retire", "01", "--confirm"]).well();
    assert!(done.contains(&format!("retired as of revision {}", head + 1)), "{done}");
    for client in &mut clients {
        assert_eq!(told(client, &old).await, DEAD);
        assert_eq!(told(client, &new).await, Told::Active);
    }
    let (revision, event) = watcher.event().await;
    assert_eq!(
        (revision, event.kind(), event.kid.as_str()),
        (head + 1, v1::RevocationKind::KeyRetired, "01")
    );
    assert_eq!((event.workspace.as_str(), event.initiator.as_str()), ("", "tokenkeep keyring retire"));
    let count = "SELECT max(revision) FROM revisions";
    let last: i64 = database.connect().await.query_one(count, &[]).await.unwrap().get(0);
    assert_eq!(last, head + 1, "one event for all of it");

    let [operator, ..] = &mut clients;
    assert_eq!(operator.get_token(&token.id).await.unwrap().state(), v1::TokenState::Invalidated);
    assert_eq!(operator.get_token(&revoked.id).await.unwrap().state(), v1::TokenState::Revoked);
    assert!(invalidated(operator).await.contains(&token.id));
    let again = operator.regenerate(&token.id, "*").await.unwrap();
    for client in &mut clients {
        assert_eq!(told(client, &again.secret).await, Told::Active);
    }
    keyring(database, &["retire", "01", "--confirm"]).refused("the key `01` is retired, which is final");
    keyring(database, &["roll", "01"]).refused("the key `01` is retired, which is final");
    // The operator's token of before was minted under it too.
    let ended = server.operator().await.get_token(&token.id).await.unwrap_err();
    assert_eq!(refusal(&ended), refused(Code::Unauthenticated, "CREDENTIAL_INVALID"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_what_would_end_and_changes_nothing() {
    let (_directory, server) = two_keys().await;
    let database = &server.database;
    let mut operator = server.operator().await;
    operator.create_workspace("other").await;
    for (workspace, count) in [("acme", 3), ("other", 1)] {
        for number in 0..count {
            operator.create_token(workspace, &format!("{workspace} {number}"), &["a"]).await;
        }
    }
    let (revoked, _) = operator.create_token("acme", "revoked", &[]).await;
    operator.revoke(&revoked.id).await.unwrap();
    keyring(database, &["retire", "01"]).refused("the key `01` mints; roll to another first");
    keyring(database, &["retire", "02"]).well();
    keyring(database, &["retire", "77"]).refused("the database lists no key `77`");
    keyring(database, &["roll", "02"]).well();
    let (_, new) = mints_under(&operator, "02").await;

    let before = rows(database).await;
    let survey = keyring(database, &["retire", "01"]).well();
    assert_eq!(rows(database).await, before);
    let live = "SELECT count(*) FROM tokens WHERE kid = '01' AND revoke_time IS NULL";
    let live: i64 = database.connect().await.query_one(live, &[]).await.unwrap().get(0);
    assert_eq!(live, 5);
    assert!(survey.contains(&format!("would end {live} live tokens in 3 workspaces")), "{survey}");
    assert!(
        survey.contains("Nothing has changed. To do it: tokenkeep keyring retire 01 --confirm"),
        "{survey}"
    );
    let lines: Vec<Vec<&str>> = survey.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(lines.contains(&vec!["other", "1"]) && lines.contains(&vec!["tokenkeep", "1"]), "{survey}");
    for shown in [
        "other 0",
        "acme 0",
        "workspace tokenkeep is among them",
        "the operator's token is among them",
        "tokenkeep operator-token --reset",
    ] {
        assert!(survey.contains(shown), "{shown}: {survey}");
    }
    for hidden in ["revoked", &new[new.len() - 4..]] {
        assert!(!survey.contains(hidden), "{hidden}: {survey}");
    }
    reset_operator(database);
    let survey = keyring(database, &["retire", "01"]).well();
    assert!(!survey.contains("Warning"), "{survey}");
}

/// A string that a key of this name would issue.
fn of_key(kid: &str, byte: u8) -> String {
    let key = ServerKey::derive(Kid::parse(kid).unwrap(), &Zeroizing::new([byte; 32])).unwrap();
    let (prefix, secret) = (TokenPrefix::default(), Secret::generate().unwrap());
    let issued =
        IssuedSecret::issue(&prefix, key.kid(), TokenId::generate(), &secret, |signed| key.sign(signed));
    issued.expose().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lacks_a_key_in_use_cannot_decide_and_mints_nothing() {
    let (_directory, database) = ground().await;
    let elsewhere = tempfile::tempdir().unwrap();
    fs::copy(database.keyring.join("01.key"), elsewhere.path().join("01.key")).unwrap();
    let other = Database { keyring: elsewhere.path().to_owned(), ..database.clone() };
    let without = Server::start_with(other, |command| command).await;
    fs::copy(elsewhere.path().join("replay"), database.keyring.join("replay")).unwrap();
    let sidecar = Sidecar::beside(&[&without]).await;
    add(&database);
    let server = Server::start_with(database.clone(), |command| command).await;
    server.operator().await.create_workspace("acme").await;
    // By force, since the command refuses.
    let roll =
        "UPDATE server_keys SET state = 'live'; UPDATE server_keys SET state = 'minting' WHERE kid = '02'";
    database.connect().await.batch_execute(roll).await.unwrap();
    let (_, new) = mints_under(&server.operator().await, "02").await;
    for mut client in [without.operator().await, sidecar.client().await] {
        eventually("it has heard of the key", || {
            let (mut client, new) = (client.clone(), new.clone());
            async move { told(&mut client, &new).await != Told::Inactive(InactiveReason::Forged) }
        })
        .await;
        for _ in 0..20 {
            assert_eq!(told(&mut client, &new).await, Told::Unknown("KEY_UNAVAILABLE".to_owned()));
        }
    }
    let create = v1::CreateTokenRequest {
        workspace: "acme".to_owned(),
        name: "refused".to_owned(),
        ..Default::default()
    };
    let status = without.operator().await.tokens.create_token(create).await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::Unavailable, "KEY_UNAVAILABLE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_listed_is_unknown_only_while_the_list_is_fresh() {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    let foreign = of_key("zz", 9);
    assert_eq!(told(&mut operator, &foreign).await, Told::Inactive(InactiveReason::Forged));
    let holder = server.database.connect().await;
    holder.batch_execute("BEGIN; LOCK TABLE server_keys IN ACCESS EXCLUSIVE MODE").await.unwrap();
    eventually("the list is too old to deny by", || {
        let (mut operator, foreign) = (operator.clone(), foreign.clone());
        async move { told(&mut operator, &foreign).await == Told::Unknown("KEY_UNAVAILABLE".to_owned()) }
    })
    .await;
    holder.batch_execute("COMMIT").await.unwrap();
    eventually("the list is fresh again", || {
        let (mut operator, foreign) = (operator.clone(), foreign.clone());
        async move { told(&mut operator, &foreign).await == Told::Inactive(InactiveReason::Forged) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_of_a_retired_key_may_go_and_its_name_is_never_given_again() {
    let (_directory, server) = two_keys().await;
    let database = server.database.clone();
    let (_, old) = mints_under(&server.operator().await, "01").await;
    keyring(&database, &["roll", "02"]).well();
    mints_under(&server.operator().await, "02").await;
    keyring(&database, &["retire", "01", "--confirm"]).well();
    drop(server);
    let retired = database.keyring.join("01.key");
    let kept = fs::read(&retired).unwrap();
    let database = Database { operator_secret: reset_operator(&database), ..database };
    for file in [true, false] {
        if !file {
            fs::remove_file(&retired).unwrap();
        }
        let server = Server::start_with(database.clone(), |command| command).await;
        assert_eq!(told(&mut server.operator().await, &old).await, DEAD, "with its file: {file}");
    }
    let table = keyring(&database, &["list"]).well();
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!((row[0], row[2], row[3], row[7]), ("01", "retired", "0", "missing"), "{table}");
    keyring(&database, &["add", "--kid", "01"]).refused("a name is never given twice");
    assert!(add(&database).contains("03.key"));
    fs::write(&retired, "ab".repeat(32)).unwrap();
    assert_ne!(fs::read(&retired).unwrap(), kept);
    let mut serve = database.command("serve");
    serve.args(["--listen", "127.0.0.1:0", "--operations-listen", "none", "--log", "error"]);
    let (code, error) = end_of(serve);
    assert_eq!(code, Some(1));
    assert!(error.contains("01.key is not the key that the database lists"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_tells_what_each_key_is_for_and_no_command_ever_shows_one() {
    let (directory, server) = two_keys().await;
    let database = &server.database;
    let mut operator = server.operator().await;
    for number in 0..3 {
        operator.create_token("acme", &format!("token {number}"), &[]).await;
    }
    let (revoked, _) = operator.create_token("acme", "revoked", &[]).await;
    operator.revoke(&revoked.id).await.unwrap();
    let mut output = add(database);
    let table = keyring(database, &["list"]).well();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0][..3], ["KID", "CREATED", "STATE"]);
    let shown: Vec<_> =
        rows[1..].iter().map(|row| [row[0], row[2], row[3], row[4], row[6], row[7]]).collect();
    // The three, and the operator's.
    assert_eq!(
        shown,
        [
            ["01", "minting", "4", "1", "1", "here"],
            ["02", "live", "0", "1", "1", "here"],
            ["03", "new", "0", "0", "1", "here"],
        ],
        "{table}"
    );
    let mut alone = tokenkeep("keyring");
    alone.args(["list", "--keyring"]).arg(directory.path());
    let files = Ended::of(&mut alone).well();
    assert_eq!(files.lines().count(), 4, "{files}");
    assert!(rows[1..].iter().all(|row| files.contains(row[8])), "{files}");
    keyring(database, &["roll", "02"]).well();
    output += &(table + &files);
    for arguments in [
        &["list"] as &[_],
        &["retire", "01"],
        &["retire", "01", "--confirm"],
        &["add"],
        &["add", "--kid", "01"],
    ] {
        let mut command = tokenkeep("keyring");
        command.args(arguments).args(["--log", "trace"]).env("TOKENKEEP_DATABASE_URL", &database.url);
        let ended = Ended::of(command.env("TOKENKEEP_KEYRING", directory.path()));
        output += &(ended.out + &ended.error);
    }
    assert!(output.contains("04.key"), "{output}");
    let mut scanner = Scanner::default();
    for kid in ["01", "02", "03", "04"] {
        scanner.add_key(kid, &fs::read_to_string(directory.path().join(format!("{kid}.key"))).unwrap());
    }
    scanner.add_token("the operator's token", &database.operator_secret);
    assert_eq!(scanner.scan(output.as_bytes()), Vec::<&str>::new());
    assert_eq!(scanner.scan(server.log().as_bytes()), Vec::<&str>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_use_is_told_what_is_wrong() {
    let (directory, database) = ground().await;
    let missing = directory.path().join("mistyped");
    let usage = |arguments: &[&str]| {
        let ended = Ended::of(tokenkeep("keyring").args(arguments));
        assert_eq!((ended.code, ended.out.as_str()), (Some(2), ""), "{arguments:?}: {}", ended.error);
        ended.error
    };
    for (arguments, why) in [
        (&[] as &[&str], "Usage"),
        (&["roll"], "<KID>"),
        (&["retire", "--confirm"], "<KID>"),
        (&["roll", "1"], "two characters of 0-9, A-Z, a-z"),
        (&["roll", "02"], "TOKENKEEP_DATABASE_URL"),
        (&["retire", "02"], "TOKENKEEP_DATABASE_URL"),
        (&["add"], "--keyring"),
        (&["list"], "TOKENKEEP_KEYRING"),
        (&["drop", "02"], "drop"),
        (&["roll", "02", "--database-url", "postgres://u:hunter2@h/d"], "password"),
    ] {
        let told = usage(arguments);
        assert!(told.contains(why) && !told.contains("hunter2"), "{arguments:?}: {told}");
    }
    keyring(&database, &["add", "--kid", "01"]).refused("a name is never given twice");
    keyring(&database, &["add", "--keyring", missing.to_str().unwrap()]).refused("mistyped");
    assert!(!missing.exists());
    fs::write(directory.path().join("02.key"), "short").unwrap();
    keyring(&database, &["add"]).refused("02.key: a key file holds 64 hexadecimal digits");
    keyring(&database, &["list"]).refused("02.key: a key file holds 64 hexadecimal digits");
    let nowhere = Database { url: "postgres://tokenkeep@127.0.0.1:1/none".to_owned(), ..database };
    for arguments in [&["roll", "02"] as &[&str], &["retire", "01"], &["retire", "01", "--confirm"]] {
        keyring(&nowhere, arguments).refused("database");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_lost_everywhere_is_given_up_by_hand_and_another_mints() {
    let (_directory, database) = ground().await;
    add(&database);
    fs::remove_file(database.keyring.join("01.key")).unwrap();
    let page = fs::read_to_string("docs/keys.md").unwrap();
    let statement = "UPDATE server_keys SET state = 'retired' WHERE kid = '01'";
    assert!(page.contains(statement));
    database.connect().await.batch_execute(statement).await.unwrap();
    let server = Server::start_with(database.clone(), |command| command).await;
    let mut operator = server.client(&reset_operator(&database)).await;
    operator.create_workspace("acme").await;
    mints_under(&operator, "02").await;
}

/// The commands of the page, run as they stand there in one shell.
#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_page_about_keys_do_what_it_says() {
    let page = fs::read_to_string("docs/keys.md").unwrap();
    let blocks = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let script: String = blocks.collect();
    assert!(script.contains("keyring retire 01 --confirm"), "the page was not found");
    let database = Database::empty().await;
    let directory = tempfile::tempdir().unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_tokenkeep")).parent().unwrap().display();
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c"]);
    shell.arg(format!(
        "trap 'kill $(jobs -p) 2> /dev/null' EXIT\n{script}\ntokenkeep keyring list --keyring keyring"
    ));
    shell.env_clear().env("PATH", format!("{programs}:{}", std::env::var("PATH").unwrap()));
    shell.env("TOKENKEEP_DATABASE_URL", &database.url).current_dir(directory.path());
    let ended = tokio::task::spawn_blocking(move || Ended::of(&mut shell)).await.unwrap();
    let told = ended.well();
    let last: Vec<Vec<&str>> =
        told.lines().rev().take(2).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((last[1][0], last[1][2]), ("01", "retired"), "{told}");
    assert_eq!((last[0][0], last[0][2], last[0][3]), ("02", "minting", "1"), "{told}");
}
