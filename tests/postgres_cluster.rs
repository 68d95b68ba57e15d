//! What a private cluster promises, on real clusters of the PostgreSQL that this machine has.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use std::{
    env, fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;
use tokenkeep::postgres::{Cluster, Error, Fetch, Options};
use tokio_postgres::{Client, NoTls};

/// Names the directory of the cluster that the re-run test binary is to start and hold.
const HOLD: &str = "CLUSTER_TO_HOLD";

/// A directory that the account root lends may pass.
fn open_directory() -> TempDir {
    directory(0o755)
}

fn directory(mode: u32) -> TempDir {
    tempfile::Builder::new().permissions(fs::Permissions::from_mode(mode)).tempdir().unwrap()
}

fn options(directory: PathBuf) -> Options {
    Options {
        // Shared by all tests, and of a plain path: initdb itself does not bear quotes in its own.
        builds_directory: std::env::temp_dir().join("tokenkeep-postgres-builds"),
        directory,
        binaries_directory: None,
        fetch: Fetch::Allowed,
        database: "tokenkeep".into(),
        settings: vec![("fsync".into(), "off".into())],
    }
}

fn start(directory: &Path) -> Cluster {
    Cluster::start(&options(directory.to_owned())).unwrap()
}

async fn connect(cluster: &Cluster) -> Client {
    let (client, connection) = tokio_postgres::connect(&cluster.url("tokenkeep"), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn ask(client: &Client, query: &str) -> String {
    client.query_one(query, &[]).await.unwrap().get(0)
}

fn pid(number: u32) -> Pid {
    Pid::from_raw(number.try_into().unwrap()).unwrap()
}

fn lives(process: u32) -> bool {
    // A zombie takes signals, but has no directory to work in.
    test_kill_process(pid(process)).is_ok() && fs::read_link(format!("/proc/{process}/cwd")).is_ok()
}

fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within 20 s");
        thread::sleep(Duration::from_millis(5));
    }
}

fn setpriv_is_installed() -> bool {
    let run = Command::new("setpriv").args(["--pdeathsig", "INT", "true"]).status();
    run.is_ok_and(|status| status.success())
}

#[tokio::test]
async fn a_fresh_cluster_accepts_connections_to_its_database() {
    let root = open_directory();
    let cluster = start(&root.path().join("new"));
    let client = connect(&cluster).await;
    assert_eq!(ask(&client, "SELECT current_user || '@' || current_database()").await, "tokenkeep@tokenkeep");
    for (setting, value) in
        [("server_encoding", "UTF8"), ("data_checksums", "on"), ("fsync", "off"), ("listen_addresses", "")]
    {
        assert_eq!(ask(&client, &format!("SHOW {setting}")).await, value, "{setting}");
    }
    assert_eq!(
        ask(&client, "SELECT datcollate::text FROM pg_database WHERE datname = 'tokenkeep'").await,
        "C"
    );
}

#[tokio::test]
async fn data_survives_a_restart_and_a_killed_server() {
    let root = open_directory();
    let cluster = start(root.path());
    connect(&cluster).await.batch_execute("CREATE TABLE kept (number int)").await.unwrap();
    cluster.stop().unwrap();

    let cluster = start(root.path());
    connect(&cluster).await.batch_execute("INSERT INTO kept VALUES (7)").await.unwrap();
    let killed = cluster.process_id();
    kill_process(pid(killed), Signal::KILL).unwrap();
    eventually("the server is gone", || !lives(killed));
    cluster.stop().expect("a server that ended is stopped");

    let cluster = start(root.path());
    assert_eq!(ask(&connect(&cluster).await, "SELECT number::text FROM kept").await, "7");
}

#[tokio::test]
async fn stopping_and_dropping_end_the_server_and_its_connections() {
    let root = open_directory();
    let cluster = start(root.path());
    let _open = connect(&cluster).await;
    let first = cluster.process_id();
    cluster.stop().unwrap();
    assert!(!lives(first));
    let cluster = start(root.path());
    let second = cluster.process_id();
    drop(cluster);
    assert!(!lives(second));
}

