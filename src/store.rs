//! The store: what PostgreSQL keeps, and the only place that knows how. Queries take a connection, never the pool.

pub mod audit;
pub mod bulk_revocations;
mod connection;
pub mod credentials;
pub mod doorbell;
mod error;
mod expiry;
pub mod keys;
pub mod last_uses;
pub mod limits;
mod line;
pub mod log;
mod migrations;
pub mod minted;
mod moment;
mod new_tokens;
mod pool;
pub mod previous_secrets;
pub mod principals;
pub mod profiles;
pub mod requests;
mod schema;
pub mod servers;
mod statement;
mod tls;
mod token_ends;
mod token_indexes;
mod token_lanes;
mod token_list;
mod token_predicates;
mod token_row;
mod token_ways;
pub mod tokens;
mod transaction;
mod url;
pub mod workspaces;

use std::fmt;
use std::time::Duration;

use secrecy::SecretString;

pub use self::url::UrlError;
pub use connection::Connection;
pub use error::{Source, StoreError};
pub use migrations::MigrationReport;
pub use pool::PoolStatus;
pub use tls::TlsError;
pub use transaction::Transaction;

/// How to reach the database, and how long to be patient with it.
#[derive(Debug, Clone)]
pub struct DatabaseOptions {
    /// `postgres://user:password@host:port/database?…`, with the parameters of libpq that tokio-postgres knows, and
    /// `sslmode` (`disable`, `prefer`, `require`, `verify-ca`, `verify-full`; `prefer` if absent), `sslrootcert`,
    /// `sslcert`, `sslkey`. What it says of `application_name` and of TCP's timeouts goes before the defaults here.
    pub url: SecretString,
    /// The most connections at once.
    pub connections: usize,
    /// What `pg_stat_activity` shows us as.
    pub application_name: String,
    /// The longest that a caller waits for a connection to come free: 500 ms.
    pub wait_timeout: Duration,
    /// The longest that one attempt to connect takes, TLS and settings included: 3 s.
    pub connect_timeout: Duration,
    /// The longest that PostgreSQL works on one statement: 3 s. We wait 2 s longer for the answer, then give the
    /// connection up, since a host that hangs enforces nothing.
    pub statement_timeout: Duration,
    /// The longest that a statement waits for a lock: 1 s.
    pub lock_timeout: Duration,
    /// The longest that PostgreSQL suffers a transaction that asks nothing of it: 5 s.
    pub idle_in_transaction_timeout: Duration,
    /// The longest wait for the answer to COMMIT, after which its outcome is unknown: 10 s. PostgreSQL itself never
    /// breaks a commit off, so this is longer than the rest: a synchronous standby may take its time.
    pub commit_timeout: Duration,
    /// The longest that one server waits for another one's migrations: 60 s.
    pub migration_timeout: Duration,
}

impl DatabaseOptions {
    /// The defaults that the fields state, with 16 connections.
    #[must_use]
    pub fn new(url: SecretString) -> Self {
        Self {
            url,
            connections: 16,
            application_name: "tokenkeep".to_owned(),
            wait_timeout: Duration::from_millis(500),
            connect_timeout: Duration::from_secs(3),
            statement_timeout: Duration::from_secs(3),
            lock_timeout: Duration::from_secs(1),
            idle_in_transaction_timeout: Duration::from_secs(5),
            commit_timeout: Duration::from_secs(10),
            migration_timeout: Duration::from_mins(1),
        }
    }
}

/// The database, through a pool of connections. Clones share the pool.
#[derive(Clone)]
pub struct Store {
    pool: pool::Pool,
    commit_timeout: Duration,
    migration_timeout: Duration,
}

impl Store {
    /// Understands the options and reads the certificates that they name; connects only when first asked.
    ///
    /// # Errors
    /// [`UrlError`]: the options cannot be used.
    pub fn new(options: &DatabaseOptions) -> Result<Self, UrlError> {
        Ok(Self {
            pool: pool::build(options)?,
            commit_timeout: options.commit_timeout,
            migration_timeout: options.migration_timeout,
        })
    }

    /// Brings the schema up to this release, on a connection of its own, one server at a time.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], also if another server's migrations take longer than
    /// [`DatabaseOptions::migration_timeout`]; [`StoreError::Migration`].
    pub async fn migrate(&self) -> Result<MigrationReport, StoreError> {
        migrations::run(self.pool.manager().connect().await?, self.migration_timeout).await
    }

    /// A connection from the pool, or a new one.
    ///
    /// # Errors
    /// [`StoreError::Overloaded`] if none came free in time, [`StoreError::Unavailable`] if none can be made.
    pub async fn connection(&self) -> Result<Connection, StoreError> {
        pool::get(&self.pool).await.map(Connection::new)
    }

    /// Begins a transaction. Each of its statements sees what was committed before that statement.
    ///
    /// # Errors
    /// As [`Store::connection`].
    pub async fn begin(&self) -> Result<Transaction, StoreError> {
        Transaction::begin(self.connection().await?, self.commit_timeout).await
    }

    /// Ends every session that was begun before: those that nobody uses now, the others when they are given back. For when
    /// another database may be answering under the same name.
    pub fn renew(&self) {
        pool::renew(&self.pool);
    }

    /// How the pool is doing, for metrics.
    #[must_use]
    pub fn pool_status(&self) -> PoolStatus {
        pool::status(&self.pool)
    }

    /// Gives out no more connections; those in use end when they are given back.
    pub fn close(&self) {
        self.pool.close();
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Store").field("pool", &self.pool_status()).finish_non_exhaustive()
    }
}
