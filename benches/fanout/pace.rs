//! Work at a steady rate, whether or not what was begun before is done.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::measure::page::Outcome;

/// So many pieces of work in all, and so many a second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) count: usize,
    pub(crate) a_second: u32,
}

impl Pace {
    /// Each worker takes the next number as soon as it is free, waits until it is due and does it. Gives what was done.
    pub(crate) async fn keep<Worker, Work, Done>(self, workers: Vec<Worker>) -> Outcome<Vec<Done>>
    where
        Worker: FnMut(usize) -> Work + Send + 'static,
        Work: Future<Output = Outcome<Done>> + Send,
        Done: Send + 'static,
    {
        let (next, begin) = (Arc::<AtomicUsize>::default(), Instant::now());
        let mut working: JoinSet<Outcome<Vec<Done>>> = JoinSet::new();
        for mut worker in workers {
            let next = Arc::clone(&next);
            working.spawn(async move {
                let mut done = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= self.count {
                        return Ok(done);
                    }
                    let due = Duration::from_secs(1) / self.a_second * u32::try_from(number)?;
                    tokio::time::sleep_until(begin + due).await;
                    done.push(worker(number).await?);
                }
            });
        }
        let mut all = Vec::with_capacity(self.count);
        while let Some(done) = working.join_next().await {
            all.extend(done??);
        }
        Ok(all)
    }
}
