//! The pool: how a session with PostgreSQL begins, and when it may be given to the next caller.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{self, Metrics, PoolError, QueueMode, RecycleError, RecycleResult, TimeoutType};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection as _};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::DatabaseOptions;
use super::error::StoreError;
use super::line::Line;
use super::url::UrlError;

pub(super) type Pool = managed::Pool<Manager>;
pub(super) type PooledSession = managed::Object<Manager>;

/// How the pool is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolStatus {
    /// The most connections there may be.
    pub limit: usize,
    /// Those that are open.
    pub open: usize,
    /// Those of them that nobody uses.
    pub idle: usize,
    /// Callers that wait for one.
    pub waiting: usize,
}

/// A session with PostgreSQL.
pub(super) struct Session {
    pub(super) connection: AsyncPgConnection,
    /// Every statement so far was answered, and none by an error. What fails or is abandoned midway ends the session,
    /// so that no caller inherits another one's trouble.
    pub(super) sound: bool,
    /// A transaction was begun and is not known to have ended.
    pub(super) in_transaction: bool,
    /// How long to wait for an answer.
    pub(super) patience: Duration,
    /// When a statement was last begun.
    pub(super) asked: Instant,
    /// The least time after which PostgreSQL gives a statement up.
    pub(super) least_timeout: Duration,
    driver: AbortHandle,
    era: Era,
}

/// The time between two renewals of the pool.
#[derive(Clone)]
struct Era {
    began: u64,
    present: Arc<AtomicU64>,
}

impl Era {
    fn is_over(&self) -> bool {
        self.began != self.present.load(Ordering::Acquire)
    }
}

impl Session {
    /// Whether the next caller can have it.
    pub(super) fn is_reusable(&self) -> bool {
        self.sound && !self.in_transaction && !self.driver.is_finished() && !self.era.is_over()
    }

    /// Closes the socket, at which PostgreSQL rolls back and lets go of every lock.
    pub(super) fn cut(&self) {
        self.driver.abort();
    }
}

/// Makes sessions for the pool, and looks at those that come back.
pub(super) struct Manager {
    line: Line,
    settings: String,
    connect_timeout: Duration,
    patience: Duration,
    least_timeout: Duration,
    era: Arc<AtomicU64>,
}

impl Manager {
    /// A new session, its settings made.
    pub(super) async fn connect(&self) -> Result<Session, StoreError> {
        let connected = tokio::time::timeout(self.connect_timeout, self.establish()).await;
        connected.map_err(StoreError::unavailable)?
    }

    /// Diesel never sees the URL, so nothing of Diesel's can tell it. The connection's task is ours and not
    /// diesel-async's, so that a session whose socket has closed is known without asking PostgreSQL.
    async fn establish(&self) -> Result<Session, StoreError> {
        // Before connecting, so that a session is never taken for younger than it is.
        let began = self.era.load(Ordering::Acquire);
        let era = Era { began, present: Arc::clone(&self.era) };
        let (client, driver) = self.line.connect().await?;
        let driver = tokio::spawn(driver).abort_handle();
        let connection = AsyncPgConnection::try_from(client).await.map_err(StoreError::unavailable)?;
        let mut session = Session {
            connection,
            sound: true,
            in_transaction: false,
            patience: self.patience,
            asked: Instant::now(),
            least_timeout: self.least_timeout,
            driver,
            era,
        };
        let set = session.connection.batch_execute(&self.settings).await;
        set.map_err(StoreError::from_diesel).map(|()| session)
    }
}

impl managed::Manager for Manager {
    type Type = Session;
    type Error = StoreError;

    async fn create(&self) -> Result<Session, StoreError> {
        // It is rare and large, and everybody who asks for a session would carry its room along.
        Box::pin(self.connect()).await
    }

    async fn recycle(&self, session: &mut Session, _: &Metrics) -> RecycleResult<StoreError> {
        if session.is_reusable() { Ok(()) } else { Err(RecycleError::message("the session is spent")) }
    }
}

/// An empty pool.
pub(super) fn build(options: &DatabaseOptions) -> Result<Pool, UrlError> {
    let manager = Manager {
        line: Line::new(options)?,
        settings: settings(options),
        connect_timeout: options.connect_timeout,
        patience: options.statement_timeout + Duration::from_secs(2),
        least_timeout: options.statement_timeout.min(options.lock_timeout),
        era: Arc::default(),
    };
    let builder = Pool::builder(manager)
        .max_size(options.connections)
        .wait_timeout(Some(options.wait_timeout))
        .create_timeout(Some(options.connect_timeout))
        .recycle_timeout(Some(Duration::from_secs(1)))
        .queue_mode(QueueMode::Lifo)
        .runtime(Runtime::Tokio1);
    builder.build().map_err(|_| UrlError::NoConnections)
}

/// The isolation level is said, since the revision log is wrong under any other: the statement that reads the last
/// revision must see what was committed while it waited for the lock. No statement is so large that compiling it pays, but
/// some look so.
fn settings(options: &DatabaseOptions) -> String {
    format!(
        "SET statement_timeout = {}; SET lock_timeout = {}; SET idle_in_transaction_session_timeout = {}; \
         SET synchronous_commit = on; SET default_transaction_isolation = 'read committed'; SET jit = off",
        options.statement_timeout.as_millis(),
        options.lock_timeout.as_millis(),
        options.idle_in_transaction_timeout.as_millis(),
    )
}

/// A session that is free or new.
pub(super) async fn get(pool: &Pool) -> Result<PooledSession, StoreError> {
    pool.get().await.map_err(|error| match error {
        PoolError::Timeout(TimeoutType::Wait) => StoreError::Overloaded,
        PoolError::Backend(error) => error,
        PoolError::Timeout(TimeoutType::Create | TimeoutType::Recycle)
        | PoolError::Closed
        | PoolError::NoRuntimeSpecified
        | PoolError::PostCreateHook(_) => StoreError::unavailable(error),
    })
}

/// Ends every session that was begun before, the idle ones at once.
pub(super) fn renew(pool: &Pool) {
    pool.manager().era.fetch_add(1, Ordering::AcqRel);
    for session in pool.retain(|_, _| false).removed {
        session.cut();
    }
}

pub(super) fn status(pool: &Pool) -> PoolStatus {
    let status = pool.status();
    PoolStatus { limit: status.max_size, open: status.size, idle: status.available, waiting: status.waiting }
}
