//! Transactions: begun explicitly, finished exactly once, and rolled back by whatever else happens to them.

use std::sync::Arc;
use std::time::Duration;

use super::connection::Connection;
use super::error::StoreError;
use crate::defect::{Defect, seeded};

/// An open transaction. Dropped unfinished, it takes its connection with it, at which the database rolls back.
#[derive(Debug)]
#[must_use = "dropping a transaction rolls it back"]
pub struct Transaction {
    connection: Connection,
    commit_timeout: Duration,
}

impl Transaction {
    pub(super) async fn begin(
        mut connection: Connection,
        commit_timeout: Duration,
    ) -> Result<Self, StoreError> {
        connection.begin().await?;
        Ok(Self { connection, commit_timeout })
    }

    /// The connection, to run queries in the transaction.
    pub const fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Lets its statements take so long, each of them, instead of what is usual.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub(super) async fn take_time(&mut self, time: Duration) -> Result<(), StoreError> {
        self.connection.take_time(time).await
    }

    /// Has the commit wait for the disk and the standby as that of a change does, though nothing may have been written.
    /// What was read here may be of a session that was ended while it waited for the standby: then it is to be seen, but
    /// lost if the standby is promoted.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    pub async fn confirm_what_was_read(&mut self) -> Result<(), StoreError> {
        if seeded(Defect::ReadUnconfirmed) {
            return Ok(());
        }
        self.connection.command("SELECT pg_logical_emit_message(true, 'tokenkeep', '')").await
    }

    /// Commits if the work went well and rolls back if it did not; gives what the work gave.
    ///
    /// # Errors
    /// That of the work; [`StoreError::CommitUnknown`] if COMMIT itself was not answered well;
    /// [`StoreError::Aborted`] if a statement had failed although the work says that all is well.
    pub async fn finish<T, E: From<StoreError>>(self, result: Result<T, E>) -> Result<T, E> {
        match result {
            Ok(done) if seeded(Defect::ReplyBeforeCommit) => {
                drop(tokio::spawn(self.commit()));
                Ok(done)
            }
            Ok(done) => {
                self.commit().await?;
                Ok(done)
            }
            Err(error) => {
                self.roll_back().await;
                Err(error)
            }
        }
    }

    /// PostgreSQL answers the COMMIT of a failed transaction by rolling back, without an error; hence the question.
    async fn commit(mut self) -> Result<(), StoreError> {
        if !self.connection.is_sound() {
            return Err(StoreError::Aborted);
        }
        let answer = self.connection.end("COMMIT", self.commit_timeout).await;
        if seeded(Defect::UnknownIsUndone) {
            return answer;
        }
        answer.map_err(|error| StoreError::CommitUnknown { source: Arc::new(error) })
    }

    /// If this fails the connection is closed, which rolls back as well.
    async fn roll_back(mut self) {
        if self.connection.is_sound() {
            let patience = self.connection.patience();
            drop(self.connection.end("ROLLBACK", patience).await);
        }
    }
}
