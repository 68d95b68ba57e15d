//! A sidecar in bad times: what it knows outlives a server for the length of a lease and not longer, and what it cannot
//! know it never calls inactive.

use std::time::{Duration, Instant};

use tokenkeep::proto::v1::InactiveReason;

use crate::clients::Client;
use crate::harness::{Server, eventually, tokenkeep};
use crate::sidecars::{LEASE, Sidecar, Told, told};

/// Between two questions of a client that never stops asking, so that others get a turn.
const GRAIN: Duration = Duration::from_millis(10);

const VERIFICATIONS: &str = "tokenkeep_argon2_runs_total{purpose=\"verify\"}";

/// Tokens that a sidecar knows.
async fn known(server: &Server, client: &mut Client, number: usize) -> Vec<(String, String)> {
    let mut operator = server.operator().await;
    let mut known = Vec::new();
    for number in 0..number {
        let (token, secret) = operator.create_token("acme", &format!("known {number}"), &[]).await;
        assert_eq!(told(client, &secret).await, Told::Active);
        known.push((token.id, secret));
    }
    known
}

async fn server() -> Server {
    let server = Server::start().await;
    server.operator().await.create_workspace("acme").await;
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_server_is_outlived_for_a_lease_and_then_nobody_can_know() {
    let server = server().await;
    let sidecar = Sidecar::beside(&[&server]).await;
    let mut client = sidecar.client().await;
    let (_, secret) = known(&server, &mut client, 1).await.remove(0);
    server.signal("STOP");
    let stopped = Instant::now();
    let (mut last_active, mut unknown) = (Duration::ZERO, 0);
    while stopped.elapsed() < LEASE + Duration::from_secs(2) {
        let asked = stopped.elapsed();
        match told(&mut client, &secret).await {
            Told::Active => last_active = asked,
            Told::Unknown(reason) => {
                assert_eq!(reason, "UPSTREAM_UNAVAILABLE");
                unknown += 1;
            }
            Told::Inactive(reason) => panic!("an outage is no verdict: {reason:?} after {asked:?}"),
        }
    }
    println!("answered until {last_active:?} after the server fell silent");
    // A lease is renewed three times in its length, and a renewal takes up to a quarter of a second.
    assert!(last_active > LEASE / 2 && last_active < LEASE, "{last_active:?}");
    assert!(unknown > 0);
    assert!(!client.health("").await.unwrap(), "without a lease and a server it does not serve");
    server.signal("CONT");
    eventually("it is known again", || {
        let (mut client, secret) = (client.clone(), secret.clone());
        async move { told(&mut client, &secret).await == Told::Active }
    })
    .await;
    sidecar.holds_a_lease().await;
}

/// Whoever follows a server.
async fn followed<'server>(servers: &[&'server Server]) -> (&'server Server, &'server Server) {
    let watchers = servers[0].metric("tokenkeep_watchers").await;
    if watchers > 0.0 { (servers[0], servers[1]) } else { (servers[1], servers[0]) }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_second_server_the_death_of_the_first_is_not_noticed() {
    let first = server().await;
    let second = Server::start_with(first.database.clone(), |command| command).await;
    let sidecar = Sidecar::beside(&[&first, &second]).await;
    let mut client = sidecar.client().await;
    let known = known(&first, &mut client, 2).await;
    let (_, unknown) = first.operator().await.create_token("acme", "unknown", &[]).await;
    let (dying, other) = followed(&[&first, &second]).await;
    dying.signal("KILL");
    let killed = Instant::now();
    assert_eq!(told(&mut client, &unknown).await, Told::Active, "a request waits for the next server");
    while killed.elapsed() < LEASE + Duration::from_secs(1) {
        assert_eq!(told(&mut client, &known[0].1).await, Told::Active, "after {:?}", killed.elapsed());
        tokio::time::sleep(GRAIN).await;
    }
    sidecar.holds_a_lease().await;
    other.operator().await.revoke_everywhere(&known[1].0).await;
    assert_eq!(told(&mut client, &known[1].1).await, Told::Inactive(InactiveReason::Revoked));
    assert_eq!(told(&mut client, &known[0].1).await, Told::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_second_server_the_silence_of_the_first_is_survived() {
    let first = server().await;
    let second = Server::start_with(first.database.clone(), |command| command).await;
    let sidecar = Sidecar::beside(&[&first, &second]).await;
    let mut client = sidecar.client().await;
    let known = known(&first, &mut client, 1).await;
    let (silent, _) = followed(&[&first, &second]).await;
    silent.signal("STOP");
    let stopped = Instant::now();
    while stopped.elapsed() < LEASE + Duration::from_secs(2) {
        assert_eq!(told(&mut client, &known[0].1).await, Told::Active, "after {:?}", stopped.elapsed());
        tokio::time::sleep(GRAIN).await;
    }
    sidecar.holds_a_lease().await;
    silent.signal("CONT");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_server_is_followed_from_where_it_was_left_and_asked_nothing_again() {
    let mut server = server().await;
    let sidecar = Sidecar::beside(&[&server]).await;
    let mut client = sidecar.client().await;
    let known = known(&server, &mut client, 20).await;
    let resolved = sidecar.calls("resolve").await;
    server.signal("KILL");
    server.wait(Duration::from_secs(5)).await;
    let mut command = server.database.command("serve");
    command.args(["--listen", &server.address.to_string(), "--operations-listen", "127.0.0.1:0"]);
    let again = Server::of(command, server.database.clone()).await;
    eventually("it is followed again", || async { sidecar.log().contains("\"resumed\":true") }).await;
    sidecar.holds_a_lease().await;
    for (_, secret) in &known {
        assert_eq!(told(&mut client, secret).await, Told::Active);
    }
    assert_eq!((sidecar.calls("resolve").await, sidecar.calls("revalidate").await), (resolved, 0.0));
    let verified = again.metric(VERIFICATIONS).await;
    assert!(verified <= 1.0, "more than the sidecar's own credential was proved: {verified}");
}

#[tokio::test(flavor = "multi_thread")]
async fn in_another_history_everything_is_asked_for_anew_by_id_and_nothing_is_proved_again() {
    let server = server().await;
    let sidecar = Sidecar::beside(&[&server]).await;
    let mut client = sidecar.client().await;
    let known = known(&server, &mut client, 20).await;
    let (resolved, verified) = (sidecar.calls("resolve").await, server.metric(VERIFICATIONS).await);
    // What happens meanwhile it does not hear of.
    sidecar.signal("STOP");
    let mut operator = server.operator().await;
    for (id, _) in &known[..5] {
        operator.revoke(id).await.unwrap();
    }
    let mut renew = tokenkeep("renew-history");
    renew.env("TOKENKEEP_DATABASE_URL", &server.database.url);
    assert!(renew.status().unwrap().success());
    sidecar.signal("CONT");
    eventually("everything is known again", || async {
        sidecar.calls("revalidate").await > 0.0 && sidecar.state("lease").await > 0.0
    })
    .await;
    for (_, secret) in &known[..5] {
        assert_eq!(told(&mut client, secret).await, Told::Inactive(InactiveReason::Revoked));
    }
    let asked = sidecar.calls("resolve").await;
    for (_, secret) in &known[5..] {
        assert_eq!(told(&mut client, secret).await, Told::Active);
    }
    assert_eq!(sidecar.calls("resolve").await, asked, "the live ones are known without asking");
    assert!(asked <= resolved + 5.0);
    assert_eq!(server.metric(VERIFICATIONS).await, verified);
    server.operator().await.revoke_everywhere(&known[5].0).await;
    assert_eq!(told(&mut client, &known[5].1).await, Told::Inactive(InactiveReason::Revoked));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_that_slept_does_not_accept_what_ended_meanwhile() {
    let server = server().await;
    let sidecar = Sidecar::beside(&[&server]).await;
    let mut client = sidecar.client().await;
    let known = known(&server, &mut client, 1).await;
    sidecar.signal("STOP");
    let begun = Instant::now();
    server.operator().await.revoke_everywhere(&known[0].0).await;
    println!("the fleet was waited for {:?}", begun.elapsed());
    // Asked while it sleeps, so that it answers as soon as it wakes.
    let secret = known[0].1.clone();
    let asked = tokio::spawn(async move { told(&mut client, &secret).await });
    tokio::task::yield_now().await;
    sidecar.signal("CONT");
    assert_ne!(asked.await.unwrap(), Told::Active);
}

#[tokio::test(flavor = "multi_thread")]
async fn before_a_server_was_ever_reached_nobody_can_know() {
    let mut server = Server::start().await;
    server.signal("KILL");
    server.wait(Duration::from_secs(5)).await;
    let secret = server.database.operator_secret.clone();
    let sidecar = Sidecar::start(&[&server], &secret, |command| command).await;
    let mut client = sidecar.client().await;
    assert_eq!(told(&mut client, &secret).await, Told::Unknown("UPSTREAM_UNAVAILABLE".to_owned()));
    // What is no token needs no server.
    assert_eq!(told(&mut client, "nonsense").await, Told::Inactive(InactiveReason::Unspecified));
    assert!(!client.health("").await.unwrap());
}
