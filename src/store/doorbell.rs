//! The doorbell: one server tells the others that the log has grown. It is a hint and nothing more, so whatever is wrong
//! with it costs only time. It has a connection of its own, which no pooler may share.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_postgres::{AsyncMessage, Client};
use tokio_util::task::AbortOnDropHandle;

use super::error::StoreError;
use super::line::{Driver, Line};
use super::{DatabaseOptions, UrlError};

/// Nothing is lost with the doorbell, so its commits need not wait for the disk: they would hold a lock of the whole
/// cluster meanwhile.
const BEGIN: &str = "SET synchronous_commit = off; SET statement_timeout = 2000; LISTEN tokenkeep";

/// How long a quiet connection is trusted.
const TRUST: Duration = Duration::from_secs(5);

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where the doorbell hangs.
pub struct Doorbell {
    line: Line,
    connect_timeout: Duration,
}

/// Rings. It rings no more once the [`Listener`] of the same connection is dropped.
#[derive(Clone)]
pub struct Ringer(Arc<Client>);

/// Hears every ring, its own server's included; several at once are one.
pub struct Listener {
    client: Arc<Client>,
    rings: watch::Receiver<()>,
    /// When the connection is to be tried, if it stays quiet.
    trial: Instant,
    _driver: AbortOnDropHandle<()>,
}

impl Doorbell {
    /// Understands the options and reads the certificates that they name.
    ///
    /// # Errors
    /// [`UrlError`]: the options cannot be used.
    pub fn new(options: &DatabaseOptions) -> Result<Self, UrlError> {
        Ok(Self { line: Line::new(options)?, connect_timeout: options.connect_timeout })
    }

    /// Connects. What is rung from the moment this returns is heard.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn connect(&self) -> Result<(Ringer, Listener), StoreError> {
        let connected = timeout(self.connect_timeout, self.establish()).await;
        connected.map_err(StoreError::unavailable)?
    }

    async fn establish(&self) -> Result<(Ringer, Listener), StoreError> {
        let (client, driver) = self.line.connect().await?;
        let (bell, rings) = watch::channel(());
        let driver = AbortOnDropHandle::new(tokio::spawn(drive(driver, bell)));
        client.batch_execute(BEGIN).await.map_err(StoreError::unavailable)?;
        let client = Arc::new(client);
        let trial = Instant::now() + TRUST;
        Ok((Ringer(Arc::clone(&client)), Listener { client, rings, trial, _driver: driver }))
    }
}

/// Drives the connection to its end, which drops the bell.
async fn drive(mut driver: Driver, bell: watch::Sender<()>) {
    while let Some(Ok(message)) = poll_fn(|context| driver.poll_message(context)).await {
        if let AsyncMessage::Notification(_) = message {
            bell.send_replace(());
        }
    }
}

impl Ringer {
    /// Rings for everybody.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: perhaps nobody heard.
    pub async fn ring(&self) -> Result<(), StoreError> {
        run(&self.0, "NOTIFY tokenkeep").await
    }
}

impl Listener {
    /// Waits for a ring; may be dropped and called again without missing one. A connection that has been quiet for 5 s is
    /// tried, and given up after 2 s.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: the connection is dead.
    pub async fn heard(&mut self) -> Result<(), StoreError> {
        loop {
            match timeout_at(self.trial, self.rings.changed()).await {
                Ok(heard) => {
                    self.trial = Instant::now() + TRUST;
                    return heard.map_err(StoreError::unavailable);
                }
                Err(_) => run(&self.client, "").await?,
            }
            self.trial = Instant::now() + TRUST;
        }
    }
}

async fn run(client: &Client, command: &str) -> Result<(), StoreError> {
    match timeout(PATIENCE, client.batch_execute(command)).await {
        Ok(answer) => answer.map_err(StoreError::unavailable),
        Err(elapsed) => Err(StoreError::unavailable(elapsed)),
    }
}
