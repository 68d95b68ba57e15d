//! HTTP clients that send at moments fixed beforehand, each over a connection of its own that stays open.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::guarded::envoy::ANSWER;
use crate::measure::page::Outcome;

/// How many connections there are: enough for one to be free whenever a request is due.
pub(crate) const CLIENTS: usize = 16;

/// What an answer may take at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// Clients of one listener.
pub(crate) struct Clients(Vec<Client>);

impl Clients {
    /// Connects them, and has each ask until its token is known wherever it is judged.
    pub(crate) fn connect(address: SocketAddr, secrets: &[String]) -> Outcome<Self> {
        let mut clients = secrets
            .iter()
            .cycle()
            .take(CLIENTS)
            .map(|secret| Client::connect(address, secret))
            .collect::<Outcome<Vec<_>>>()?;
        for client in &mut clients {
            for _ in 0..50 {
                client.ask()?;
            }
        }
        Ok(Self(clients))
    }

    /// Answers a second, when each client sends its next request as soon as it has its answer.
    #[expect(clippy::cast_precision_loss, reason = "a count of thousands")]
    pub(crate) fn capacity(&mut self, length: Duration) -> Outcome<f64> {
        let (begun, answers) = (Instant::now(), AtomicUsize::new(0));
        self.at_once(|_, client| {
            while begun.elapsed() < length {
                client.ask()?;
                answers.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Vec::new())
        })?;
        Ok(answers.into_inner() as f64 / begun.elapsed().as_secs_f64())
    }

    /// Sends so many requests a second, evenly and whether or not the ones before were answered; answers how long each took,
    /// from when it was sent or, if its connection was not free then, from when it was due.
    pub(crate) fn open_loop(&mut self, rate: f64, length: Duration) -> Outcome<Vec<Duration>> {
        let begun = Instant::now() + Duration::from_millis(10);
        let interval = Duration::from_secs_f64(1.0 / rate);
        self.at_once(|number, client| {
            let mut due = begun + interval * number;
            let mut times = Vec::new();
            while due < begun + length {
                let sent = wait_until(due);
                client.ask()?;
                times.push(sent.elapsed());
                due += interval * u32::try_from(CLIENTS)?;
            }
            Ok(times)
        })
    }

    /// Has every client work in a thread of its own.
    fn at_once(
        &mut self,
        work: impl Fn(u32, &mut Client) -> Outcome<Vec<Duration>> + Sync,
    ) -> Outcome<Vec<Duration>> {
        let work = &work;
        thread::scope(|scope| {
            let threads: Vec<_> = (0..)
                .zip(&mut self.0)
                .map(|(number, client)| scope.spawn(move || work(number, client)))
                .collect();
            let mut times = Vec::new();
            for thread in threads {
                times.extend(thread.join().map_err(|_| "a client has panicked")??);
            }
            Ok(times)
        })
    }
}

/// Comes back when it is due, or at once if that is past; answers from when on a request that is sent now counts.
fn wait_until(due: Instant) -> Instant {
    let left = due.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return due;
    }
    thread::sleep(left);
    Instant::now()
}

struct Client {
    stream: TcpStream,
    request: Vec<u8>,
}

impl Client {
    fn connect(address: SocketAddr, secret: &str) -> Outcome<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let request = format!(
            "GET /api/articles HTTP/1.1\r\nhost: localhost\r\nauthorization: bearer {secret}\r\n\r\n"
        );
        Ok(Self { stream, request: request.into_bytes() })
    }

    /// One request and its whole answer, which must be Envoy's.
    fn ask(&mut self) -> Outcome<()> {
        self.stream.write_all(&self.request)?;
        let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
        while !answer.ends_with(ANSWER.as_bytes()) {
            let read = self.stream.read(&mut piece)?;
            answer.extend_from_slice(piece.get(..read).unwrap_or_default());
            if read == 0 || answer.len() > 16 * 1024 {
                return Err(format!("not let in: {}", String::from_utf8_lossy(&answer)).into());
            }
        }
        if answer.starts_with(b"HTTP/1.1 200") { Ok(()) } else { Err("another status than 200".into()) }
    }
}
