//! What a server that has lost the database's confirmation answers: no verdict, of cached tokens and of others.

use std::time::{Duration, Instant};

use tonic::{Code, Status};

use crate::cached::scene;
use crate::clients::{Client, refusal};
use crate::harness::{Database, Run, Server, eventually};
use crate::outage::Hung;

/// One introspection: when it was asked, and what came of it.
struct Asked {
    begun: Instant,
    answer: Result<bool, Status>,
}

/// Asks all the while, without waiting for answers, until told to stop.
async fn ask_for(time: Duration, client: &Client, secret: &str) -> Vec<Asked> {
    let (until, mut calls) = (Instant::now() + time, tokio::task::JoinSet::new());
    while Instant::now() < until {
        let (mut client, secret) = (client.clone(), secret.to_owned());
        calls.spawn(async move {
            let begun = Instant::now();
            let answer = client.introspect(&secret).await;
            Asked { begun, answer: answer.map(|told| told.active) }
        });
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    calls.join_all().await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_lease_nothing_is_accepted_and_nothing_called_dead() {
    const LEASE: Duration = Duration::from_secs(1);
    let run = tokio::task::spawn_blocking(Run::begin).await.unwrap();
    let server = Server::start_with(run.template(), |command| command.args(["--lease", "1s"])).await;
    let (operator, _, secret) = scene(&server, &[]).await;
    let hung = Hung::new(run.cluster().process_id());
    let stopped = Instant::now();
    let asked = ask_for(Duration::from_secs(3), &operator, &secret).await;
    let accepted = asked.iter().filter(|asked| matches!(asked.answer, Ok(true)));
    let latest = accepted.map(|asked| asked.begun.duration_since(stopped)).max();
    // A heartbeat that was sent before the stop is the last that can count.
    assert!(latest.is_some_and(|latest| latest <= LEASE), "accepted {latest:?} after the stop");
    let mut refused = 0;
    for Asked { answer, .. } in asked {
        match answer {
            Ok(active) => assert!(active, "a live token was called inactive"),
            Err(status) => {
                assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                refused += 1;
            }
        }
    }
    assert!(refused > 50, "only {refused} could not be decided");
    drop(hung);
    eventually("the token is accepted again", || {
        let (mut operator, secret) = (operator.clone(), secret.clone());
        async move { operator.introspect(&secret).await.is_ok_and(|told| told.active) }
    })
    .await;
}

/// Somebody keeps every heartbeat from being written, while all can be read: as a primary that was deposed does.
struct Unconfirming(tokio_postgres::Client);

impl Unconfirming {
    async fn of(server: &Server) -> Self {
        let client = server.database.connect().await;
        client.batch_execute("BEGIN; SELECT FROM servers FOR UPDATE").await.unwrap();
        Self(client)
    }

    async fn end(self) {
        self.0.batch_execute("ROLLBACK").await.unwrap();
    }
}

/// Why there is no verdict, or the verdict.
pub async fn told(client: &Client, secret: &str) -> String {
    match client.clone().introspect(secret).await {
        Ok(told) if told.active => "ACTIVE".to_owned(),
        Ok(told) => told.inactive_reason().as_str_name().replace("INACTIVE_REASON_", ""),
        Err(status) => refusal(&status).reason,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_can_be_read_but_confirms_nothing_decides_nothing() {
    let server = Server::start_with(Database::fresh().await, |command| command.args(["--lease", "1s"])).await;
    let (mut operator, _, known) = scene(&server, &[]).await;
    let (_, unknown) = operator.create_token("acme", "unknown to the cache", &[]).await;
    let (dead, revoked) = operator.create_token("acme", "dead", &[]).await;
    operator.revoke(&dead.id).await.unwrap();
    let unconfirming = Unconfirming::of(&server).await;
    eventually("the lease runs out", || async {
        server.metric("tokenkeep_leases{holder=\"server\"}").await == 0.0
    })
    .await;
    // Who asks is not known any more either.
    for secret in [&known, &unknown, &revoked] {
        assert_eq!(told(&operator, secret).await, "LEASE_LOST");
    }
    unconfirming.end().await;
    eventually("the token is accepted again", || async { told(&operator, &known).await == "ACTIVE" }).await;
    assert_eq!(
        (told(&operator, &unknown).await, told(&operator, &revoked).await),
        ("ACTIVE".to_owned(), "REVOKED".to_owned())
    );
}

/// A primary that was deposed while the lease still holds may not know yet that a secret was made, or a lifetime renewed;
/// and it may know a revocation that no standby ever heard of. One that a heartbeat has confirmed is for ever.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_database_may_only_not_know_yet_is_told_only_if_it_confirms() {
    let server =
        Server::start_with(Database::fresh().await, |command| command.args(["--lease", "60s"])).await;
    let (mut operator, _, known) = scene(&server, &[]).await;
    let (_, fresh) = operator.create_token("acme", "fresh", &[]).await;
    let (before, confirmed) = operator.create_token("acme", "dead before", &[]).await;
    operator.revoke(&before.id).await.unwrap();
    assert_eq!(told(&operator, &confirmed).await, "REVOKED");
    let (after, revoked) = operator.create_token("acme", "dead after", &[]).await;
    let (token, superseded) = operator.create_token("acme", "regenerated", &[]).await;
    let unconfirming = Unconfirming::of(&server).await;
    operator.revoke(&after.id).await.unwrap();
    operator.regenerate(&token.id, "*").await.unwrap();
    let expected = [
        (&known, "ACTIVE"),
        (&fresh, "ACTIVE"),
        (&confirmed, "REVOKED"),
        (&revoked, "LEASE_LOST"),
        (&superseded, "LEASE_LOST"),
    ];
    for (secret, verdict) in expected {
        assert_eq!(told(&operator, secret).await, verdict);
    }
    unconfirming.end().await;
    eventually("the database confirms", || async { told(&operator, &superseded).await == "SUPERSEDED" })
        .await;
}
