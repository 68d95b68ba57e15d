//! Watches the sessions of the database: a transaction whose caller is gone ends all the same, and at once.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use crate::moment::Moment;

/// How long a session may be idle in a transaction, or hold an advisory lock while it does nothing: longer than any
/// server takes to say its next statement. As much longer as we are ourselves kept waiting meanwhile.
const LIMIT: Duration = Duration::from_millis(100);

/// How often it is looked.
const TICK: Duration = Duration::from_millis(20);

/// How long the last transaction may take to end once nobody asks for anything.
const PATIENCE: Duration = Duration::from_secs(5);

/// Milliseconds since each session that has a transaction open, or holds an advisory lock, began to do nothing.
const LOOK: &str = "
    SELECT (extract(epoch FROM clock_timestamp() - state_change) * 1000)::float8, pid, state_change::text, state, query
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'active'
      AND (state LIKE 'idle in transaction%'
           OR pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted))";

/// Sessions that have a transaction open, busy or not, and advisory locks that are held or waited for.
const OPEN: &str = "
    SELECT (SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
              AND xact_start IS NOT NULL)
         + (SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
            WHERE locktype = 'advisory' AND datname = current_database())";

/// What was seen.
#[derive(Debug, Clone, Default)]
pub struct Sessions {
    pub looks: usize,
    /// The longest that any session was seen to be idle in a transaction.
    pub longest: Duration,
    /// Those that were for too long, by process and since when.
    pub left: BTreeMap<(i32, String), String>,
    /// Transactions and advisory locks that were there when all was over.
    pub open: i64,
}

/// The watch over them.
pub struct Watching {
    end: oneshot::Sender<()>,
    task: JoinHandle<Sessions>,
}

impl Watching {
    /// Looks again and again, over a connection of its own.
    pub fn begin(client: Client) -> Self {
        let (end, ended) = oneshot::channel();
        Self { end, task: tokio::spawn(watch_over(client, ended)) }
    }

    /// Waits until nothing is open, and tells what was seen from the beginning up to then.
    pub async fn end(self) -> Sessions {
        self.end.send(()).unwrap();
        self.task.await.unwrap()
    }
}

async fn watch_over(client: Client, mut ended: oneshot::Receiver<()>) -> Sessions {
    let mut seen = Sessions::default();
    let mut before = Moment::now();
    while ended.try_recv().is_err() {
        tokio::time::sleep(TICK).await;
        let waited = Moment::now().since(before).saturating_sub(2 * TICK);
        before = Moment::now();
        seen.look(&client, LIMIT + waited).await;
    }
    let over = Moment::now();
    loop {
        seen.open = client.query_one(OPEN, &[]).await.unwrap().get(0);
        if seen.open == 0 || Moment::now().since(over) > PATIENCE {
            return seen;
        }
        tokio::time::sleep(TICK).await;
    }
}

impl Sessions {
    async fn look(&mut self, client: &Client, limit: Duration) {
        self.looks += 1;
        for row in client.query(LOOK, &[]).await.unwrap() {
            let since = Duration::from_secs_f64(row.get::<_, f64>(0).max(0.0) / 1_000.0);
            let (process, state, query): (i32, &str, &str) = (row.get(1), row.get(3), row.get(4));
            self.longest = self.longest.max(since);
            if since > limit {
                let story = format!("session {process} was {state} for {since:.1?} after {query}");
                self.left.insert((process, row.get(2)), story);
            }
        }
    }
}
