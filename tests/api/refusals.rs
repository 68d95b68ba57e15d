//! Starts that are refused, each with a text that says what to do, and nothing served.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::{Database, tokenkeep};

/// How long a command that ends may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs a command to its end: its exit code and what it said on the standard error stream. One that does not end is
/// killed, and then has no code.
pub(crate) fn end_of(mut command: Command) -> (Option<i32>, String) {
    let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while process.try_wait().unwrap().is_none() {
        if begun.elapsed() > PATIENCE {
            process.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = process.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

pub fn serve(database: &Database, arguments: &[&str]) -> Command {
    let mut command = database.command("serve");
    command
        .args(["--listen", "127.0.0.1:0", "--operations-listen", "none", "--log", "error"])
        .args(arguments);
    command
}

fn with_keyring(database: &Database, keyring: &Path) -> Database {
    Database { keyring: keyring.to_owned(), ..database.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_refuses_a_keyring_that_is_missing_empty_or_anothers() {
    let database = Database::fresh().await;
    let directory = tempfile::tempdir().unwrap();
    let keyring = directory.path().join("keyring");
    let refused = || end_of(serve(&with_keyring(&database, &keyring), &[]));
    let shown = keyring.display().to_string();

    let (code, told) = refused();
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains(&shown) && told.contains("No such file"), "{told}");

    fs::create_dir(&keyring).unwrap();
    let (code, told) = refused();
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("holds no key file") && told.contains("openssl rand -hex 32"), "{told}");

    tokenkeep::keyring::create_first_key(&keyring).unwrap();
    let foreign = fs::read_to_string(keyring.join("01.key")).unwrap();
    let (code, told) = refused();
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("01.key is not the key that the database lists"), "{told}");
    assert!(!told.contains(foreign.trim()));

    fs::rename(keyring.join("01.key"), keyring.join("02.key")).unwrap();
    let (code, told) = refused();
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("has no file 01.key; put it there"), "{told}");

    fs::write(keyring.join("01.key"), "short").unwrap();
    let (code, told) = refused();
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("01.key: a key file holds 64 hexadecimal digits"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_keyring_leaves_no_trace_in_the_database() {
    let database = Database::fresh().await;
    let directory = tempfile::tempdir().unwrap();
    tokenkeep::keyring::create_first_key(directory.path()).unwrap();
    fs::rename(directory.path().join("01.key"), directory.path().join("02.key")).unwrap();
    let (code, told) = end_of(serve(&with_keyring(&database, directory.path()), &[]));
    assert_eq!(code, Some(1), "{told}");
    let listed = database.connect().await.query("SELECT kid FROM server_keys", &[]).await.unwrap();
    assert_eq!(listed.iter().map(|row| row.get::<_, &str>(0)).collect::<Vec<_>>(), ["01"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_refuses_plaintext_beyond_loopback_and_tls_by_halves() {
    let database = Database::fresh().await;
    for (arguments, code, text) in [
        (["--listen", "0.0.0.0:0"], 1, "--insecure-plaintext"),
        (["--listen", "[::]:0"], 1, "--insecure-plaintext"),
        (["--edge-listen", "0.0.0.0:0"], 1, "--insecure-plaintext"),
        (["--edge-address-header", "x-real-ip"], 2, "--edge-listen or TOKENKEEP_EDGE_LISTEN"),
        (["--tls-certificate", "certificate.pem"], 2, "--tls-key or TOKENKEEP_TLS_KEY"),
        (["--tls-key", "key.pem"], 2, "--tls-certificate or TOKENKEEP_TLS_CERTIFICATE"),
        (["--tls-client-ca", "authority.pem"], 2, "--tls-certificate"),
    ] {
        // Of two listen addresses the parser would complain, so this one is alone.
        let mut command = database.command("serve");
        command.args(["--operations-listen", "none", "--log", "error"]).args(arguments);
        let (met, told) = end_of(command);
        assert_eq!(met, Some(code), "{arguments:?}: {told}");
        assert!(told.contains(text), "{arguments:?}: {told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_refuses_a_database_that_is_not_there_or_is_not_named() {
    let database = Database::fresh().await;
    let nowhere = Database { url: "postgres://user:hunter2@127.0.0.1:1/db".to_owned(), ..database.clone() };
    let (code, told) = end_of(serve(&nowhere, &[]));
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("cannot use the database") && !told.contains("hunter2"), "{told}");
    let mut command = serve(&database, &[]);
    command.env_remove("TOKENKEEP_DATABASE_URL");
    let (code, told) = end_of(command);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("--database-url or TOKENKEEP_DATABASE_URL"), "{told}");
}

#[test]
fn what_is_no_setting_is_refused_wherever_it_stands() {
    let mut command = tokenkeep("version");
    command.env("TOKENKEEP_REFLECTON", "false");
    let (code, told) = end_of(command);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("did you mean TOKENKEEP_REFLECTION?"), "{told}");

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokenkeep.toml");
    fs::write(&file, "reflecton = false\n").unwrap();
    let mut command = tokenkeep("version");
    command.arg("--config").arg(&file);
    let (code, told) = end_of(command);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("reflecton in") && told.contains("did you mean reflection?"), "{told}");

    let mut command = tokenkeep("version");
    command.arg("--reflecton");
    assert_eq!(end_of(command).0, Some(2));
}
