//! The reference: rows that are inserted and committed, a NOTIFY after each, and one connection that listens.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_postgres::{AsyncMessage, Client, NoTls, Statement};

use super::heard::{Delays, Moments, committed};
use super::pace::Pace;
use crate::measure::database::{FIRST, PrivateDatabase};
use crate::measure::page::Outcome;

/// Connections that insert, each with another that rings for it.
const WRITERS: usize = 32;

/// The connections, all at work on a table of their own.
pub(crate) struct Hop {
    reader: Client,
    writers: Vec<Arc<Writer>>,
    heard: UnboundedReceiver<(i64, SystemTime)>,
    /// Rows that were inserted before.
    inserted: i64,
    /// The connection that listens lasts as long as this.
    _listener: Client,
}

struct Writer {
    durable: Client,
    insert: Statement,
    /// Its commits do not wait for the disk: a ring need not last, and holds a lock of the whole cluster.
    ringer: Client,
    notify: Statement,
}

impl Hop {
    pub(crate) async fn prepare(database: &PrivateDatabase) -> Outcome<Self> {
        let reader = database.connect(FIRST).await?;
        reader.batch_execute("CREATE TABLE hops (number bigint PRIMARY KEY)").await?;
        let mut writers = Vec::new();
        for _ in 0..WRITERS {
            writers.push(Arc::new(Writer::connect(database).await?));
        }
        let (client, mut connection) = tokio_postgres::connect(&database.url(FIRST), NoTls).await?;
        let (sender, heard) = unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
                if let AsyncMessage::Notification(ring) = message
                    && let Ok(number) = ring.payload().parse()
                    && sender.send((number, SystemTime::now())).is_err()
                {
                    return;
                }
            }
        });
        client.batch_execute("LISTEN hops").await?;
        Ok(Self { reader, writers, heard, inserted: 0, _listener: client })
    }

    pub(crate) async fn measure(&mut self, pace: Pace) -> Outcome<Delays> {
        let before = self.inserted;
        let workers = self.writers.iter().cloned().map(|writer| {
            move |number: usize| {
                let writer = Arc::clone(&writer);
                async move { writer.write(before + i64::try_from(number)?).await }
            }
        });
        let answered: Moments = pace.keep(workers.collect()).await?.into_iter().collect();
        self.inserted += i64::try_from(pace.count)?;
        let mut heard = Moments::new();
        while heard.len() < pace.count {
            let (number, at) = self.heard.recv().await.ok_or("the listener has gone")?;
            heard.insert(number, at);
        }
        Delays::between(&committed(&self.reader, "hops", "number").await?, &answered, &heard)
    }
}

impl Writer {
    async fn connect(database: &PrivateDatabase) -> Outcome<Self> {
        let (durable, ringer) = (database.connect(FIRST).await?, database.connect(FIRST).await?);
        ringer.batch_execute("SET synchronous_commit = off").await?;
        let insert = durable.prepare("INSERT INTO hops VALUES ($1)").await?;
        let notify = ringer.prepare("SELECT pg_notify('hops', $1)").await?;
        Ok(Self { durable, insert, ringer, notify })
    }

    /// Gives when the commit was answered.
    async fn write(&self, number: i64) -> Outcome<(i64, SystemTime)> {
        self.durable.execute(&self.insert, &[&number]).await?;
        let answered = SystemTime::now();
        self.ringer.execute(&self.notify, &[&number.to_string()]).await?;
        Ok((number, answered))
    }
}
