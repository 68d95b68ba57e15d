//! A server out of file descriptors waits for some, neither dying nor spinning.
//!
//! The limit is the whole process's, so this test has a process of its own.

use std::fs::File;
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, setrlimit};
use tokenkeep::server::limits::raise_descriptor_limit;
use tokenkeep::server::listen::ListenAddress;
use tokenkeep::server::serving::{Serving, ServingOptions};
use tonic::service::Routes;

const PATIENCE: Duration = Duration::from_secs(10);

/// Descriptors this process may have: few more than the server's own.
const DESCRIPTORS: u64 = 96;

#[test]
fn a_server_out_of_descriptors_accepts_again_when_some_come_free() {
    let limit = Rlimit { current: Some(DESCRIPTORS / 2), maximum: Some(DESCRIPTORS) };
    setrlimit(Resource::Nofile, limit).unwrap();
    assert_eq!(raise_descriptor_limit().unwrap(), Some(DESCRIPTORS));
    let options = ServingOptions::new(ListenAddress::Tcp((Ipv4Addr::LOCALHOST, 0).into()));
    let counters = Arc::clone(&options.counters);
    let (open, failed) =
        (|| counters.open.load(Ordering::Relaxed), || counters.accept_failed.load(Ordering::Relaxed));
    let serving = Serving::start(options, Routes::default()).unwrap();
    let Some(ListenAddress::Tcp(address)) = serving.local_addresses().first().cloned() else {
        panic!("no TCP address")
    };
    drop(TcpStream::connect(address).unwrap());
    until(|| counters.accepted.load(Ordering::Relaxed) == 1 && open() == 0);

    let mut hoard: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(hoard.len() > usize::try_from(DESCRIPTORS / 2).unwrap());
    hoard.pop();
    let _client = TcpStream::connect(address).unwrap();
    let began = Instant::now();
    until(|| failed() >= 3);
    assert!(began.elapsed() >= Duration::from_millis(200), "it must pause between attempts");
    assert_eq!(open(), 0);

    drop(hoard);
    until(|| open() == 1);
}

fn until(holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
}
