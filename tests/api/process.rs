//! The process as operators meet it: how it ends, how many start at once, and what becomes of a request it cuts short.

use std::time::Duration;

use http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use tokenkeep::proto::v1;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tonic::body::Body;
use tonic::{Code, Status, Streaming};
use tonic_health::pb::HealthCheckResponse;

use crate::clients::{Client, refusal, refused};
use crate::crash::waits_for_a_lock;
use crate::harness::{Database, Server, eventually};

/// What a drain may take beyond what is asked for: the threads are given one second, the database's work five.
const SLACK: Duration = Duration::from_secs(1);

async fn begins_to_drain(server: &Server) {
    eventually("the drain begins", || async { server.log().contains("\"draining\"") }).await;
}

/// A row lock on every token, held until `COMMIT`.
async fn hold_every_token(database: &Database) -> tokio_postgres::Client {
    let holder = database.connect().await;
    holder.batch_execute("BEGIN; SELECT FROM tokens FOR UPDATE").await.unwrap();
    holder
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_every_stream_finishes_every_request_and_always_ends() {
    let drain = Duration::from_secs(3);
    let mut server =
        Server::start_with(Database::fresh().await, |command| command.args(["--drain-timeout", "3s"])).await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    let (token, _) = operator.create_token("acme", "contended", &[]).await;
    let mut stream = operator.watch("", "").await.unwrap();
    stream.message().await.unwrap().unwrap();
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let holder = hold_every_token(&server.database).await;
    let (mut caller, id) = (server.operator().await, token.id.clone());
    let call = tokio::spawn(async move { caller.revoke(&id).await });
    waits_for_a_lock(&server.database).await;

    server.signal("TERM");
    begins_to_drain(&server).await;
    let ended = loop {
        match stream.message().await {
            Ok(frame) => assert!(frame.is_some(), "a stream never ends well"),
            Err(status) => break refusal(&status),
        }
    };
    assert_eq!(ended, refused(Code::Unavailable, "DRAINING"));
    holder.batch_execute("COMMIT").await.unwrap();
    let revoked = call.await.unwrap().expect("what was under way is answered");
    assert_eq!(revoked.state(), v1::TokenState::Revoked);
    let (status, took) = server.wait(drain + SLACK).await;
    println!("drained in {took:?}");
    assert_eq!(status.code(), Some(0), "{}", server.log());
    assert!(matches!(silent.read(&mut [0]).await, Ok(0) | Err(_)), "the silent socket is closed");
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_does_not_end_holds_the_drain_up_to_its_timeout_and_no_longer() {
    let mut server =
        Server::start_with(Database::fresh().await, |command| command.args(["--drain-timeout", "1s"])).await;
    let _stream = endless(&server).await;
    server.signal("TERM");
    let (status, took) = server.wait(Duration::from_secs(1) + SLACK).await;
    assert_eq!(status.code(), Some(0), "{}", server.log());
    assert!(took > Duration::from_millis(700), "the stream was given no time: {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() {
    let mut server =
        Server::start_with(Database::fresh().await, |command| command.args(["--drain-timeout", "60s"])).await;
    let _stream = endless(&server).await;
    server.signal("INT");
    begins_to_drain(&server).await;
    server.signal("TERM");
    let (status, _) = server.wait(SLACK).await;
    assert_eq!(status.code(), Some(1));
}

/// A stream that the server does not end of itself.
async fn endless(server: &Server) -> Streaming<HealthCheckResponse> {
    let mut stream = server.anonymous().await.watch_health().await.unwrap();
    stream.message().await.unwrap().unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn four_servers_started_at_once_on_an_empty_database_all_come_up() {
    let database = Database::empty().await;
    let starting: Vec<_> =
        (0..4).map(|_| tokio::spawn(Server::start_with(database.clone(), |command| command))).collect();
    let mut servers = Vec::new();
    for server in starting {
        servers.push(server.await.unwrap());
    }
    let issued = database.command("operator-token").output().unwrap();
    assert!(issued.status.success(), "{}", String::from_utf8_lossy(&issued.stderr));
    let secret = String::from_utf8(issued.stdout).unwrap();
    for (number, server) in servers.iter().enumerate() {
        assert_eq!(server.health().await, (200, true));
        let mut operator = server.client(secret.trim()).await;
        operator.create_workspace(&format!("w{number}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_of_the_clients_or_of_ours_passes_and_the_change_is_still_made() {
    let server =
        Server::start_with(Database::fresh().await, |command| command.args(["--request-timeout", "400ms"]))
            .await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    for timeout in [Some("150m"), None] {
        let (token, _) = operator.create_token("acme", "contended", &[]).await;
        let holder = hold_every_token(&server.database).await;
        let status = revoke_by_hand(&server, &token.id, timeout).await;
        assert_eq!(refusal(&status), refused(Code::DeadlineExceeded, "DEADLINE_EXCEEDED"), "{timeout:?}");
        holder.batch_execute("COMMIT").await.unwrap();
        eventually("the change is made", || {
            let (mut operator, id) = (operator.clone(), token.id.clone());
            async move { operator.get_token(&id).await.unwrap().state() == v1::TokenState::Revoked }
        })
        .await;
    }
}

/// The status of a revoke by a client that keeps no time of its own, so that the server's answer is seen.
async fn revoke_by_hand(server: &Server, id: &str, timeout: Option<&str>) -> Status {
    let message = v1::RevokeTokenRequest { id: id.to_owned(), ..Default::default() }.encode_to_vec();
    let mut body = vec![0];
    body.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    body.extend(message);
    let uri = format!("http://{}/tokenkeep.v1.TokenService/RevokeToken", server.address);
    let mut request = Request::post(uri).header("te", "trailers").header("content-type", "application/grpc");
    request = request.header("authorization", format!("Bearer {}", server.database.operator_secret));
    if let Some(timeout) = timeout {
        request = request.header("grpc-timeout", timeout);
    }
    let stream = TokioIo::new(TcpStream::connect(server.address).await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    // A frame with a short message of ASCII is ASCII itself, and a text is a body as it stands.
    let body = Body::new(String::from_utf8(body).unwrap());
    let answer = sender.send_request(request.body(body).unwrap()).await.unwrap();
    Status::from_header_map(answer.headers()).expect("no status")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_beyond_64_kib_is_refused_and_the_server_lives() {
    let server = Server::start().await;
    let mut operator = server.operator().await;
    operator.create_workspace("acme").await;
    let describe = |length| v1::CreateTokenRequest {
        workspace: "acme".to_owned(),
        name: "large".to_owned(),
        description: "x".repeat(length),
        ..Default::default()
    };
    let create = async |client: &mut Client, length| {
        client.tokens.create_token(describe(length)).await.map(drop).map_err(|status| status.code())
    };
    // Below the limit it is read, and found wanting for another reason.
    assert_eq!(create(&mut operator, 60 * 1024).await, Err(Code::InvalidArgument));
    for length in [65 * 1024, 8 * 1024 * 1024] {
        let code = create(&mut operator, length).await.unwrap_err();
        assert_eq!(code, Code::OutOfRange, "{length} bytes");
    }
    create(&mut operator, 1_000).await.unwrap();
    assert_eq!(server.health().await, (200, true));
}