#[tokio::test]
async fn only_the_account_of_the_cluster_may_come_near_and_it_is_never_root() {
    let root = open_directory();
    let cluster = start(root.path());
    let process = fs::metadata(format!("/proc/{}", cluster.process_id())).unwrap();
    let expected = rustix::process::geteuid();
    assert_ne!(process.uid(), 0);
    assert!(expected.is_root() || process.uid() == expected.as_raw());
    for name in ["data", "socket"] {
        let metadata = fs::metadata(root.path().join(name)).unwrap();
        assert_eq!((metadata.uid(), metadata.mode() & 0o777), (process.uid(), 0o700), "{name}");
    }
    assert_eq!(fs::metadata(cluster.log_file()).unwrap().mode() & 0o777, 0o600);
    let groups = fs::read_to_string(format!("/proc/{}/status", cluster.process_id())).unwrap();
    let groups = groups.lines().find_map(|line| line.strip_prefix("Groups:")).unwrap();
    assert!(!expected.is_root() || groups.trim().is_empty(), "{groups}");
}

#[test]
fn a_second_start_on_a_directory_is_refused_by_the_holders_number() {
    let root = open_directory();
    let cluster = start(root.path());
    let error = Cluster::start(&options(root.path().to_owned())).unwrap_err();
    assert!(matches!(error, Error::InUse { .. }), "{error}");
    assert!(error.to_string().contains(&format!("process {} runs", std::process::id())), "{error}");
    cluster.stop().unwrap();
    start(root.path());
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_gets_a_short_one() {
    let root = open_directory();
    let long = root.path().join("a, \"b\" ".repeat(8)).join("c".repeat(60));
    let cluster = start(&long);
    connect(&cluster).await;
    let short = fs::read_link(long.join("socket")).unwrap();
    assert!(short.as_os_str().len() < 40, "{}", short.display());
    assert_eq!(fs::metadata(&short).unwrap().mode() & 0o777, 0o700);
    cluster.stop().unwrap();
    connect(&start(&long)).await;
    let ours = format!("tokenkeep-{}-", std::process::id());
    for parent in ["/run", "/tmp"] {
        let mut left = fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(!left.any(|name| name.to_string_lossy().starts_with(&ours)), "{parent} is not as it was");
    }
}

#[tokio::test]
async fn odd_characters_in_a_path_do_no_harm() {
    let root = open_directory();
    let cluster = start(&root.path().join("a, \"b\" %2F é"));
    connect(&cluster).await;
}

#[test]
fn a_server_that_cannot_start_tells_its_last_words() {
    let root = open_directory();
    let mut options = options(root.path().to_owned());
    options.settings.push(("no_such_setting".into(), "1".into()));
    let error = Cluster::start(&options).unwrap_err();
    assert!(matches!(error, Error::Ended { .. }), "{error}");
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}

#[test]
fn a_name_that_needs_quoting_is_refused_before_anything_is_made() {
    let root = open_directory();
    for name in ["", "Upper", "7up", "a-b", "a\"; DROP", &"a".repeat(64)] {
        let directory = root.path().join("never");
        let options = Options { database: name.into(), ..options(directory.clone()) };
        assert!(matches!(Cluster::start(&options), Err(Error::DatabaseName(_))), "{name}");
        assert!(!directory.exists());
    }
}

#[test]
fn binaries_that_were_named_and_are_not_there_are_an_error() {
    let root = open_directory();
    let named = Some(root.path().join("nothing"));
    let options = Options { binaries_directory: named, ..options(root.path().to_owned()) };
    let error = Cluster::start(&options).unwrap_err();
    assert!(matches!(error, Error::NamedBinaries(_)), "{error}");
    assert!(error.to_string().contains("nothing (named in the settings) has no `postgres`"), "{error}");
}

#[test]
fn a_cluster_of_another_major_version_is_refused_with_instructions() {
    let root = open_directory();
    start(root.path()).stop().unwrap();
    fs::write(root.path().join("data/PG_VERSION"), "14\n").unwrap();
    let options = Options { fetch: Fetch::Forbidden, ..options(root.path().to_owned()) };
    let message = Cluster::start(&options).unwrap_err().to_string();
    assert!(message.contains("made by PostgreSQL 14") && message.contains("postgresql-14"), "{message}");
}

#[test]
fn what_a_crash_left_of_a_half_made_cluster_is_cleared() {
    let root = open_directory();
    fs::create_dir(root.path().join("data.new")).unwrap();
    fs::write(root.path().join("data.new/PG_VERSION"), "half").unwrap();
    start(root.path());
    assert!(!root.path().join("data.new").exists());
}

#[test]
fn root_is_told_which_directory_its_account_may_not_pass() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let closed = directory(0o700);
    let directory = closed.path().join("below");
    let error = Cluster::start(&options(directory.clone())).unwrap_err();
    let Error::Blocked { blocked, .. } = &error else { panic!("{error}") };
    assert_eq!(blocked, &closed.path().canonicalize().unwrap());
    assert!(!directory.exists());
}

