//! Connections of a server that still lead to a deposed primary while its others do not. Such a connection never fails by
//! itself, so the server must drop it, or it could not answer for good.

use std::time::{Duration, Instant};

use tokenkeep::proto::v1;

use crate::cached_undecided::told;
use crate::clients::{Client, refusal};
use crate::doors::{Asked, Door, Told, open};
use crate::fleet::{leads, server, tokens};
use crate::harness::{Database, Server, eventually};

/// A database that shows a history of its own to chosen connections, as a deposed primary would.
struct Split(tokio_postgres::Client);

impl Split {
    /// Of a database that nobody uses yet.
    async fn of(database: &Database) -> Self {
        let client = database.connect().await;
        let split = "ALTER TABLE histories RENAME TO followed; \
             CREATE TABLE deposed (backend int NOT NULL); \
             CREATE VIEW histories AS SELECT singleton, CASE WHEN pg_backend_pid() IN (SELECT backend FROM deposed) \
             THEN '01890a5d-ac96-774b-bcce-b302099a8057'::uuid ELSE id END AS id, \
             compacted, system_identifier, timeline FROM followed; \
             CREATE RULE renewed AS ON UPDATE TO histories DO INSTEAD UPDATE followed SET id = NEW.id, \
             compacted = NEW.compacted, system_identifier = NEW.system_identifier, timeline = NEW.timeline \
             RETURNING followed.*";
        client.batch_execute(split).await.unwrap();
        Self(client)
    }

    /// Has the connection whose last statement holds a word lead to the deposed primary for as long as it lives.
    async fn depose(&self, word: &str) {
        let depose = "INSERT INTO deposed SELECT pid FROM pg_stat_activity WHERE datname = current_database() \
             AND pid <> pg_backend_pid() AND strpos(query, $1) > 0";
        let depose = || async { self.0.execute(depose, &[&word]).await.unwrap() == 1 };
        eventually("there is such a connection", depose).await;
    }

    /// Has one connection, and no other, lead there: the one that was the last to be asked something with a word in it. Of
    /// several that share some work one may not be asked again for long.
    async fn depose_latest(&self, word: &str) {
        let depose = "WITH former AS (DELETE FROM deposed) INSERT INTO deposed SELECT pid FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND strpos(query, $1) > 0 \
             ORDER BY query_start DESC LIMIT 1";
        self.0.execute(depose, &[&word]).await.unwrap();
    }

    /// How many connections still lead there.
    async fn deposed(&self) -> i64 {
        let live = "SELECT count(*) FROM pg_stat_activity JOIN deposed ON backend = pid";
        self.0.query_one(live, &[]).await.unwrap().get(0)
    }
}

/// A server of which every request meets the same connection.
async fn serve_over_one_connection(database: Database) -> Server {
    let mut command = database.command("serve");
    command.args(["--listen", "127.0.0.1:0", "--operations-listen", "127.0.0.1:0"]);
    open(command.args(["--database-connections", "1", "--lease", "60s"]));
    let server = Server::of(command, database).await;
    eventually("the server holds its lease", || leads(&server)).await;
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_shows_another_history_than_is_followed_is_not_used_again() {
    let database = Database::fresh().await;
    let split = Split::of(&database).await;
    let server = serve_over_one_connection(database).await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    let (_, live) = operator.create_token("acme", "live", &[]).await;
    let (dead, revoked) = operator.create_token("acme", "dead", &[]).await;
    operator.revoke(&dead.id).await.unwrap();
    for (secret, verdict) in [(&live, "ACTIVE"), (&revoked, "REVOKED")] {
        // A look for a token is the latest that the connection of requests was used for.
        let (_, other) = operator.create_token("acme", "other", &[]).await;
        assert_eq!(told(&operator, &other).await, "ACTIVE");
        split.depose("secret_hash").await;
        assert_eq!(told(&operator, secret).await, "LEASE_LOST");
        assert_eq!(told(&operator, secret).await, verdict);
    }
}

/// The same for profiles, which a sidecar and a proxy would go by until the next change.
#[tokio::test(flavor = "multi_thread")]
async fn no_profile_is_taken_from_another_history_than_is_followed() {
    let database = Database::fresh().await;
    let split = Split::of(&database).await;
    let server = serve_over_one_connection(database).await;
    let mut operator = server.operator().await;
    let [door, _] = Door::of_server(&server, Some(&server.database.operator_secret)).await;
    for profile in ["coolset", "strapi"] {
        // A look for profiles is the latest that the connection of requests was used for.
        profiles(&mut operator).await.unwrap();
        split.depose("document").await;
        assert_eq!(profiles(&mut operator).await, Err("LEASE_LOST".to_owned()));
        assert_eq!(profiles(&mut operator).await, Ok(5));
        split.depose("document").await;
        let asked = Asked { profile, ..Asked::default() };
        assert_eq!(door.ask(&asked).await, Told::Undecided("LEASE_LOST".to_owned()));
        assert_eq!(door.ask(&asked).await.denied().0, 401);
    }
}

/// How many profiles a sidecar is told, or why none.
async fn profiles(client: &mut Client) -> Result<usize, String> {
    let answer = client.sidecars.get_profiles(v1::GetProfilesRequest::default()).await;
    answer.map(|told| told.into_inner().documents.len()).map_err(|status| refusal(&status).reason)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_read_in_another_history_than_heartbeats_are_committed_in_is_read_anew() {
    let database = Database::fresh().await;
    let split = Split::of(&database).await;
    let server = server(&database, &["--lease", "60s"]).await;
    let elsewhere = || server.log().contains("the revision log does not go on from where it was read");
    let is_read = || async {
        // Only the tail of the log asks so, ten times a second.
        split.depose_latest("LATERAL").await;
        let begun = Instant::now();
        while !elsewhere() && begun.elapsed() < Duration::from_millis(500) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        elsewhere()
    };
    eventually("the deposed primary is read", is_read).await;
    eventually("its connection is dropped", || async { split.deposed().await == 0 }).await;
    eventually("the lease is held again", || leads(&server)).await;
    let (mut operator, ids) = tokens(&server, 1).await;
    assert!(operator.revoke_everywhere(&ids[0]).await.1);
}

/// The heartbeat that finds a new history gives no lease in it. Whoever asks meanwhile has another one sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_comes_with_a_new_history_is_answered_and_not_put_off_to_the_next_heartbeat() {
    let database = Database::fresh().await;
    let server = server(&database, &[]).await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    let (dead, revoked) = operator.create_token("acme", "dead", &[]).await;
    operator.revoke(&dead.id).await.unwrap();
    let postgres = database.connect().await;
    for _ in 0..10 {
        eventually("the server holds its lease", || leads(&server)).await;
        assert_eq!(told(&operator, &database.operator_secret).await, "ACTIVE");
        postgres.batch_execute("UPDATE histories SET id = gen_random_uuid()").await.unwrap();
        assert_eq!(told(&operator, &revoked).await, "REVOKED");
    }
}
