//! Connections: who may have one, for how long, and what must come first.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokenkeep::server::serving::Serving;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use crate::harness::*;

/// The kind of frame that ends a connection.
const GOAWAY: u8 = 7;

#[tokio::test]
async fn a_silent_connection_is_closed_at_the_preface_deadline() {
    let mut options = options();
    options.limits.preface_timeout = Duration::from_millis(200);
    let counters = Arc::clone(&options.counters);
    let serving = Serving::start(options, health()).unwrap();
    let mut silent = connect(&serving).await;

    assert!(closed(&mut silent).await >= Duration::from_millis(150));
    counted(&counters.preface_timeout, 1).await;
}

#[tokio::test]
async fn half_a_preface_is_no_preface() {
    let mut options = options();
    options.limits.preface_timeout = Duration::from_millis(200);
    let counters = Arc::clone(&options.counters);
    let serving = Serving::start(options, health()).unwrap();
    let mut half = connect(&serving).await;
    half.write_all(&PREFACE[..23]).await.unwrap();

    closed(&mut half).await;
    counted(&counters.preface_timeout, 1).await;
}

#[tokio::test]
async fn http_1_is_closed_at_once() {
    let options = options();
    let counters = Arc::clone(&options.counters);
    let serving = Serving::start(options, health()).unwrap();
    let mut old = connect(&serving).await;
    old.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();

    assert!(closed(&mut old).await < Duration::from_secs(3));
    counted(&counters.preface_invalid, 1).await;
}

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_closed() {
    let mut options = options();
    options.limits.keepalive_interval = Duration::from_millis(100);
    options.limits.keepalive_timeout = Duration::from_millis(100);
    let serving = Serving::start(options, health()).unwrap();
    let mut dead = raw(&serving).await;

    assert!(closed(&mut dead).await < PATIENCE / 2);
}

#[tokio::test]
async fn a_connection_over_the_cap_is_refused_until_another_closes() {
    let mut options = options();
    options.limits.connections = 2;
    let counters = Arc::clone(&options.counters);
    let serving = Serving::start(options, health()).unwrap();
    let first = raw(&serving).await;
    let _second = raw(&serving).await;
    until("both are open", || counters.open.load(Ordering::Relaxed) == 2).await;

    closed(&mut connect(&serving).await).await;
    counted(&counters.refused_over_limit, 1).await;

    drop(first);
    until("one is closed", || counters.open.load(Ordering::Relaxed) == 1).await;
    check(&mut client(&serving).await).await.unwrap();
}

#[tokio::test]
async fn one_peer_cannot_take_the_connections_of_others() {
    let mut options = options();
    options.limits.connections_per_peer = 1;
    let counters = Arc::clone(&options.counters);
    let serving = Serving::start(options, health()).unwrap();
    let _first = raw(&serving).await;
    until("the first is open", || counters.open.load(Ordering::Relaxed) == 1).await;

    closed(&mut connect(&serving).await).await;
    counted(&counters.refused_over_limit, 1).await;

    let mut other = connect_from(Ipv4Addr::new(127, 0, 0, 2), address(&serving)).await;
    other.write_all(&[PREFACE, EMPTY_SETTINGS].concat()).await.unwrap();
    read_until(&mut other, |kind, _, _| kind == SETTINGS).await;
}

#[tokio::test]
async fn streams_over_the_limit_of_a_connection_are_refused() {
    const REFUSED_STREAM: [u8; 4] = [0, 0, 0, 7];
    let mut options = options();
    options.limits.concurrent_streams = 2;
    let serving = Serving::start(options, answering(|_| std::future::pending())).unwrap();
    let mut greedy = raw(&serving).await;
    let calls = [1, 3, 5].map(|stream| call(stream, "Check", &[])).concat();
    greedy.write_all(&calls).await.unwrap();

    let (_, _, stream, reason) = read_until(&mut greedy, |kind, _, _| kind == RESET).await;
    assert_eq!((stream, &reason[..]), (5, &REFUSED_STREAM[..]));
}

#[tokio::test]
async fn streams_opened_and_reset_in_haste_end_the_connection() {
    let mut options = options();
    options.limits.pending_accept_reset_streams = 3;
    let serving = Serving::start(options, answering(|_| std::future::pending())).unwrap();
    let mut hasty = raw(&serving).await;
    let burst: Vec<u8> = (0..12)
        .map(|number| 2 * number + 1)
        .flat_map(|stream| [call(stream, "Check", &[]), frame(RESET, 0, stream, &[0, 0, 0, 8])].concat())
        .collect();
    hasty.write_all(&burst).await.unwrap();

    read_until(&mut hasty, |kind, _, _| kind == GOAWAY).await;
    closed(&mut hasty).await;
}

#[tokio::test]
async fn a_peer_that_makes_errors_over_and_over_is_sent_away() {
    const METHOD_TWICE: &[u8] = &[0x83, 0x83];
    let mut options = options();
    options.limits.local_error_reset_streams = 3;
    let serving = Serving::start(options, health()).unwrap();
    let mut faulty = raw(&serving).await;
    let malformed: Vec<u8> =
        (0..12).flat_map(|number| frame(HEADERS, 5, 2 * number + 1, METHOD_TWICE)).collect();
    faulty.write_all(&malformed).await.unwrap();

    read_until(&mut faulty, |kind, _, _| kind == GOAWAY).await;
    closed(&mut faulty).await;
}

async fn connect_from(source: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((source, 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}
