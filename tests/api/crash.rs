//! The server is killed under load, and clients hang up midway: nothing acknowledged is lost, nothing is half done.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokenkeep::proto::v1;
use tonic::Code;

use crate::clients::Client;
use crate::harness::{Database, Server, eventually};
use crate::ledger::{Entry, Worker};

/// How often the server is killed.
const ROUNDS: u64 = 5;

/// How many clients change tokens at once.
const WORKERS: u64 = 8;

/// The choice of every change and of the moment of every kill follows from this number.
const SEED: u64 = 20_261_121;

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_write_is_lost_when_the_server_is_killed() {
    let database = Database::fresh().await;
    let mut kills = StdRng::seed_from_u64(SEED);
    let mut workers: Vec<Worker> = (0..WORKERS).map(|number| Worker::new(number, SEED)).collect();
    for round in 0..ROUNDS {
        let server = Server::start_with(database.clone(), |command| command).await;
        let mut operator = server.operator().await;
        if round == 0 {
            operator.create_workspace("acme").await;
        }
        workers = killed_midway(&server, workers, kills.random_range(40..120)).await;
        assert_whole(&database).await;
        let server = Server::start_with(database.clone(), |command| command).await;
        let mut operator = server.operator().await;
        for entry in workers.iter_mut().flat_map(|worker| &mut worker.entries) {
            entry.settle(&mut operator).await;
        }
        assert_no_token_is_unheard_of(&mut operator, &workers).await;
    }
    let entries: Vec<&Entry> = workers.iter().flat_map(|worker| &worker.entries).collect();
    let acknowledged: u32 = workers.iter().map(|worker| worker.acknowledged).sum();
    println!("seed {SEED}: {} tokens, {acknowledged} changes acknowledged", entries.len());
    assert!(entries.iter().any(|entry| entry.revoked) && entries.iter().any(|entry| entry.generation > 2));
}

/// Lets the workers change what they will, and kills the server once so many changes are acknowledged.
async fn killed_midway(server: &Server, workers: Vec<Worker>, changes: u32) -> Vec<Worker> {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let mut tasks = Vec::new();
    for mut worker in workers {
        let (mut client, sender) = (server.operator().await, sender.clone());
        tasks.push(tokio::spawn(async move {
            while worker.step(&mut client).await {
                sender.send(()).ok();
            }
            worker
        }));
    }
    for _ in 0..changes {
        tokio::time::timeout(Duration::from_secs(20), receiver.recv()).await.expect("changes go on").unwrap();
    }
    server.signal("KILL");
    let mut workers = Vec::new();
    for task in tasks {
        workers.push(task.await.unwrap());
    }
    workers
}

/// A create that was not acknowledged may have happened or not; there is at most one such for each worker and round.
async fn assert_no_token_is_unheard_of(operator: &mut Client, workers: &[Worker]) {
    for worker in workers {
        let filter = v1::TokenFilter { name_prefix: format!("{}-", worker.name), ..Default::default() };
        let request = v1::ListTokensRequest {
            workspace: "acme".to_owned(),
            filter: Some(filter),
            page_size: 1_000,
            ..Default::default()
        };
        let listed = operator.tokens.list_tokens(request).await.unwrap().into_inner();
        assert!(listed.next_page_token.is_empty());
        for token in listed.tokens {
            let known = worker.entries.iter().any(|entry| entry.id == token.id);
            assert!(known || worker.unacknowledged.contains(&token.name), "{token:?} was never asked for");
            assert!(known || (token.generation, token.revision) == (1, 0), "{token:?} is not as created");
        }
    }
}

/// The log has no gap, every token is what the log says of it, and no transaction is left open.
async fn assert_whole(database: &Database) {
    let client = database.connect().await;
    let idle = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                AND state LIKE 'idle in transaction%'";
    eventually("no transaction is left open", || async {
        client.query_one(idle, &[]).await.unwrap().get::<_, i64>(0) == 0
    })
    .await;
    let gaps = "SELECT coalesce(max(revision), 0) - count(*) FROM revisions";
    assert_eq!(client.query_one(gaps, &[]).await.unwrap().get::<_, i64>(0), 0, "the log has gaps");
    let torn = "SELECT t.id::text FROM tokens t LEFT JOIN LATERAL (
                    SELECT max(revision) AS last,
                           count(*) FILTER (WHERE kind = 'secret_replaced') AS replaced,
                           count(*) FILTER (WHERE kind = 'revoked') AS revoked
                    FROM revisions r WHERE r.token = t.id) log ON true
                WHERE t.revision <> coalesce(log.last, 0) OR t.generation <> log.replaced + 1
                   OR (t.revoke_time IS NOT NULL) <> (log.revoked = 1)";
    let torn: Vec<String> = client.query(torn, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(torn, Vec::<String>::new(), "these tokens are not what the log says");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_client_hangs_up_is_made_to_its_end() {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    let (token, secret) = operator.create_token("acme", "contended", &[]).await;
    let holder = server.database.connect().await;
    holder.batch_execute("BEGIN; SELECT FROM tokens FOR UPDATE").await.unwrap();

    let (mut leaving, id) = (server.operator().await, token.id.clone());
    let call = tokio::spawn(async move { leaving.revoke(&id).await });
    waits_for_a_lock(&server.database).await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    eventually("the server sees the client go", || async {
        server.metric("tokenkeep_connections{state=\"open\"}").await <= 1.0
    })
    .await;
    holder.batch_execute("COMMIT").await.unwrap();
    eventually("the revoke is done", || {
        let (mut operator, secret) = (operator.clone(), secret.clone());
        async move { !operator.introspect(&secret).await.unwrap().active }
    })
    .await;
    assert_whole(&server.database).await;
}

/// Waits until somebody waits for a row that is locked.
pub(crate) async fn waits_for_a_lock(database: &Database) {
    let client = database.connect().await;
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                   AND wait_event_type = 'Lock'";
    eventually("a change waits for the lock", || async {
        client.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) > 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_clients_that_hang_up_leaves_nothing_half_done() {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    let mut random = StdRng::seed_from_u64(SEED);
    let mut storm = Vec::new();
    for number in 0..200 {
        let (token, _) = operator.create_token("acme", &format!("storm {number}"), &[]).await;
        let mut client = server.operator().await;
        let call = tokio::spawn(async move {
            match number % 3 {
                0 => client.regenerate(&token.id, "*").await.map(drop),
                1 => client.revoke(&token.id).await.map(drop),
                _ => {
                    let token = v1::Token { id: token.id, name: "renamed".to_owned(), ..Default::default() };
                    let request = v1::UpdateTokenRequest { token: Some(token), ..Default::default() };
                    client.tokens.update_token(request).await.map(drop)
                }
            }
        });
        let patience = Duration::from_micros(random.random_range(0..8_000));
        storm.push(tokio::spawn(async move {
            tokio::time::sleep(patience).await;
            call.abort();
            call.await.map_or(true, |answered| answered.is_err_and(|status| status.code() != Code::Ok))
        }));
    }
    let mut left = 0;
    for client in storm {
        left += u32::from(client.await.unwrap());
    }
    println!("{left} of 200 clients hung up before they were answered");
    assert!(left > 20, "a storm of {left} is none");
    assert_whole(&server.database).await;
    operator.create_token("acme", "after the storm", &[]).await;
}
