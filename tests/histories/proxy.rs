//! Links that can fail: a TCP proxy whose target can be switched and whose two ways can be slowed, held, or swallowed.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, split};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Where a link leads.
#[derive(Debug, Clone)]
pub enum Target {
    Nowhere,
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// What becomes of the bytes that go one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    Passes,
    /// They wait until the way is free again, as TCP sends again what was lost.
    Held,
    /// They are lost, and the connection is never good for anything again, though nobody is told.
    Swallowed,
}

/// One way of a link.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    pub flow: Flow,
    /// How long bytes are under way.
    pub delay: Duration,
    /// The most bytes a second.
    pub rate: Option<u32>,
}

/// Both ways, and whether new connections are taken.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    pub up: Way,
    pub down: Way,
    pub refuses: bool,
    /// Connections that were opened under a lower number are cut.
    cuts: u64,
}

const CLEAR: Way = Way { flow: Flow::Passes, delay: Duration::ZERO, rate: None };

/// A listener on loopback that passes everything on, in the weather it is told.
pub struct Link {
    pub address: SocketAddr,
    target: Arc<Mutex<Target>>,
    weather: watch::Sender<Weather>,
    accepting: JoinHandle<()>,
}

impl Link {
    pub async fn to(target: Target) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let target = Arc::new(Mutex::new(target));
        let (weather, _) = watch::channel(Weather { up: CLEAR, down: CLEAR, refuses: false, cuts: 0 });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&target), weather.subscribe()));
        Self { address, target, weather, accepting }
    }

    /// New connections go elsewhere; those that are open stay where they are.
    pub fn lead_to(&self, target: Target) {
        *self.target.lock().unwrap() = target;
    }

    pub fn set(&self, change: impl FnOnce(&mut Weather)) {
        self.weather.send_modify(change);
    }

    /// Closes every connection.
    pub fn cut(&self) {
        self.set(|weather| weather.cuts += 1);
    }

    /// Everything passes again. What was swallowed from stays dead until somebody tries it.
    pub fn clear(&self) {
        self.set(|weather| (weather.up, weather.down, weather.refuses) = (CLEAR, CLEAR, false));
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, target: Arc<Mutex<Target>>, weather: watch::Receiver<Weather>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        if weather.borrow().refuses {
            stream.set_zero_linger().ok();
            continue;
        }
        let target = target.lock().unwrap().clone();
        tokio::spawn(connect(stream, target, weather.clone()));
    }
}

trait Peer: AsyncRead + AsyncWrite + Send + Unpin {}
impl<Stream: AsyncRead + AsyncWrite + Send + Unpin> Peer for Stream {}

async fn connect(mut stream: TcpStream, target: Target, weather: watch::Receiver<Weather>) {
    stream.set_nodelay(true).ok();
    let Some(peer) = reach(target).await else { return };
    let ((from_near, to_near), (from_far, to_far)) = (stream.split(), split(peer));
    let up = Pump { from: from_near, to: to_far, weather: weather.clone(), way: |weather| weather.up };
    let down = Pump { from: from_far, to: to_near, weather: weather.clone(), way: |weather| weather.down };
    // The end of one way is the end of both: neither gRPC nor PostgreSQL close halves.
    let cut = tokio::select! {
        () = up.run() => false,
        () = down.run() => false,
        () = is_cut(weather) => true,
    };
    if cut {
        // No goodbye: a reset.
        stream.set_zero_linger().ok();
    }
}

async fn reach(target: Target) -> Option<Box<dyn Peer>> {
    match target {
        Target::Nowhere => None,
        Target::Tcp(address) => {
            let peer = TcpStream::connect(address).await.ok()?;
            peer.set_nodelay(true).ok();
            Some(Box::new(peer))
        }
        Target::Unix(path) => Some(Box::new(UnixStream::connect(path).await.ok()?)),
    }
}

async fn is_cut(mut weather: watch::Receiver<Weather>) {
    let cuts = weather.borrow().cuts;
    if weather.wait_for(|now| now.cuts > cuts).await.is_err() {
        pending::<()>().await;
    }
}

/// In how many parts the bytes of a second go at a rate.
const PARTS: u32 = 20;

struct Pump<From, To> {
    from: From,
    to: To,
    weather: watch::Receiver<Weather>,
    way: fn(&Weather) -> Way,
}

impl<From: AsyncRead + Unpin, To: AsyncWrite + Unpin> Pump<From, To> {
    /// Passes bytes on until either side is gone.
    async fn run(mut self) {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let read = self.from.read(&mut buffer).await.unwrap_or(0);
            self.passable().await;
            let way = (self.way)(&self.weather.borrow());
            if way.flow == Flow::Swallowed {
                return self.swallow(&mut buffer, read == 0).await;
            }
            tokio::time::sleep(way.delay).await;
            if read == 0 || self.pass_on(&buffer[..read], way.rate).await.is_err() {
                return;
            }
        }
    }

    /// At a rate, what comes first arrives first.
    async fn pass_on(&mut self, bytes: &[u8], rate: Option<u32>) -> io::Result<()> {
        let Some(rate) = rate else { return self.to.write_all(bytes).await };
        for part in bytes.chunks(usize::try_from(rate / PARTS).unwrap().max(1)) {
            tokio::time::sleep(Duration::from_secs(1) / PARTS).await;
            self.to.write_all(part).await?;
        }
        Ok(())
    }

    async fn passable(&mut self) {
        let way = self.way;
        self.weather.wait_for(|weather| way(weather).flow != Flow::Held).await.ok();
    }

    /// Loses everything while the weather lasts, the goodbye as well; then whoever tries the connection finds it dead.
    async fn swallow(mut self, buffer: &mut [u8], mut ended: bool) {
        while !ended {
            let way = self.way;
            let cleared = async {
                self.weather.wait_for(|weather| way(weather).flow != Flow::Swallowed).await.ok();
            };
            tokio::select! {
                read = self.from.read(buffer) => ended = read.unwrap_or(0) == 0,
                () = cleared => {
                    let _tried = self.from.read(buffer).await.is_ok_and(|read| read > 0);
                    return;
                }
            }
        }
        let way = self.way;
        self.weather.wait_for(|weather| way(weather).flow != Flow::Swallowed).await.ok();
    }
}
