//! Leases that a server grants: whoever waits for the fleet waits for their holders too, also when the server goes.

use std::time::{Duration, Instant};

use tokenkeep::proto::v1;
use uuid::Uuid;

use crate::clients::Client;
use crate::fleet::{rows, server, tokens};
use crate::harness::{Database, Server, eventually};

const PROCESSOR: &str = "process_cpu_seconds_total";

/// A sidecar without a cache: it holds a lease and says what it is told to say.
struct Holder {
    client: Client,
    id: String,
    history: String,
}

impl Holder {
    async fn join(server: &Server) -> Self {
        let (client, id) = (server.operator().await, Uuid::new_v4().to_string());
        let mut holder = Self { client, id, history: String::new() };
        holder.renew().await;
        holder
    }

    /// Gives what the lease needs.
    async fn renew(&mut self) -> i64 {
        let request = v1::RenewLeaseRequest { sidecar_id: self.id.clone(), ..Default::default() };
        let granted = self.client.sidecars.renew_lease(request).await.unwrap().into_inner();
        self.history = granted.history;
        granted.revision
    }

    async fn acknowledge(&mut self, applied_revision: i64, released: bool) {
        let (sidecar_id, history) = (self.id.clone(), self.history.clone());
        let request = v1::AcknowledgeRevisionRequest { sidecar_id, history, applied_revision, released };
        self.client.sidecars.acknowledge_revision(request).await.unwrap();
    }
}

async fn granted(server: &Server) -> f64 {
    server.metric("tokenkeep_leases{holder=\"sidecars\"}").await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fleet_is_confirmed_when_the_last_holder_says_so_at_whichever_server() {
    let database = Database::fresh().await;
    let servers = [server(&database, &["--lease", "9s"]).await, server(&database, &["--lease", "9s"]).await];
    let (operator, ids) = tokens(&servers[0], 2).await;
    for (granter, id) in servers.iter().zip(ids) {
        let mut holder = Holder::join(granter).await;
        let head = holder.renew().await;
        holder.acknowledge(head, false).await;
        assert_eq!(granted(granter).await, 1.0);
        let (begun, mut waiter) = (Instant::now(), operator.clone());
        let waiting = tokio::spawn(async move { waiter.revoke_everywhere(&id).await.1 });
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert!(!waiting.is_finished(), "the holder has not applied it");
        holder.acknowledge(head + 1, false).await;
        assert!(waiting.await.unwrap());
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(6), "{took:?}");
        holder.acknowledge(head + 1, true).await;
        assert_eq!(granted(granter).await, 0.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_says_nothing_is_waited_for_until_its_lease_has_run_out() {
    let database = Database::fresh().await;
    let server = server(&database, &["--lease", "2s"]).await;
    let (mut operator, ids) = tokens(&server, 2).await;
    let mut holder = Holder::join(&server).await;
    let head = holder.renew().await;
    holder.acknowledge(head, false).await;
    let (begun, used) = (Instant::now(), server.metric(PROCESSOR).await);
    assert!(operator.revoke_everywhere(&ids[0]).await.1);
    let took = begun.elapsed();
    assert!((Duration::from_millis(1_900)..Duration::from_secs(4)).contains(&took), "{took:?}");
    let used = server.metric(PROCESSOR).await - used;
    println!("waiting for it took {used:.2} s of a processor");
    assert!(used < took.as_secs_f64() / 4.0, "{used:.2} s of a processor in {took:?}");
    assert_eq!(holder.renew().await, head + 1, "whoever comes back needs what it has missed");
    let begun = Instant::now();
    holder.acknowledge(0, true).await;
    assert!(operator.revoke_everywhere(&ids[1]).await.1);
    assert!(begun.elapsed() < Duration::from_millis(1_900), "{:?}", begun.elapsed());
}

/// Others wait for the holders of its leases as long as these may last, and no longer.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_drains_with_live_grants_leaves_its_row_behind_for_a_while() {
    let database = Database::fresh().await;
    let survivor = server(&database, &["--lease", "2s"]).await;
    let mut leaver = server(&database, &["--lease", "2s"]).await;
    let (mut operator, ids) = tokens(&survivor, 2).await;
    let mut holder = Holder::join(&leaver).await;
    holder.renew().await;
    leaver.signal("TERM");
    let (status, took) = leaver.wait(Duration::from_secs(10)).await;
    assert!(status.success() && took < Duration::from_secs(5), "{status}, {took:?}");
    assert_eq!(rows(&database).await.len(), 2, "a sidecar may still answer by its lease");
    let begun = Instant::now();
    assert!(operator.revoke_everywhere(&ids[0]).await.1);
    assert!(begun.elapsed() > Duration::from_secs(2), "{:?}", begun.elapsed());
    eventually("its row is gone", || async { rows(&database).await.len() == 1 }).await;
    let begun = Instant::now();
    assert!(operator.revoke_everywhere(&ids[1]).await.1);
    assert!(begun.elapsed() < Duration::from_millis(1_900), "{:?}", begun.elapsed());
}
