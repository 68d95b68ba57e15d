//! Servers over one database: how each holds its lease, hears of the others' changes, and comes and goes.

use std::process::Command;
use std::time::{Duration, Instant};

use tonic::Code;

use crate::clients::{Client, refusal, refused};
use crate::harness::{Database, Run, Server, eventually};
use crate::outage::Hung;
use crate::watchers::Watcher;

/// Whether a server holds its lease.
pub async fn leads(server: &Server) -> bool {
    server.metric("tokenkeep_leases{holder=\"server\"}").await == 1.0
}

/// A server over a database with settings of one's own, which holds its lease.
pub async fn server(database: &Database, settings: &[&str]) -> Server {
    let server = Server::start_with(database.clone(), |command| command.args(settings)).await;
    eventually("the server holds its lease", || leads(&server)).await;
    server
}

/// The ids of the servers, by the database.
pub async fn rows(database: &Database) -> Vec<String> {
    let rows = database.connect().await.query("SELECT id::text FROM servers ORDER BY id", &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// Tokens of `acme`, made at a server.
pub async fn tokens(server: &Server, count: usize) -> (Client, Vec<String>) {
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(operator.create_token("acme", &format!("token {number}"), &[]).await.0.id);
    }
    (operator, ids)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_lost_while_the_database_hangs_and_held_again_after() {
    let run = tokio::task::spawn_blocking(Run::begin).await.unwrap();
    let server = server(&run.template(), &["--lease", "3s"]).await;
    let frozen = Instant::now();
    let hung = Hung::new(run.cluster().process_id());
    tokio::time::sleep_until((frozen + Duration::from_millis(1_500)).into()).await;
    assert!(leads(&server).await, "a lease outlives what does not last as long");
    eventually("the lease is lost", || async { !leads(&server).await }).await;
    let lasted = frozen.elapsed();
    assert!(lasted < Duration::from_millis(4_500), "it was held for {lasted:?} without the database");
    drop(hung);
    eventually("the lease is held again", || leads(&server)).await;
    assert!(server.metric("tokenkeep_heartbeats_total{result=\"failed\"}").await > 0.0);
}

/// A primary that was deposed still answers, but commits nothing: its synchronous standby is another's by now.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_lost_when_the_database_can_be_read_but_commits_nothing() {
    let run = tokio::task::spawn_blocking(Run::begin).await.unwrap();
    let database = run.template();
    let server = server(&database, &["--lease", "1s"]).await;
    let mut operator = server.operator().await;
    let mut watcher = Watcher::at_head(&operator).await;
    let head = watcher.revision.unwrap();
    let postgres = database.connect().await;
    let standby = async |name: &str| {
        let set = format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'");
        postgres.batch_execute(&set).await.unwrap();
        postgres.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    };
    standby("nobody").await;
    eventually("the lease is lost", || async { !leads(&server).await }).await;
    fill_log_without_waiting(&postgres).await;
    assert_eq!(watcher.event().await.0, head + 1, "the log is read all the same");
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(2_500) {
        assert!(!leads(&server).await, "a lease that nobody confirmed");
    }
    let status = operator.introspect(&database.operator_secret).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    standby("").await;
    eventually("the lease is held again", || leads(&server)).await;
    assert!(operator.introspect(&database.operator_secret).await.unwrap().active);
}

/// Appends one event in a transaction that waits for no standby.
async fn fill_log_without_waiting(postgres: &tokio_postgres::Client) {
    let append = "BEGIN; SET LOCAL synchronous_commit = local; \
         INSERT INTO revisions (revision, kind, workspace, token, generation, reason, initiator) \
         SELECT max(revision) + 1, 'revoked', 'tokenkeep', gen_random_uuid(), 1, '', 'test' FROM revisions; COMMIT";
    postgres.batch_execute(append).await.unwrap();
}

/// How long after a revoke at one server a watcher at another hears of it, for each of many.
async fn hearing(doorbell: &str) -> Vec<Duration> {
    let database = Database::fresh().await;
    let servers = [server(&database, &["--doorbell", doorbell]).await, server(&database, &[]).await];
    let (mut operator, ids) = tokens(&servers[1], 40).await;
    let mut watcher = Watcher::at_head(&servers[0].operator().await).await;
    let up = if doorbell == "true" { 1.0 } else { 0.0 };
    eventually("the doorbell hangs", || async {
        servers[0].metric("tokenkeep_doorbell_up").await == up
            && servers[1].metric("tokenkeep_doorbell_up").await == 1.0
    })
    .await;
    let mut heard = Vec::new();
    for id in ids {
        operator.revoke(&id).await.unwrap();
        let revoked = Instant::now();
        assert_eq!(watcher.event().await.1.token_id, id);
        heard.push(revoked.elapsed());
        tokio::time::sleep(Duration::from_millis(37)).await;
    }
    heard.sort_unstable();
    println!("doorbell {doorbell}: {:?}, at most {:?}", heard[20], heard[39]);
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_elsewhere_is_applied_at_once_by_the_doorbell_and_within_a_second_without() {
    let mut rung = hearing("true").await;
    // Other tests may keep the machine busy.
    for _ in 0..3 {
        rung = if rung[20] < Duration::from_millis(20) { rung } else { hearing("true").await };
    }
    assert!(rung[20] < Duration::from_millis(20), "with the doorbell: {:?}", rung[20]);
    let polled = hearing("false").await;
    assert!(polled[35] < Duration::from_secs(1), "without the doorbell: {:?}", polled[39]);
    assert!(polled[20] > Duration::from_millis(20), "was the doorbell off? {:?}", polled[20]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doorbell_whose_connection_was_cut_is_hung_again() {
    let server = server(&Database::fresh().await, &[]).await;
    let up = || async { server.metric("tokenkeep_doorbell_up").await == 1.0 };
    eventually("the doorbell hangs", up).await;
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND query LIKE '%tokenkeep' AND pid <> pg_backend_pid()";
    let (mut operator, ids) = tokens(&server, 1).await;
    operator.revoke(&ids[0]).await.unwrap();
    assert!(!server.database.connect().await.query(cut, &[]).await.unwrap().is_empty());
    eventually("the loss is noticed", || async { server.log().contains("the doorbell is down") }).await;
    eventually("the doorbell hangs again", up).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_row_was_deleted_joins_anew() {
    let database = Database::fresh().await;
    let server = server(&database, &[]).await;
    let before = rows(&database).await;
    assert_eq!(before.len(), 1);
    database.connect().await.batch_execute("DELETE FROM servers").await.unwrap();
    eventually("there is a new row", || async {
        let now = rows(&database).await;
        now.len() == 1 && now != before
    })
    .await;
    eventually("the lease is held again", || leads(&server)).await;
    assert_eq!(server.metric("tokenkeep_heartbeats_total{result=\"row_lost\"}").await, 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_killed_is_removed_by_the_others_after_two_leases() {
    let database = Database::fresh().await;
    let survivor = server(&database, &["--lease", "1s"]).await;
    let mut victim = server(&database, &["--lease", "2s"]).await;
    assert_eq!(rows(&database).await.len(), 2);
    let killed = Instant::now();
    victim.process.kill().unwrap();
    eventually("its row is gone", || async { rows(&database).await.len() == 1 }).await;
    let took = killed.elapsed();
    assert!(took > Duration::from_millis(3_700), "twice the longest lease: {took:?}");
    assert!(took < Duration::from_secs(10), "and not much longer: {took:?}");
    assert!(leads(&survivor).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_drains_leaves_no_row() {
    let database = Database::fresh().await;
    let mut server = server(&database, &[]).await;
    assert_eq!(rows(&database).await.len(), 1);
    server.signal("TERM");
    let (status, took) = server.wait(Duration::from_secs(10)).await;
    assert!(status.success() && took < Duration::from_secs(5), "{status}, {took:?}");
    assert!(rows(&database).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_fails_to_start_leaves_no_row() {
    let database = Database::fresh().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = database.command("serve");
    command.arg("--listen").arg(taken.local_addr().unwrap().to_string());
    let fails = async |command: &mut Command, reason: &str| {
        let output = command.output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && log.contains("joined the fleet") && log.contains(reason),
            "{log}"
        );
        assert!(rows(&database).await.is_empty(), "{reason}");
    };
    fails(&mut command, "cannot serve").await;
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN RAISE 'no heartbeats'; END $$; \
         CREATE TRIGGER refuse BEFORE UPDATE ON servers FOR EACH ROW EXECUTE FUNCTION refuse()";
    database.connect().await.batch_execute(refuse).await.unwrap();
    fails(&mut command, "cannot use the database").await;
}

/// By hand, or because the database says that it is another than before.
#[tokio::test(flavor = "multi_thread")]
async fn every_server_follows_a_history_that_was_renewed_and_old_cursors_are_foreign() {
    let database = Database::fresh().await;
    let servers = [server(&database, &[]).await, server(&database, &[]).await];
    let (mut operator, ids) = tokens(&servers[0], 3).await;
    operator.revoke(&ids[0]).await.unwrap();
    let elsewhere = servers[1].operator().await;
    let by_hand = "UPDATE histories SET id = gen_random_uuid()";
    let moved = "UPDATE histories SET timeline = '000000FF'";
    for (change, id) in [(by_hand, &ids[1]), (moved, &ids[2])] {
        let mut watcher = Watcher::at_head(&elsewhere).await;
        database.connect().await.batch_execute(change).await.unwrap();
        let foreign = refused(Code::FailedPrecondition, "CURSOR_FOREIGN");
        assert_eq!(watcher.end().await, (vec![], foreign.clone()), "{change}");
        let status = Watcher::try_open(&elsewhere, "", &watcher.cursor).await.map(drop).unwrap_err();
        assert_eq!(refusal(&status), foreign, "{change}");
        for server in &servers {
            eventually("the lease is of the new history", || leads(server)).await;
        }
        let begun = Instant::now();
        assert!(operator.revoke_everywhere(id).await.1, "{change}");
        assert!(begun.elapsed() < Duration::from_millis(2_900), "both acknowledge: {:?}", begun.elapsed());
    }
}

/// Whoever enters profiles holds them until its commit is answered, which waits for the standby.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_waits_for_another_that_enters_profiles() {
    let database = Database::fresh().await;
    let other = database.connect().await;
    other.batch_execute("BEGIN; LOCK TABLE profiles IN SHARE ROW EXCLUSIVE MODE").await.unwrap();
    let held = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(3)).await;
        other.batch_execute("COMMIT").await.unwrap();
    });
    let server = server(&database, &[]).await;
    held.await.unwrap();
    server.operator().await.create_workspace("acme").await;
    // There is nothing to enter for the next, which waits for nobody.
    let other = database.connect().await;
    other.batch_execute("BEGIN; LOCK TABLE profiles IN SHARE ROW EXCLUSIVE MODE").await.unwrap();
    self::server(&database, &[]).await;
    other.batch_execute("COMMIT").await.unwrap();
}
