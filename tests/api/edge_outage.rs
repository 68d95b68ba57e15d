//! The database goes away behind the edge: a client is let through or nobody can know, and never turned away for it.

use std::time::{Duration, Instant};

use crate::doors::{Asked, Door, Told, open, sidecar_beside};
use crate::harness::{Run, Server, eventually};
use crate::sidecars::LEASE;

#[tokio::test(flavor = "multi_thread")]
async fn without_the_database_nobody_is_turned_away() {
    let mut run = tokio::task::spawn_blocking(Run::begin).await.unwrap();
    let server = Server::start_with(run.template(), open).await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    let (_, credential) = operator.create_token("acme", "proxy", &["tokenkeep:introspect"]).await;
    let (_, known) = operator.create_token("acme", "known", &[]).await;
    let (_, unknown) = operator.create_token("acme", "unknown", &[]).await;
    let sidecar = sidecar_beside(&server).await;
    let mut doors = Door::of_server(&server, Some(&credential)).await.to_vec();
    doors.extend(Door::of_sidecar(&sidecar).await);
    let (known, unknown) = (format!("Bearer {known}"), format!("Bearer {unknown}"));
    let known = asked(&known);
    for door in &doors {
        door.ask(&known).await.through();
    }
    tokio::task::block_in_place(|| run.stop_postgres());
    let stopped = Instant::now();
    while stopped.elapsed() < LEASE + Duration::from_secs(1) {
        for door in &doors {
            let told = door.ask(&known).await;
            assert!(!matches!(told, Told::Denied { .. }), "{}: {told:?}", door.name);
        }
    }
    for door in &doors {
        for asked in [&known, &asked(&unknown)] {
            let told = door.ask(asked).await;
            assert!(matches!(told, Told::Undecided(_)), "{}: {told:?}", door.name);
        }
    }
    tokio::task::block_in_place(|| run.start_postgres());
    for door in &doors {
        eventually("it is known again", || {
            let (door, known) = (door.clone(), known.clone());
            async move { matches!(door.ask(&known).await, Told::Through { .. }) }
        })
        .await;
    }
}

fn asked(authorization: &str) -> Asked<'_> {
    let headers = vec![("authorization", authorization)];
    Asked { profile: "coolset", workspace: "acme", headers, ..Asked::default() }
}
