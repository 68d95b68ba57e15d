//! A connection as queries use it: every statement is bounded in time, and one that goes wrong ends the session.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use diesel::QueryResult;
use diesel::query_builder::{QueryFragment, QueryId};
use diesel_async::methods::LoadQuery;
use diesel_async::{AsyncPgConnection, RunQueryDsl as _, SimpleAsyncConnection as _};

use tokio::time::Instant;

use super::error::StoreError;
use super::pool::PooledSession;

/// A connection on loan from the pool. It goes back when dropped, unless a statement failed, was abandoned midway, or
/// left a transaction open: then it is closed instead.
pub struct Connection {
    session: PooledSession,
    /// How long to wait for an answer, for whoever has it now.
    patience: Duration,
}

impl Connection {
    pub(super) fn new(session: PooledSession) -> Self {
        let patience = session.patience;
        Self { session, patience }
    }

    /// Every row that the query gives.
    #[expect(
        clippy::manual_async_fn,
        reason = "of a query that borrows, rustc cannot find out that it is `Send`"
    )]
    pub(super) fn rows<'query, Row, Query>(
        &mut self,
        query: Query,
    ) -> impl Future<Output = Result<Vec<Row>, StoreError>> + Send
    where
        Query: LoadQuery<'query, AsyncPgConnection, Row> + Send + 'query,
        Row: Send + 'query,
    {
        async move {
            let patience = self.ask();
            let answer = bounded(patience, query.load(&mut self.session.connection)).await;
            self.settle(answer).await
        }
    }

    /// The row that the query gives, if it gives one.
    pub(super) async fn row_if_any<'query, Row, Query>(
        &mut self,
        query: Query,
    ) -> Result<Option<Row>, StoreError>
    where
        Query: LoadQuery<'query, AsyncPgConnection, Row> + Send + 'query,
        Row: Send + 'query,
    {
        Ok(self.rows(query).await?.pop())
    }

    /// The row that the query must give.
    pub(super) async fn row<'query, Row, Query>(&mut self, query: Query) -> Result<Row, StoreError>
    where
        Query: LoadQuery<'query, AsyncPgConnection, Row> + Send + 'query,
        Row: Send + 'query,
    {
        let row = self.row_if_any(query).await?;
        row.ok_or_else(|| StoreError::from_diesel(diesel::NotFound))
    }

    /// Runs a query for its effect.
    pub(super) async fn execute<Query>(&mut self, query: Query) -> Result<(), StoreError>
    where
        Query: QueryFragment<diesel::pg::Pg> + QueryId + Send,
    {
        let patience = self.ask();
        let answer = bounded(patience, query.execute(&mut self.session.connection)).await;
        self.settle(answer).await.map(|_| ())
    }

    /// Begins a transaction. The isolation level is the session's.
    pub(super) async fn begin(&mut self) -> Result<(), StoreError> {
        self.session.in_transaction = true;
        self.command("BEGIN").await
    }

    /// Ends the transaction by `COMMIT` or `ROLLBACK`.
    pub(super) async fn end(&mut self, command: &str, patience: Duration) -> Result<(), StoreError> {
        self.command_within(command, patience).await?;
        self.session.in_transaction = false;
        Ok(())
    }

    /// Runs a statement that has no parameters and gives nothing.
    pub(super) async fn command(&mut self, command: &str) -> Result<(), StoreError> {
        self.command_within(command, self.patience).await
    }

    /// Lets every statement of the open transaction take so long.
    pub(super) async fn take_time(&mut self, time: Duration) -> Result<(), StoreError> {
        self.command(&format!("SET LOCAL statement_timeout = {}", time.as_millis())).await?;
        self.patience = time + Duration::from_secs(2);
        Ok(())
    }

    /// Whether every statement so far was answered, and none by an error.
    pub(super) fn is_sound(&self) -> bool {
        self.session.sound
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    async fn command_within(&mut self, command: &str, patience: Duration) -> Result<(), StoreError> {
        self.ask();
        let answer = bounded(patience, self.session.connection.batch_execute(command)).await;
        self.settle(answer).await
    }

    /// From here until [`Connection::settle`] the session is unsound: whoever is dropped in between leaves it so.
    fn ask(&mut self) -> Duration {
        self.session.sound = false;
        self.session.asked = Instant::now();
        self.patience
    }

    async fn settle<Answer>(&mut self, answer: Result<Answer, StoreError>) -> Result<Answer, StoreError> {
        self.session.sound = answer.is_ok();
        let Err(StoreError::Mismatch { source }) = answer else { return answer };
        // Who waits too long for a lock while PostgreSQL works out what a statement means is told so as if the statement
        // were at fault, and so is a session that is ended meanwhile. So whoever is told of a fault looks how long that
        // took, and asks whether the session is still there.
        if self.session.asked.elapsed() >= self.session.least_timeout {
            return Err(StoreError::Unavailable { source });
        }
        match bounded(self.patience, self.session.connection.batch_execute("")).await {
            Ok(()) => Err(StoreError::Mismatch { source }),
            Err(_) => Err(StoreError::Unavailable { source }),
        }
    }
}

/// PostgreSQL keeps its own timeouts; this one is for when it, its host or the network does not.
async fn bounded<Answer>(
    patience: Duration,
    answer: impl Future<Output = QueryResult<Answer>>,
) -> Result<Answer, StoreError> {
    match tokio::time::timeout(patience, answer).await {
        Ok(answer) => answer.map_err(StoreError::from_diesel),
        Err(elapsed) => Err(StoreError::unavailable(elapsed)),
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.session.is_reusable() {
            self.session.cut();
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connection").finish_non_exhaustive()
    }
}
