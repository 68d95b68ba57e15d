//! The operations listener over a real socket.

use std::time::Instant;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;

struct Listening {
    address: SocketAddr,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

fn listening(health: Health) -> Listening {
    let operations = Operations::bind(([127, 0, 0, 1], 0).into()).unwrap();
    let (address, stop) = (operations.address(), CancellationToken::new());
    let served = tokio::spawn(operations.serve(Metrics::new([]), move || health.clone(), stop.clone()));
    Listening { address, stop, served }
}

impl Listening {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends a head and reads until the server closes.
    async fn ask(&self, head: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A server that refuses a head may reset the connection once it has answered.
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    }

    async fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: operations\r\n\r\n")).await
    }
}

#[tokio::test]
async fn the_metrics_are_openmetrics_text() {
    let answer = listening(Health::well()).get("/metrics").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(
        answer.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"),
        "{answer}"
    );
    assert!(answer.contains("\ntokenkeep_build_info{") && answer.ends_with("# EOF\n"), "{answer}");
}

#[tokio::test]
async fn health_is_ok_or_names_each_part_that_fails() {
    let well = listening(Health::well()).get("/healthz").await;
    assert!(well.starts_with("HTTP/1.1 200") && well.ends_with("\r\n\r\nok\n"), "{well}");
    let ill = Health::well().and_failing("database", "no answer").and_failing("log", "not read");
    let ill = listening(ill).get("/healthz").await;
    assert!(ill.starts_with("HTTP/1.1 503"), "{ill}");
    assert!(ill.ends_with("\r\n\r\ndatabase: no answer\nlog: not read\n"), "{ill}");
}

#[tokio::test]
async fn there_is_nothing_else() {
    let listening = listening(Health::well());
    assert!(listening.get("/").await.starts_with("HTTP/1.1 404"));
    assert!(listening.ask("POST /metrics HTTP/1.1\r\nhost: o\r\n\r\n").await.starts_with("HTTP/1.1 405"));
    let long = format!("GET /healthz HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(2 * LIMITS.largest_head));
    assert!(!listening.ask(&long).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_silent_client_does_not_hold_up_the_stop() {
    let listening = listening(Health::well());
    let _silent = listening.connect().await;
    assert!(listening.get("/healthz").await.contains("200"));
    let told = Instant::now();
    listening.stop.cancel();
    timeout(2 * Duration::from_secs(1), listening.served).await.unwrap().unwrap();
    assert!(told.elapsed() < 2 * Duration::from_secs(1));
}

#[tokio::test]
async fn silent_clients_do_not_shut_others_out_for_longer_than_a_head_may_take() {
    let listening = listening(Health::well());
    let mut silent = Vec::new();
    for _ in 0..=LIMITS.connections {
        silent.push(listening.connect().await);
    }
    let answer = timeout(3 * LIMITS.head_timeout, listening.get("/healthz")).await.unwrap();
    assert!(answer.contains("200"), "{answer}");
}
