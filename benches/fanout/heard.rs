//! From a commit to the moment at which somebody hears of it.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use tokio_postgres::Client;

use crate::measure::page::Outcome;
use crate::spread::latencies::Latencies;

/// Moments by the number of what they belong to: a revision, or a row.
pub(crate) type Moments = HashMap<i64, SystemTime>;

/// Times of many, by two beginnings.
#[derive(Debug, Default, Clone)]
pub(crate) struct Delays {
    /// From the time that the database gave the commit, just before it waited for the disk.
    pub(crate) from_commit: Vec<Duration>,
    /// From the moment at which whoever committed was answered; nothing, if the others heard sooner.
    pub(crate) from_answer: Vec<Duration>,
}

impl Delays {
    /// Fails if anything that was committed and answered was not heard of.
    pub(crate) fn between(committed: &Moments, answered: &Moments, heard: &Moments) -> Outcome<Self> {
        let mut delays = Self::default();
        for (number, answered) in answered {
            let heard = heard.get(number).ok_or("a commit of which nobody heard")?;
            let committed = committed.get(number).ok_or("a commit without a time")?;
            delays.from_commit.push(heard.duration_since(*committed).unwrap_or_default());
            delays.from_answer.push(heard.duration_since(*answered).unwrap_or_default());
        }
        Ok(delays)
    }

    pub(crate) fn add(&mut self, more: Self) {
        self.from_commit.extend(more.from_commit);
        self.from_answer.extend(more.from_answer);
    }

    pub(crate) fn latencies(&self) -> (Latencies, Latencies) {
        let sorted = |times: &[Duration]| times.iter().copied().collect();
        (sorted(&self.from_commit), sorted(&self.from_answer))
    }
}

/// The database's times of the commits of all rows, by a column with their numbers.
pub(crate) async fn committed(client: &Client, table: &str, number: &str) -> Outcome<Moments> {
    let query = format!("SELECT {number}, pg_xact_commit_timestamp(xmin) FROM {table}");
    let rows = client.query(&query, &[]).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}
