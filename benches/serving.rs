//! An empty unary call: our serving beside tonic's own server on a multi-thread runtime.
//!
//! Both run in this process, in turns, so that noise of the machine falls on both. With `--hold` both
//! just serve, for a load generator from outside.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokenkeep::server::deadline::{DeadlineRules, Deadlines};
use tokenkeep::server::in_flight::InFlight;
use tokenkeep::server::listen::ListenAddress;
use tokenkeep::server::serving::{Serving, ServingOptions};
use tokio::runtime::{Builder, Runtime};
use tonic::Status;
use tonic::service::Routes;
use tonic::transport::{Endpoint, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
const CONNECTIONS: usize = 8;
const STREAMS: usize = 16;

fn main() -> Result<(), Box<dyn Error>> {
    let threads = thread::available_parallelism()?;
    let (stock, stock_address) = start_stock(threads)?;
    let (bare, bare_address) = start_ours(threads, false)?;
    let (bounded, bounded_address) = start_ours(threads, true)?;
    let servers = [("tonic", stock_address), ("bare", bare_address), ("bounded", bounded_address)];
    println!("{servers:?}");
    if std::env::args().any(|argument| argument == "--hold") {
        thread::park();
    }
    let client = Builder::new_multi_thread().enable_all().build()?;
    let mut rates = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        for (rates, (_, address)) in rates.iter_mut().zip(servers) {
            rates.push(client.block_on(calls_a_second(address))?);
        }
    }
    let medians = rates.map(median);
    for (median, (name, _)) in medians.iter().zip(servers) {
        println!("{name:8} {median:9.0} calls/s   {:.2} x tonic", median / medians[0]);
    }
    drop((bare, bounded));
    stock.shutdown_background();
    Ok(())
}

fn start_ours(threads: NonZeroUsize, bounded: bool) -> Result<(Serving, SocketAddr), Box<dyn Error>> {
    let mut options = ServingOptions::new(ListenAddress::Tcp((Ipv4Addr::LOCALHOST, 0).into()));
    options.threads = threads;
    let counters = Arc::clone(&options.counters);
    let serving = if bounded {
        let rules = DeadlineRules {
            unary_maximum: Duration::from_secs(10),
            is_streaming: |path| path.ends_with("/Watch"),
            exceeded: || Status::deadline_exceeded("too late"),
            malformed: || Status::invalid_argument("no timeout"),
        };
        let service = Deadlines::new(health(), rules);
        let overloaded = || Status::resource_exhausted("too much");
        Serving::start(options, InFlight::new(service, 4_096, overloaded, counters))?
    } else {
        Serving::start(options, health())?
    };
    let Some(ListenAddress::Tcp(address)) = serving.local_addresses().first().cloned() else {
        return Err("no address".into());
    };
    Ok((serving, address))
}

fn start_stock(threads: NonZeroUsize) -> Result<(Runtime, SocketAddr), Box<dyn Error>> {
    let runtime = Builder::new_multi_thread().worker_threads(threads.get()).enable_all().build()?;
    let context = runtime.enter();
    let incoming = tonic::transport::server::TcpIncoming::bind((Ipv4Addr::LOCALHOST, 0).into())?;
    let address = incoming.local_addr()?;
    runtime
        .spawn(Server::builder().add_routes(health()).serve_with_incoming(incoming.with_nodelay(Some(true))));
    drop(context);
    Ok((runtime, address))
}

fn health() -> Routes {
    Routes::new(tonic_health::server::health_reporter().1).prepare()
}

async fn calls_a_second(address: SocketAddr) -> Result<f64, Box<dyn Error>> {
    let answered = Arc::new(AtomicU32::new(0));
    let until = Instant::now() + ROUND;
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let channel = Endpoint::from_shared(format!("http://{address}"))?.connect().await?;
        for _ in 0..STREAMS {
            let (mut client, answered) = (HealthClient::new(channel.clone()), Arc::clone(&answered));
            callers.spawn(async move {
                while Instant::now() < until {
                    client.check(HealthCheckRequest::default()).await?;
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                Ok::<_, Status>(())
            });
        }
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    Ok(f64::from(answered.load(Ordering::Relaxed)) / ROUND.as_secs_f64())
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}
