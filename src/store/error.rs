//! What can go wrong with the store, in the words of those who must decide what to do about it.

use std::error::Error;
use std::sync::Arc;

use diesel::result::Error as DieselError;

use crate::token::Kid;

/// Why, one floor down. Shared, for one failure can be that of many changes.
pub type Source = Arc<dyn Error + Send + Sync>;

/// Why the store did not do what was asked. No message holds a value from a row or a request.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, is starting or stopping, or did not answer in time. Unless the statement stood
    /// alone, outside any transaction, nothing was changed.
    #[error("the database is unavailable")]
    Unavailable {
        /// What it or the network said.
        #[source]
        source: Source,
    },
    /// Every connection was in use for as long as a caller may wait.
    #[error("no database connection came free in time")]
    Overloaded,
    /// A constraint of the schema forbids it; nothing was changed.
    #[error("the constraint {constraint} forbids the change")]
    Conflict {
        /// The constraint's name.
        constraint: String,
        /// What the database said.
        #[source]
        source: Source,
    },
    /// The secret that was to be written was issued under a key that is retired.
    #[error("the key {0} is retired")]
    KeyRetired(Kid),
    /// The connection broke during COMMIT: the transaction may or may not have happened.
    #[error("it is unknown whether the database committed")]
    CommitUnknown {
        /// What came instead of an answer.
        #[source]
        source: Source,
    },
    /// A statement of the transaction had failed, so it was rolled back although its caller was content.
    #[error("the transaction was rolled back, since a statement in it had failed")]
    Aborted,
    /// A row holds what the types refuse.
    #[error("the database holds {what} that this release does not understand")]
    Corrupt {
        /// Which column.
        what: &'static str,
    },
    /// The schema is not that of this release, or a row is missing that must be there.
    #[error("the database does not fit this release; were the migrations run?")]
    Mismatch {
        /// What did not fit.
        #[source]
        source: Source,
    },
    /// A migration failed; those before it stay.
    #[error("a migration failed")]
    Migration {
        /// What the database said.
        #[source]
        source: Source,
    },
}

impl StoreError {
    /// That the database is unavailable, for a reason that is none of its own errors.
    #[must_use]
    pub fn unavailable(source: impl Error + Send + Sync + 'static) -> Self {
        Self::Unavailable { source: Arc::new(source) }
    }

    /// Diesel keeps the kind of an error and not its SQLSTATE. What it has no kind for is told apart by the position
    /// in the statement, which PostgreSQL names only when it does not understand the statement: that is a defect,
    /// all else (shutdown, timeouts, lack of room) passes.
    pub(super) fn from_diesel(error: DieselError) -> Self {
        let DieselError::DatabaseError(_, details) = &error else {
            return Self::Mismatch { source: Arc::new(error) };
        };
        let misunderstood = details.statement_position().is_some();
        let constraint = details.constraint_name().map(str::to_owned);
        let source = Arc::new(error);
        match constraint {
            Some(constraint) => Self::Conflict { constraint, source },
            None if misunderstood => Self::Mismatch { source },
            None => Self::Unavailable { source },
        }
    }
}

/// What a type says of a value that a row holds.
pub(super) fn understood<Value, Refusal>(
    what: &'static str,
    value: Result<Value, Refusal>,
) -> Result<Value, StoreError> {
    value.map_err(|_| StoreError::Corrupt { what })
}