/// Runs the test below in a process of its own, which starts a cluster in `directory` and holds it.
fn holder(directory: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "a_process_that_holds_a_cluster", "--ignored"])
        .env(HOLD, directory)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "runs as a process of other tests"]
fn a_process_that_holds_a_cluster() {
    let Some(directory) = env::var_os(HOLD) else { return };
    let directory = PathBuf::from(directory);
    let cluster = start(&directory);
    fs::write(directory.join("held.part"), cluster.process_id().to_string()).unwrap();
    fs::rename(directory.join("held.part"), directory.join("held")).unwrap();
    loop {
        thread::park();
    }
}

fn held_process(directory: &Path) -> u32 {
    let file = directory.join("held");
    eventually("the holder has a cluster", || file.exists());
    fs::read_to_string(file).unwrap().parse().unwrap()
}

#[test]
fn the_server_of_a_killed_process_ends() {
    if !setpriv_is_installed() {
        return;
    }
    let root = open_directory();
    let mut holder = holder(root.path());
    let server = held_process(root.path());
    assert!(lives(server));
    holder.kill().unwrap();
    holder.wait().unwrap();
    eventually("the server is gone", || !lives(server));
    let log = fs::read_to_string(root.path().join("postgres.log")).unwrap();
    assert!(log.contains("received fast shutdown request"), "{log}");
}

/// Runs the server of a cluster once more, as a process that nothing ends.
fn run_again(cluster: Cluster) -> Child {
    let process = PathBuf::from(format!("/proc/{}", cluster.process_id()));
    let owner = fs::metadata(&process).unwrap();
    let line = fs::read_to_string(process.join("cmdline")).unwrap();
    let (program, arguments) = line.trim_end_matches('\0').split_once('\0').unwrap();
    let mut command = Command::new(program);
    if rustix::process::geteuid().is_root() {
        command.uid(owner.uid()).gid(owner.gid());
    }
    cluster.stop().unwrap();
    command.args(arguments.split('\0')).stderr(Stdio::null()).spawn().unwrap()
}

#[tokio::test]
async fn a_server_left_running_is_stopped_by_the_next_start() {
    let root = open_directory();
    let mut left = run_again(start(root.path()));
    eventually("the server is ready", || {
        fs::read_to_string(root.path().join("data/postmaster.pid")).is_ok_and(|text| text.contains("ready"))
    });
    let cluster = start(root.path());
    assert!(left.wait().unwrap().success(), "it was shut down in order");
    connect(&cluster).await;
}

#[test]
fn an_interrupt_at_the_terminal_does_not_reach_the_server() {
    let root = open_directory();
    let cluster = start(root.path());
    let group = rustix::process::getpgid(Some(pid(cluster.process_id()))).unwrap();
    assert_ne!(group, rustix::process::getpgid(None).unwrap());
}

#[test]
fn a_restart_takes_a_fraction_of_a_second() {
    let root = open_directory();
    let durable = Options { settings: Vec::new(), ..options(root.path().to_owned()) };
    Cluster::start(&durable).unwrap().stop().unwrap();
    let begun = Instant::now();
    let cluster = Cluster::start(&durable).unwrap();
    let taken = begun.elapsed();
    println!("restart on {}: {taken:?}", cluster.binaries());
    assert!(taken < Duration::from_secs(2), "{taken:?}");
}
