//! A sidecar to which a server grants no lease, since it has granted as many as it may: it asks about every request.

use std::time::{Duration, Instant};

use tokenkeep::proto::v1;
use tokenkeep::proto::v1::InactiveReason;
use tokio::task::JoinSet;
use tonic::{Code, Response};
use uuid::Uuid;

use crate::clients::{Client, refusal, refused};
use crate::fleet::server;
use crate::harness::{Database, Server, eventually};
use crate::right_requests::check;
use crate::sidecars::{SCOPES, Sidecar, Told, told};

/// The most leases that a server grants.
const MOST: usize = 10_000;

/// How many connections ask for them, each for so many at once.
const ASKING: (usize, usize) = (20, 100);

fn renewal(number: usize) -> v1::RenewLeaseRequest {
    let sidecar_id = Uuid::from_u128(number.try_into().unwrap()).to_string();
    v1::RenewLeaseRequest { sidecar_id, ..Default::default() }
}

/// Takes every lease that the server grants; gives the history that they are of.
async fn exhaust(server: &Server) -> String {
    let (begun, mut renewals) = (Instant::now(), JoinSet::new());
    let (connections, at_once) = ASKING;
    for connection in 0..connections {
        let client = server.operator().await;
        for place in 0..at_once {
            let mut client = client.clone();
            let numbers = (connection * at_once + place..MOST).step_by(connections * at_once);
            renewals.spawn(async move {
                for number in numbers {
                    // Others are asking just as much, and heartbeats may be late meanwhile.
                    while let Err(status) = client.sidecars.renew_lease(renewal(number)).await {
                        let reason = refusal(&status).reason;
                        assert!(
                            ["SERVER_OVERLOADED", "DATABASE_UNAVAILABLE"].contains(&reason.as_str()),
                            "{reason}"
                        );
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            });
        }
    }
    renewals.join_all().await;
    println!("{MOST} leases were granted within {:?}", begun.elapsed());
    let mut client = server.operator().await;
    let status = client.sidecars.renew_lease(renewal(MOST)).await.unwrap_err();
    assert_eq!(refusal(&status), refused(Code::ResourceExhausted, "TOO_MANY_LEASES"));
    client.sidecars.renew_lease(renewal(0)).await.unwrap().into_inner().history
}

async fn told_of(client: &mut Client, ask: v1::IntrospectTokenRequest) -> Told {
    client.tokens.introspect_token(ask).await.map(Response::into_inner).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_granted_no_lease_asks_about_every_request_and_is_told_what_is_true() {
    let server = server(&Database::fresh().await, &["--lease", "60s"]).await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    let (_, credential) = operator.create_token("tokenkeep", "sidecar", &SCOPES).await;
    let history = exhaust(&server).await;

    let sidecar = Sidecar::start(&[&server], &credential, |command| command).await;
    let mut client = sidecar.client().await;
    let (token, secret) = operator.create_token("acme", "passed on", &[]).await;
    let ask = v1::IntrospectTokenRequest { token: secret.clone(), ..Default::default() };
    let strong = v1::IntrospectTokenRequest { strong: true, ..ask.clone() };
    for ask in [&ask, &ask, &strong] {
        assert_eq!(told_of(&mut client, ask.clone()).await, Told::Active);
    }
    let asked = check("coolset", "acme", &secret);
    let answer = client.edge.check(asked).await.unwrap().into_inner();
    assert_eq!(answer.status.unwrap().code, 0, "a proxy is answered too");
    let revision = operator.revoke(&token.id).await.unwrap().revision;
    let after = v1::IntrospectTokenRequest { min_revision: revision, ..ask.clone() };
    for ask in [ask, strong, after] {
        assert_eq!(told_of(&mut client, ask).await, Told::Inactive(InactiveReason::Revoked));
    }
    let future =
        v1::IntrospectTokenRequest { token: secret, min_revision: revision + 1, ..Default::default() };
    assert_eq!(told_of(&mut client, future).await, Told::Unknown("REVISION_NOT_REACHED".to_owned()));
    assert_eq!((sidecar.state("lease").await, sidecar.answers("cache").await), (0.0, 0.0));
    assert!(client.health("").await.unwrap(), "it serves");

    // One that is given up is its.
    let released = v1::AcknowledgeRevisionRequest {
        sidecar_id: renewal(0).sidecar_id,
        history,
        applied_revision: 0,
        released: true,
    };
    operator.sidecars.acknowledge_revision(released).await.unwrap();
    sidecar.holds_a_lease().await;
    let (_, secret) = operator.create_token("acme", "known", &[]).await;
    eventually("it answers by itself", || {
        let (mut client, sidecar, secret) = (client.clone(), &sidecar, secret.clone());
        async move { told(&mut client, &secret).await == Told::Active && sidecar.answers("cache").await > 0.0 }
    })
    .await;
}

/// What it followed until then is no ground to remember anything on: the server may be behind it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_only_passed_on_is_not_remembered_nor_known_when_the_server_is_gone() {
    let mut lost = server(&Database::fresh().await, &["--lease", "1s"]).await;
    let mut operator = lost.operator().await;
    operator.create_workspace("acme").await;
    let (_, secret) = operator.create_token("acme", "passed on", &[]).await;
    let sidecar = Sidecar::beside(&[&lost]).await;
    let mut client = sidecar.client().await;
    let sessions = sidecar.calls("follow").await;
    sidecar.signal("STOP");
    lost.process.kill().unwrap();
    lost.process.wait().unwrap();
    let mut command = lost.database.command("serve");
    command.args(["--listen", &lost.address.to_string(), "--operations-listen", "127.0.0.1:0"]);
    command.args(["--lease", "60s"]);
    let mut server = Server::of(command, lost.database.clone()).await;
    exhaust(&server).await;
    sidecar.signal("CONT");
    eventually("it has found the new server", || {
        let sidecar = &sidecar;
        async move { sidecar.calls("follow").await > sessions }
    })
    .await;
    for _ in 0..3 {
        assert_eq!(told(&mut client, &secret).await, Told::Active);
    }
    assert_eq!((sidecar.state("tokens").await, sidecar.answers("server").await), (0.0, 3.0));
    server.process.kill().unwrap();
    server.process.wait().unwrap();
    assert_eq!(told(&mut client, &secret).await, Told::Unknown("UPSTREAM_UNAVAILABLE".to_owned()));
    eventually("it serves no more", || {
        let mut client = client.clone();
        async move { !client.health("").await.unwrap() }
    })
    .await;
}
