//! `tokenkeep dev`: one command on one machine, its restarts and its sudden end.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::harness::{Database, Server, eventually, tokenkeep};
use crate::refusals::end_of;

/// The longest start on an existing data directory; a release build is held to less than a second elsewhere.
const START: Duration = Duration::from_secs(5);

/// A data directory that PostgreSQL's account can get to.
fn data_directory() -> TempDir {
    let open = fs::Permissions::from_mode(0o755);
    tempfile::Builder::new().prefix("tk").permissions(open).tempdir().unwrap()
}

fn command(data: &Path) -> Command {
    let mut command = tokenkeep("dev");
    command.args(["--listen", "127.0.0.1:0", "--operations-listen", "127.0.0.1:0", "--data-dir"]).arg(data);
    command.stdout(Stdio::piped());
    command
}

/// Starts `dev` and waits until it serves.
async fn start(data: &Path) -> Server {
    let database = Database {
        url: String::new(),
        keyring: data.join("keyring"),
        // It is not known before the start.
        operator_secret: String::new(),
    };
    let mut server = Server::of(command(data), database).await;
    let secret = fs::read_to_string(data.join("operator-token")).unwrap();
    server.database.operator_secret = secret.trim().to_owned();
    server
}

/// Ends it in order, and gives what it said on the standard output.
async fn stop(mut server: Server) -> String {
    server.signal("TERM");
    let (status, took) = server.wait(Duration::from_secs(15)).await;
    assert!(status.success(), "{}", server.log());
    println!("stopped in {took:?}");
    let mut told = String::new();
    server.process.stdout.take().unwrap().read_to_string(&mut told).unwrap();
    told
}

/// The processes of PostgreSQL at work in this data directory.
fn postgres_processes(data: &Path) -> usize {
    let data = data.join("postgres/data").canonicalize().unwrap();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes.filter(|process| fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd == data)).count()
}

/// The memory that a process holds, in KiB.
fn resident_memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn dev_serves_leaves_the_operators_token_and_keeps_everything_over_a_restart() {
    let directory = data_directory();
    // The data directory is made at the first start.
    let data = directory.path().join("data");
    let server = start(&data).await;
    let file = data.join("operator-token");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    let (token, secret) = operator.create_token("acme", "kept", &[]).await;
    println!("resident memory: {} KiB", resident_memory(server.process.id()));
    let (address, first_secret) = (server.address, server.database.operator_secret.clone());
    let told = stop(server).await;
    assert!(told.starts_with("grpcurl -plaintext "), "{told}");
    assert!(told.contains(&format!("$(cat '{}')", file.display())), "{told}");
    assert!(told.contains(&format!(" {address} tokenkeep.v1.WorkspaceService/ListWorkspaces")), "{told}");
    assert_eq!(postgres_processes(&data), 0, "PostgreSQL goes with it");

    let begun = Instant::now();
    let server = start(&data).await;
    let took = begun.elapsed();
    println!("serving on an existing data directory after {took:?}");
    assert!(took < START, "{took:?}");
    assert_eq!(server.database.operator_secret, first_secret);
    let mut operator = server.operator().await;
    assert!(operator.introspect(&secret).await.unwrap().active);
    assert_eq!(operator.get_token(&token.id).await.unwrap().name, "kept");
    stop(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_dev_takes_postgresql_with_it_and_the_next_start_recovers() {
    let directory = data_directory();
    let data = directory.path();
    let mut server = start(data).await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    let (token, secret) = operator.create_token("acme", "acknowledged", &[]).await;
    assert!(postgres_processes(data) > 0);
    server.signal("KILL");
    server.wait(Duration::from_secs(5)).await;
    let has_setpriv = Command::new("setpriv").arg("--version").output().is_ok();
    if has_setpriv {
        eventually("PostgreSQL ends too", || async { postgres_processes(data) == 0 }).await;
    }

    let server = start(data).await;
    let mut operator = server.operator().await;
    assert!(operator.introspect(&secret).await.unwrap().active);
    operator.revoke(&token.id).await.unwrap();
    stop(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_directory_is_used_by_one_dev_at_a_time() {
    let directory = data_directory();
    let server = start(directory.path()).await;
    let mut second = command(directory.path());
    second.args(["--log", "error"]);
    let (code, told) = end_of(second);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains(&server.process.id().to_string()), "{told}");
    assert_eq!(server.health().await, (200, true));
    stop(server).await;
}
